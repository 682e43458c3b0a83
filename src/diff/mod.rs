//! What differs between two images: the partition table, every path of the root and the boot file system, and bytes
//! that belong to no file system we know. Reads both, changes neither, judges nothing; contents are compared and shown
//! by digest only, so that no secret of an image leaves it.

mod content;
mod report;
mod table_difference;
mod trees;

pub use report::{Aspect, Difference, Seen};
pub use table_difference::{TableDifference, WholeImage, compare_outside_files};
pub use trees::{Options, compare_trees};

use crate::fs::FsError;

/// Why two images cannot be compared to the end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// A file system of one of them is damaged.
    #[error("{image}: its files cannot be compared")]
    Files {
        /// Which image.
        image: String,
        /// Where and why.
        #[source]
        source: FsError,
    },
    /// It claims more than it can hold: comparing it might never end.
    #[error(
        "{image}: the files of its {volume} file system claim more than {limit} bytes; it was made to keep its reader busy"
    )]
    Endless {
        /// Which image.
        image: String,
        /// "root" or "boot".
        volume: &'static str,
        /// How much is read of one file system, in bytes.
        limit: u64,
    },
    /// Bytes of one of them could not be read.
    #[error("could not read {image}")]
    Read {
        /// Which image.
        image: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}
