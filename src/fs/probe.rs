//! What a partition holds, as [`VolumeKind`] tells it, with this room's error.

use super::FsError;
use crate::image::{ReadAt, VolumeKind};

/// What the partition `window` holds.
///
/// # Errors
/// [`FsError::Io`] where it cannot be read.
pub fn kind_of(window: &dyn ReadAt) -> Result<VolumeKind, FsError> {
    VolumeKind::probe(window)
        .map_err(|source| FsError::Io { doing: "read the beginning of a partition".to_owned(), source })
}
