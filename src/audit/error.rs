//! Why an image cannot be audited.

use std::io;

use ext4_view::Ext4Error;

use crate::printable::Printable;

/// Why an image cannot be audited at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// There is no partition table.
    #[error(transparent)]
    Partitions(#[from] crate::image::partition_table::PartitionError),
    /// There is no root file system.
    #[error("found no root file system: none of the {partitions} partitions is ext4 with an /etc directory{}", .reasons.join(""))]
    NoRoot {
        /// How many partitions there are.
        partitions: usize,
        /// Why each one that looked like ext4 was passed over.
        reasons: Vec<String>,
    },
    /// The root file system could not be read.
    #[error("the root file system could not be read at {place}")]
    Root {
        /// Path.
        place: String,
        /// The reader's reason.
        #[source]
        source: Ext4Error,
    },
    /// A directory has more in it, or deeper, than any system has.
    #[error("{place} holds more, or holds it deeper, than can be looked through: nothing is said of the image")]
    TooMuch {
        /// Path.
        place: String,
    },
    /// The boot file system cannot be walked to an end.
    #[error("the boot file system (partition {partition}) is damaged: {what}: nothing is said of the image")]
    Boot {
        /// Its number in the partition table.
        partition: u32,
        /// What is wrong, in words.
        what: String,
    },
    /// The image could not be read.
    #[error("could not read the image")]
    Io(#[from] io::Error),
}

/// A path for a person.
pub(super) fn shown(path: &[u8]) -> String {
    Printable::of(path).to_string()
}

/// Nothing, where an error says that something is not there; else the error, with its path.
pub(super) fn absent<T>(error: Ext4Error, path: impl AsRef<[u8]>) -> Result<Option<T>, AuditError> {
    match error {
        // Something else stands in its place, so what was asked for is not there.
        Ext4Error::NotFound
        | Ext4Error::NotADirectory
        | Ext4Error::IsADirectory
        | Ext4Error::IsASpecialFile
        | Ext4Error::TooManySymlinks
        | Ext4Error::MalformedPath
        | Ext4Error::PathTooLong => Ok(None),
        source => Err(AuditError::Root { place: shown(path.as_ref()), source }),
    }
}
