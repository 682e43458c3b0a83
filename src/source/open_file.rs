//! A file of this machine that may be an image, open for reading.

use std::fs::File;
use std::path::Path;

use super::error::SourceError;
use super::format::Format;
use super::largest::LARGEST_RAW;
use super::packed::Packed;
use super::recognise::format_of;
use super::stamp::Stamp;
use crate::image::bytes::ReadAt;
use crate::image::file::{ImageFile, open_for_reading};
use crate::units::ByteSize;

/// A file whose kind is known.
pub(super) struct OpenFile<'a> {
    pub(super) path: &'a Path,
    pub(super) file: File,
    pub(super) format: Format,
    pub(super) size: ByteSize,
}

impl<'a> OpenFile<'a> {
    /// Opens `path`, for reading only, and looks at its first bytes.
    ///
    /// # Errors
    /// [`SourceError::Open`], and those of [`format_of`].
    pub(super) fn new(path: &'a Path) -> Result<OpenFile<'a>, SourceError> {
        let open = |source| SourceError::Open { path: path.to_owned(), source };
        let file = open_for_reading(path).map_err(open)?;
        // By way of `ImageFile`, which knows the size of a block device as well.
        let size = ImageFile::from_file(file.try_clone().map_err(open)?).map_err(open)?.size();
        let format = format_of(&file, size, path, &path.display().to_string())?;
        // A sparse file says any size. To hash one that is larger than any card could take days.
        if format == Format::Raw && size > LARGEST_RAW {
            return Err(SourceError::TooLargeForCards { path: path.to_owned(), size });
        }
        Ok(OpenFile { path, file, format, size })
    }

    /// Its bytes as an image, packed or not.
    pub(super) fn into_image(self) -> Result<ImageFile, SourceError> {
        ImageFile::from_file(self.file).map_err(|source| SourceError::Open { path: self.path.to_owned(), source })
    }

    /// To be decoded. The stamp is taken before the first byte is.
    pub(super) fn into_packed(self) -> Packed {
        let OpenFile { file, format, size, .. } = self;
        Packed { stamp: Stamp::of(&file), file, format, size }
    }
}
