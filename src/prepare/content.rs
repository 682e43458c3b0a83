//! What a written file is to hold, and how much of that may be shown.

use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::digest::Sha256Digest;
use crate::fs::{FsError, ImagePath};
use crate::units::ByteSize;

/// What a file is to hold.
pub enum Content {
    /// These bytes; they are public and may be shown in a plan.
    Bytes(Vec<u8>),
    /// These bytes, which nobody may see: never shown, logged, digested into a manifest or copied.
    Secret(Zeroizing<Vec<u8>>),
    /// A file of this machine, read when the plan is applied.
    HostFile {
        /// Where it is.
        path: PathBuf,
        /// Its size when the plan was made.
        size: ByteSize,
        /// Its digest when the plan was made; another one at apply time is an error.
        sha256: Sha256Digest,
    },
}

impl Content {
    /// How many bytes it is.
    pub fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Secret(bytes) => bytes.len() as u64,
            Content::HostFile { size, .. } => size.0,
        }
    }

    /// What it holds; nothing for a file of this machine, which is not read for it.
    pub fn held(&self) -> &[u8] {
        match self {
            Content::Bytes(bytes) => bytes,
            Content::Secret(bytes) => bytes,
            Content::HostFile { .. } => b"",
        }
    }

    /// The content, as reading a file at `path` in an image gives it.
    pub(super) fn read(&self, path: &ImagePath, limit: u64) -> Result<Vec<u8>, FsError> {
        if self.size() > limit {
            return Err(FsError::TooLarge { path: path.clone(), size: self.size(), limit });
        }
        match self {
            Content::Bytes(bytes) => Ok(bytes.clone()),
            Content::Secret(bytes) => Ok(bytes.to_vec()),
            Content::HostFile { path, .. } => {
                std::fs::read(path).map_err(|source| FsError::Io { doing: format!("read {}", path.display()), source })
            }
        }
    }
}
