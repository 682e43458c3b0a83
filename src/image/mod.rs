//! Bytes of an image: the copy-on-write overlay, partition tables, volumes, the block map and sparse output.
//! Nothing here knows where an image comes from, about files inside a partition, about recipes or about people.
//! A base image is only ever opened for reading.

mod block_ranges;
pub mod blockmap;
pub mod bmap_read;
pub mod bmap_write;
pub mod bytes;
pub mod file;
mod flushing;
mod gpt;
pub mod hashing;
pub mod mapped;
mod mbr;
pub mod output;
pub mod overlay;
mod parallel;
pub mod partition_table;
mod partitions;
pub mod picture;

pub mod sparse;
pub mod stoppable;
pub mod verified;
pub mod volume;
pub mod zeros;

pub use blockmap::{BlockMap, MappedRange};
pub use bytes::{Memory, ReadAt, Window, WriteAt};
pub use file::ImageFile;
pub use hashing::digest_of;
pub use mapped::MappedImage;
pub use overlay::Overlay;
pub use partition_table::{Partition, PartitionTable, TableKind};
pub use stoppable::Stoppable;
pub use volume::VolumeKind;
