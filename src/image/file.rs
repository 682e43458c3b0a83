//! A file or block device as an image: opened for reading only, and its holes known.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::bytes::ReadAt;
use super::hashing::AT_A_TIME;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// A raw image in a regular file, or a whole block device, that is never written to.
pub struct ImageFile {
    file: File,
    size: ByteSize,
    /// Block devices and some file systems do not know holes: everything counts as data there.
    knows_holes: bool,
}

impl ImageFile {
    /// Opens `path` with `O_RDONLY`.
    ///
    /// # Errors
    /// The system's; `InvalidInput` for what is neither a regular file nor a block device.
    pub fn open(path: &Path) -> io::Result<ImageFile> {
        ImageFile::from_file(open_for_reading(path)?)
    }

    /// The bytes of an open file. Its size is taken now; a file that shrinks later gives read errors, not zeros.
    ///
    /// # Errors
    /// As [`ImageFile::open`].
    pub fn from_file(file: File) -> io::Result<ImageFile> {
        let kind = file.metadata()?.file_type();
        // A FIFO or a terminal has no size, and cannot be read at a place.
        if !kind.is_file() && !kind.is_block_device() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a regular file nor a block device"));
        }
        // By seeking: the metadata of a block device says 0.
        let size = ByteSize(seek(&file, SeekFrom::End(0))?);
        // Asked once: what a file system cannot tell now, it cannot tell later.
        let knows_holes = kind.is_file() && seek(&file, SeekFrom::Hole(0)).is_ok();
        Ok(ImageFile { file, size, knows_holes })
    }
}

/// Opens a regular file or block device. Anything else is not even opened: a FIFO would wait for a writer for ever.
pub(crate) fn open_for_reading(path: &Path) -> io::Result<File> {
    let kind = std::fs::metadata(path)?.file_type();
    // By name, before it is opened. `from_file` asks again of what was opened, which may be another file by then.
    if kind.is_file() || kind.is_block_device() {
        return File::open(path);
    }
    let what = if kind.is_dir() { "it is a directory" } else { "neither a regular file nor a block device" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

impl ReadAt for ImageFile {
    fn size(&self) -> ByteSize {
        self.size
    }

    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        let mut at = at.0;
        // In parts, because of how the kernel copies: see `AT_A_TIME`.
        for part in buf.chunks_mut(AT_A_TIME) {
            self.file.read_exact_at(part, at)?;
            at = at.saturating_add(part.len() as u64);
        }
        Ok(())
    }

    fn next_data(&self, from: ByteOffset) -> io::Result<Option<ByteRange>> {
        let Some(rest) = self.size.0.checked_sub(from.0).filter(|&n| n > 0) else { return Ok(None) };
        if !self.knows_holes {
            return Ok(Some(ByteRange::new(from.0, rest)));
        }
        // SEEK_DATA moves the file's own position, which nobody uses: every read here is a pread.
        let start = match seek(&self.file, SeekFrom::Data(from.0)) {
            Ok(start) => start,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => return Ok(None),
            Err(other) => return Err(other.into()),
        };
        // The file may have grown since; the size that counts is that of its opening.
        let end = seek(&self.file, SeekFrom::Hole(start))?.min(self.size.0);
        Ok(end.checked_sub(start).filter(|&len| len > 0).map(|len| ByteRange::new(start, len)))
    }
}
