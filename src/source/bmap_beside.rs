//! The `.bmap` that lies beside an image: found by its name, and taken at its word only when every range that it lists
//! has the checksum that it says. What it does not list is free, whatever bytes stand there.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use super::error::SourceError;
use crate::image::bmap_read;
use crate::image::bmap_read::{BmapFile, BmapRange, LARGEST_BMAP};
use crate::image::bytes::ReadAt;
use crate::image::file::open_for_reading;
use crate::image::hashing::AT_A_TIME;
use crate::image::mapped::MappedImage;
use crate::progress::{Progress, Task};
use crate::read_limited::read_limited;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// More would only wait for the disk.
const MOST_THREADS: usize = 4;

/// The image as the map beside `path` sees it: the listed ranges, which were just verified, and zeros elsewhere. Where
/// there is no map, the image as it is.
///
/// # Errors
/// [`SourceError::Bmap`] where the map is not usable or not for this image, [`SourceError::BmapRange`] where the image
/// is not what it says, [`SourceError::Read`].
pub fn honour(image: Arc<dyn ReadAt>, path: &Path, progress: &dyn Progress) -> Result<Arc<dyn ReadAt>, SourceError> {
    // Without a map, all of the image counts.
    let Some(place) = map_beside(path) else { return Ok(image) };
    let unusable = |what| SourceError::Bmap { path: place.clone(), what };
    let map = bmap_read::parse(&read(&place)?).map_err(unusable)?;
    // A map of another release would call used blocks free, and they would be lost without a word.
    if map.image != image.size() {
        let (said, found) = (map.image.0, image.size().0);
        return Err(unusable(format!("it is for an image of {said} bytes, and {} has {found}", path.display())));
    }
    let ranges: Vec<ByteRange> = map.ranges.iter().map(|mapped| mapped.range).collect();
    // They lie in the image and do not overlap, so the sum fits.
    let mapped = ByteSize(ranges.iter().map(|range| range.len.0).sum());
    let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut task = progress.task(&name, Some(mapped));
    if let Err(error) = verify(&*image, &map, task.as_mut()) {
        task.failed("the image is not what it says");
        return Err(match error {
            Wrong::Range(range) => SourceError::BmapRange { image: path.to_owned(), bmap: place, range },
            Wrong::Read(at, source) => SourceError::Read { path: path.to_owned(), at, source },
        });
    }
    let verified = match map.ranges.iter().all(|mapped| mapped.checksum.is_some()) {
        true => "every range has its checksum",
        false => "it has no checksums, so nothing was compared",
    };
    task.done(&format!("{mapped} of {} mapped, the rest is free; {verified}", map.image));
    Ok(Arc::new(MappedImage::new(image, &ranges)))
}

/// `IMAGE.img.xz.bmap`, `IMAGE.img.bmap` or `IMAGE.bmap`, the first that is there: where bmaptool looks, too.
pub fn map_beside(path: &Path) -> Option<PathBuf> {
    const PACKED: [&str; 5] = ["xz", "gz", "zst", "zip", "img"];
    let mut stem = path.to_owned();
    // From the longest name to the shortest: one ending less each time.
    loop {
        let mut name = stem.file_name()?.to_owned();
        name.push(".bmap");
        let candidate = stem.with_file_name(name);
        if candidate.is_file() {
            return Some(candidate);
        }
        let ending = stem.extension().and_then(OsStr::to_str)?.to_ascii_lowercase();
        if !PACKED.contains(&ending.as_str()) {
            // Any other ending belongs to the name: `raspios-12.4` is not packed.
            return None;
        }
        stem.set_extension("");
    }
}

fn read(place: &Path) -> Result<Vec<u8>, SourceError> {
    let bad = |what| SourceError::Bmap { path: place.to_owned(), what };
    open_for_reading(place).and_then(|file| read_limited(file, LARGEST_BMAP)).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => bad(format!("{error}, and no map needs so much")),
        _ => bad(format!("it cannot be read: {error}")),
    })
}

enum Wrong {
    Range(ByteRange),
    Read(ByteOffset, io::Error),
}

/// Compares all ranges with their checksums, on as many cores as there are. Of several wrong ones the first is told.
fn verify(image: &dyn ReadAt, map: &BmapFile, task: &mut dyn Task) -> Result<(), Wrong> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let next = AtomicUsize::new(0);
    let (tell, told) = channel();
    let results: Vec<Result<(), Wrong>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (tell, next) = (tell.clone(), &next);
                scope.spawn(move || {
                    let mut buffer = Vec::new();
                    // One by one, because ranges differ in size.
                    while let Some(mapped) = map.ranges.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let compared = compare(image, map, mapped, &mut buffer, &mut |bytes| {
                            // The receiver lives as long as this scope. An error would only lose progress.
                            let _ = tell.send(bytes);
                        });
                        if compared.is_err() {
                            // The others end with what they have begun: the first wrong range in the order of the image
                            // is told, not in that of time.
                            next.store(map.ranges.len(), Ordering::Relaxed);
                            return compared;
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        // The loop below ends when the last sender is gone, and this one is ours.
        drop(tell);
        let mut done = 0u64;
        for bytes in told {
            done += bytes;
            task.at(ByteSize(done));
        }
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    });
    let place = |wrong: &Wrong| match wrong {
        Wrong::Range(range) => range.start,
        Wrong::Read(at, _) => *at,
    };
    results.into_iter().filter_map(Result::err).min_by_key(place).map_or(Ok(()), Err)
}

fn compare(
    image: &dyn ReadAt,
    map: &BmapFile,
    mapped: &BmapRange,
    buffer: &mut Vec<u8>,
    tell: &mut dyn FnMut(u64),
) -> Result<(), Wrong> {
    // Without a checksum there is nothing to compare, which is said at the end.
    let (Some(kind), Some(expected)) = (map.kind, &mapped.checksum) else { return Ok(()) };
    let mut hasher = kind.hasher();
    for chunk in mapped.range.chunks(AT_A_TIME as u64) {
        buffer.resize(usize::try_from(chunk.len.0).unwrap_or(0), 0);
        image.read_at(chunk.start, buffer).map_err(|source| Wrong::Read(chunk.start, source))?;
        hasher.update(buffer);
        tell(chunk.len.0);
    }
    match *hasher.finalize() == **expected {
        true => Ok(()),
        false => Err(Wrong::Range(mapped.range)),
    }
}
