//! Bytes of an image: opening what was published, the copy-on-write overlay, partition tables and the block map.
//! Nothing here knows about files inside a partition, about recipes or about people.
//! A base image is only ever opened for reading.

pub mod arriving;
pub mod blockmap;
pub mod bmap;
mod bmap_beside;
pub mod bmap_file;
pub mod bytes;
pub mod cache;
mod decode;
pub mod digest;
mod download;
pub mod error;
pub mod file;
pub mod format;
mod gpt;
pub mod hashing;
mod https;
pub mod location;
mod mbr;
pub mod output;
pub mod overlay;
pub mod partitions;
pub mod picture;
mod runs;
pub mod s3;
pub mod source;
pub mod units;
pub mod verified;
pub mod volume;
pub mod whole_file;
mod zip_entry;

pub use arriving::ArrivingImage;
pub use blockmap::{BlockMap, MappedRange};
pub use bytes::{Memory, ReadAt, Window, WriteAt};
pub use digest::Sha256Digest;
pub use error::ImageError;
pub use file::ImageFile;
pub use format::Format;
pub use hashing::digest_of;
pub use location::Location;
pub use overlay::Overlay;
pub use partitions::{Partition, PartitionTable, TableKind};
pub use source::{OpenedSource, SourceSpec};
pub use units::{BlockNumber, ByteOffset, ByteRange, ByteSize, Sector};
pub use volume::VolumeKind;
