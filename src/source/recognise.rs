//! How a file is packed, told by its first bytes, or why it is none that is read.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::SourceError;
use super::format::{Format, HEAD_BYTES, Told, tell};
use crate::units::{ByteOffset, ByteSize};

/// How the file is packed; `name` is for messages.
///
/// # Errors
/// [`SourceError::Empty`], [`SourceError::Read`], and those of [`supported`].
pub(super) fn format_of(file: &File, size: ByteSize, path: &Path, name: &str) -> Result<Format, SourceError> {
    if size.0 == 0 {
        return Err(SourceError::Empty { path: path.to_owned() });
    }
    let mut head = vec![0; HEAD_BYTES.min(usize::try_from(size.0).unwrap_or(HEAD_BYTES))];
    file.read_exact_at(&mut head, 0).map_err(|source| SourceError::Read {
        path: path.to_owned(),
        at: ByteOffset(0),
        source,
    })?;
    supported(&head, name)
}

/// What begins with `head`, where cardsmith reads it.
///
/// # Errors
/// [`SourceError::Unsupported`], with what it is and what to do.
pub(super) fn supported(head: &[u8], name: &str) -> Result<Format, SourceError> {
    match tell(head) {
        Told::Format(format) => Ok(format),
        Told::Other(what, next) => Err(SourceError::Unsupported { name: name.to_owned(), what, next }),
    }
}
