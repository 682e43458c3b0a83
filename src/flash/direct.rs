//! Reading and writing past the page cache.
//!
//! Verification that reads the page cache verifies this machine's memory. `O_DIRECT` reads the medium; where a file
//! system refuses it (tmpfs before Linux 6.6), pages are dropped before each read, which is the best there is.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::buffer::{AlignedBuffer, is_aligned};
use crate::units::ByteOffset;

#[cfg(target_os = "linux")]
const DIRECT: OFlags = OFlags::DIRECT;
#[cfg(not(target_os = "linux"))]
const DIRECT: OFlags = OFlags::empty();

/// An open file or device whose reads come from the medium.
pub(super) struct Direct {
    file: File,
    /// Offsets and lengths of direct transfers are multiples of it.
    alignment: u64,
    /// Whether the kernel took `O_DIRECT`.
    direct: bool,
}

impl Direct {
    /// Opens `path` with `options` and these flags beside `O_CLOEXEC`, directly if that can be had.
    pub(super) fn open(path: &Path, options: &OpenOptions, flags: OFlags, alignment: u64) -> io::Result<Direct> {
        let open = |flags: OFlags| {
            let bits = i32::try_from(flags.bits()).map_err(io::Error::other)?;
            options.clone().custom_flags(bits).open(path)
        };
        match open(flags | DIRECT) {
            Ok(file) if !DIRECT.is_empty() => Ok(Direct { file, alignment, direct: true }),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                Ok(Direct { file: open(flags)?, alignment, direct: false })
            }
            Ok(file) => Ok(Direct { file, alignment, direct: false }),
            Err(error) => Err(error),
        }
    }

    /// Opens `path` for reading back only.
    pub(super) fn open_to_read(path: &Path, alignment: u64) -> io::Result<Direct> {
        let mut options = OpenOptions::new();
        options.read(true);
        Direct::open(path, &options, OFlags::empty(), alignment)
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Fills `buf` from the medium.
    pub(super) fn read(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        if !self.direct {
            #[cfg(target_os = "linux")]
            {
                let len = std::num::NonZero::new(buf.len() as u64);
                rustix::fs::fadvise(&self.file, at.0, len, rustix::fs::Advice::DontNeed)?;
            }
            return self.file.read_exact_at(buf, at.0);
        }
        if is_aligned(at.0, buf, self.alignment) {
            return self.file.read_exact_at(buf, at.0);
        }
        let (start, mut whole) = self.around(at, buf.len())?;
        let inside = usize::try_from(at.0 - start).map_err(io::Error::other)?;
        let wanted = inside + buf.len();
        // What lies behind the end of a file is read short: only the part that was asked for must be there.
        let mut done = 0;
        while done < wanted {
            match self.file.read_at(whole.get_mut(done..).unwrap_or_default(), start + done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buf.copy_from_slice(whole.get(inside..wanted).unwrap_or_default());
        Ok(())
    }

    /// Writes `bytes`; what is not a whole number of sectors is completed with what the medium holds around it.
    pub(super) fn write(&self, at: ByteOffset, bytes: &[u8]) -> io::Result<()> {
        if !self.direct || is_aligned(at.0, bytes, self.alignment) {
            return self.file.write_all_at(bytes, at.0);
        }
        let (start, mut whole) = self.around(at, bytes.len())?;
        let inside = usize::try_from(at.0 - start).map_err(io::Error::other)?;
        if whole.len() != bytes.len() {
            self.file.read_exact_at(&mut whole, start)?;
        }
        let place = whole.get_mut(inside..inside + bytes.len()).ok_or(io::ErrorKind::InvalidInput)?;
        place.copy_from_slice(bytes);
        self.file.write_all_at(&whole, start)
    }

    /// A buffer for the whole sectors around a range, and where they begin.
    fn around(&self, at: ByteOffset, len: usize) -> io::Result<(u64, AlignedBuffer)> {
        let start = at.0 - at.0 % self.alignment;
        let end = at.0.checked_add(len as u64).and_then(|end| end.checked_next_multiple_of(self.alignment));
        let whole = end.and_then(|end| end.checked_sub(start)).ok_or(io::ErrorKind::InvalidInput)?;
        Ok((start, AlignedBuffer::zeroed(usize::try_from(whole).map_err(io::Error::other)?)))
    }
}
