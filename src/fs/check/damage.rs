//! How this folder says that something is damaged.

use std::fmt::Display;

use crate::fs::FsError;

pub(super) fn corrupt(what: impl Display) -> FsError {
    FsError::Corrupt { volume: "root", what: what.to_string() }
}

/// Damage with these words, unless it is `fine`.
///
/// # Errors
/// [`FsError::Corrupt`].
pub(super) fn ensure<T: Display>(fine: bool, what: impl FnOnce() -> T) -> Result<(), FsError> {
    if fine { Ok(()) } else { Err(corrupt(what())) }
}
