//! Random access to bytes, by shared reference, so that one image serves several readers and writers at once.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use crate::units::{ByteOffset, ByteRange, ByteSize};

/// Bytes that can be read at any offset.
pub trait ReadAt: Send + Sync {
    /// How many bytes there are.
    fn size(&self) -> ByteSize;

    /// Fills `buf` with the bytes from `at`.
    ///
    /// # Errors
    /// `UnexpectedEof` where the range leaves the end; whatever the medium reports otherwise.
    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()>;

    /// The first range at or behind `from` that may hold anything but zeros. What lies outside reads as zeros, so a
    /// scanner may skip it: this is what makes a sparse 32 GB capture as quick as the 3 GB that it holds.
    ///
    /// # Errors
    /// Whatever the medium reports.
    fn next_data(&self, from: ByteOffset) -> io::Result<Option<ByteRange>> {
        // A medium that does not know holes may hold data anywhere.
        Ok(self.size().0.checked_sub(from.0).filter(|&n| n > 0).map(|n| ByteRange::new(from.0, n)))
    }
}

/// Bytes that can also be written at any offset; the size never changes.
pub trait WriteAt: ReadAt {
    /// Puts `bytes` at `at`.
    ///
    /// # Errors
    /// `WriteZero` where the range leaves the end; whatever the medium reports otherwise.
    fn write_at(&self, at: ByteOffset, bytes: &[u8]) -> io::Result<()>;

    /// Makes a range read as zeros, as a hole where the medium can have holes. Used for what the scrub proves free:
    /// free space must not become gigabytes of overlay.
    ///
    /// # Errors
    /// As [`WriteAt::write_at`].
    fn punch(&self, range: ByteRange) -> io::Result<()>;
}

/// An image as a `Read + Seek` stream, for crates that want one.
pub struct Seekable<'a> {
    image: &'a dyn ReadAt,
    at: u64,
}

impl<'a> Seekable<'a> {
    /// A stream at the image's start.
    pub fn new(image: &'a dyn ReadAt) -> Seekable<'a> {
        Seekable { image, at: 0 }
    }
}

impl Read for Seekable<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // On a machine of 32 bits the rest may not fit a `usize`; then `buf` is the bound.
        let left = usize::try_from(self.image.size().0.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let len = buf.len().min(left);
        // `Read` may give less at the end, `read_at` may not: the buffer is cut first.
        let (part, _) = buf.split_at_mut(len);
        self.image.read_at(ByteOffset(self.at), part)?;
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Seekable<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.image.size().0.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = place.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a position before the start"))?;
        Ok(self.at)
    }
}

/// Bytes in memory, for small images and for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory(Vec<u8>);

impl Memory {
    /// An image that holds `bytes`.
    pub fn new(bytes: Vec<u8>) -> Memory {
        Memory(bytes)
    }
}

impl ReadAt for Memory {
    fn size(&self) -> ByteSize {
        ByteSize(self.0.len() as u64)
    }

    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        // Neither start nor end need fit: both may come from a damaged structure.
        let found = usize::try_from(at.0)
            .ok()
            .and_then(|start| self.0.get(start..start.checked_add(buf.len())?))
            .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, format!("{at} leaves the image")))?;
        buf.copy_from_slice(found);
        Ok(())
    }
}

/// One partition of an image: a window that nothing reaches out of.
pub struct Window<T: ?Sized> {
    whole: Arc<T>,
    range: ByteRange,
}

// Not derived: a derive would ask for `T: Clone`, though only the handle is copied.
impl<T: ?Sized> Clone for Window<T> {
    fn clone(&self) -> Window<T> {
        Window { whole: self.whole.clone(), range: self.range }
    }
}

impl<T: ReadAt + ?Sized> Window<T> {
    /// The bytes of `range` in `whole`.
    ///
    /// # Errors
    /// `UnexpectedEof` where the range leaves the end of `whole`: a partition table is untrusted input.
    pub fn new(whole: Arc<T>, range: ByteRange) -> io::Result<Window<T>> {
        // Checked once here, so that `place` needs only the window's own bounds.
        match range.start.checked_add(range.len) {
            Some(end) if end.0 <= whole.size().0 => Ok(Window { whole, range }),
            _ => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the range from {} of {} leaves the image ({})", range.start, range.len, whole.size()),
            )),
        }
    }

    /// Where the window lies in the whole image.
    pub fn range(&self) -> ByteRange {
        self.range
    }

    fn place(&self, at: ByteOffset, len: usize, kind: io::ErrorKind) -> io::Result<ByteOffset> {
        let inside = at.0.checked_add(len as u64).is_some_and(|end| end <= self.range.len.0);
        match self.range.start.checked_add(ByteSize(at.0)) {
            Some(place) if inside => Ok(place),
            _ => Err(io::Error::new(kind, format!("{at} and {len} more leave the partition of {}", self.range.len))),
        }
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Window<T> {
    fn size(&self) -> ByteSize {
        self.range.len
    }

    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        self.whole.read_at(self.place(at, buf.len(), io::ErrorKind::UnexpectedEof)?, buf)
    }

    fn next_data(&self, from: ByteOffset) -> io::Result<Option<ByteRange>> {
        // `from` counts from the window's start, the image below from its own.
        let Some(start) = self.range.start.checked_add(ByteSize(from.0)).filter(|s| *s < self.range.end()) else {
            return Ok(None);
        };
        // Data may begin here and reach into the next partition.
        let found = self.whole.next_data(start)?.and_then(|data| data.intersect(&self.range));
        Ok(found.map(|data| ByteRange::new(data.start.0 - self.range.start.0, data.len.0)))
    }
}

impl<T: WriteAt + ?Sized> WriteAt for Window<T> {
    fn write_at(&self, at: ByteOffset, bytes: &[u8]) -> io::Result<()> {
        self.whole.write_at(self.place(at, bytes.len(), io::ErrorKind::WriteZero)?, bytes)
    }

    fn punch(&self, range: ByteRange) -> io::Result<()> {
        let len = usize::try_from(range.len.0).map_err(io::Error::other)?;
        let start = self.place(range.start, len, io::ErrorKind::WriteZero)?;
        self.whole.punch(ByteRange { start, len: range.len })
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn size(&self) -> ByteSize {
        (**self).size()
    }
    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_at(at, buf)
    }
    fn next_data(&self, from: ByteOffset) -> io::Result<Option<ByteRange>> {
        (**self).next_data(from)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn size(&self) -> ByteSize {
        (**self).size()
    }
    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_at(at, buf)
    }
    fn next_data(&self, from: ByteOffset) -> io::Result<Option<ByteRange>> {
        (**self).next_data(from)
    }
}

impl<T: WriteAt + ?Sized> WriteAt for Arc<T> {
    fn write_at(&self, at: ByteOffset, bytes: &[u8]) -> io::Result<()> {
        (**self).write_at(at, bytes)
    }
    fn punch(&self, range: ByteRange) -> io::Result<()> {
        (**self).punch(range)
    }
}
