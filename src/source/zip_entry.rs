//! The one image in a zip archive.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::units::ByteSize;

/// Checksums, signatures and read-me files are smaller; no image is.
const SMALLEST_IMAGE: ByteSize = ByteSize(1 << 20);
/// The directory of 10,000 entries with the longest names that anybody gives. An archive can list millions in a few hundred
/// MiB, and reading its directory takes a multiple of that in memory.
const LARGEST_DIRECTORY: u64 = 16 << 20;
/// A directory with more entries is no published image, and listing it would only take time.
const MOST_ENTRIES: usize = 10_000;

pub(super) enum ZipError {
    Io(io::Error),
    Entries(Vec<String>),
    /// The archive says that its image is larger than what is taken.
    TooLarge,
}

/// Hands the image in the archive to `take`. The outer result is about the archive, the inner one about the image.
pub(super) fn with_image(
    file: &File,
    counter: &AtomicU64,
    most: ByteSize,
    take: impl FnOnce(&mut dyn Read) -> io::Result<()>,
) -> Result<io::Result<()>, ZipError> {
    let size = file.metadata().map_err(ZipError::Io)?.len();
    // A damaged archive is the inner error: the caller still hashes the file, to see whether it is the right one.
    let unread = Cell::new(LARGEST_DIRECTORY);
    let mut archive = match zip::ZipArchive::new(Positioned { file, at: 0, size, counter, unread: &unread }) {
        Ok(archive) => archive,
        Err(error) => return Ok(Err(broken(error))),
    };
    // The directory is read; the image is bounded by `most`.
    unread.set(u64::MAX);
    if archive.len() > MOST_ENTRIES {
        return Err(ZipError::Entries(vec![format!("{} files", archive.len())]));
    }
    let mut images = Vec::new();
    for index in 0..archive.len() {
        // Raw: the entry's header is read, and nothing is decoded.
        match archive.by_index_raw(index) {
            Ok(entry) => {
                let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
                if is_image(&name, entry.is_dir() || entry.is_symlink(), entry.size()) {
                    images.push((index, name));
                }
            }
            Err(error) => return Ok(Err(broken(error))),
        }
    }
    // With several, which one is meant would depend on their order.
    let [(index, _)] = images.as_slice() else {
        return Err(ZipError::Entries(images.into_iter().map(|(_, name)| name).collect()));
    };
    Ok(match archive.by_index(*index) {
        Ok(mut entry) => {
            // The directory says the size. The decoder notices where an entry has more, and not where it has less.
            let promised = entry.size();
            if promised > most.0 {
                return Err(ZipError::TooLarge);
            }
            let mut counted = Counted { inner: &mut entry, seen: 0 };
            take(&mut counted).and_then(|()| match counted.seen {
                seen if seen == promised => Ok(()),
                seen => Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("the entry has {seen} bytes instead of {promised}"),
                )),
            })
        }
        Err(error) => Err(broken(error)),
    })
}

fn broken(error: zip::result::ZipError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Directories, what macOS adds, and what is published beside an image do not count.
fn is_image(name: &str, special: bool, size: u64) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let named_image = last.to_ascii_lowercase().ends_with(".img");
    let from_macos = name.starts_with("__MACOSX/") || last.starts_with("._") || last == ".DS_Store";
    // By its name however small, or by its size whatever its name.
    !special && !from_macos && (named_image || size >= SMALLEST_IMAGE.0)
}

/// The archive, read at positions of its own: the descriptor's position belongs to others.
struct Positioned<'a> {
    file: &'a File,
    at: u64,
    size: u64,
    counter: &'a AtomicU64,
    /// How many bytes may still be read.
    unread: &'a Cell<u64>,
}

impl Read for Positioned<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buf, self.at)?;
        let unread = self.unread.get().checked_sub(n as u64);
        let too_many =
            || io::Error::new(io::ErrorKind::InvalidData, "its directory is larger than that of any published archive");
        self.unread.set(unread.ok_or_else(too_many)?);
        self.at += n as u64;
        self.counter.store(self.at, Ordering::Relaxed);
        Ok(n)
    }
}

impl Seek for Positioned<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = place.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a position before the start"))?;
        Ok(self.at)
    }
}

struct Counted<'a, R: Read> {
    inner: &'a mut R,
    seen: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.seen += n as u64;
        Ok(n)
    }
}
