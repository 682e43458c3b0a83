//! Where base images come from: files, https, S3, packed or not, by way of the cache or streamed while they arrive.
//! What leaves this room has the digest that the recipe names, or says that nobody named one.
//! It knows bytes and addresses, but neither partitions nor file systems.

mod base;
mod bmap_beside;
pub mod cache;
mod decode;
mod download;
mod error;
mod fingerprint;
pub mod format;
mod https;
mod known_digests;
mod largest;
pub mod location;
mod open_file;
mod packed;
mod published;
mod recognise;
pub mod s3;
mod spec;
mod stamp;
pub mod streaming;
mod zip_entry;

pub use base::{OpenedBase, OpenedSource, open, open_base, open_spec, open_to_inspect};
pub use bmap_beside::map_beside;
pub use cache::cache_directories;
pub use error::SourceError;
pub use format::Format;
pub use largest::{LARGEST_DECODED, LARGEST_RAW, LargestImage};
pub use location::Location;
pub use published::PublishedDigest;
pub use spec::SourceSpec;
pub use streaming::StreamingImage;
