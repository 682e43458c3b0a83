//! An image of which every mapped range that was read is compared with its digest before anything counts that came of it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::blockmap::{BlockMap, MappedRange};
use super::bytes::ReadAt;
use super::hashing::{AT_A_TIME, digest_of_range};
use super::parallel::in_parallel;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// Notes which mapped ranges were read. What was made of them counts only after [`VerifiedImage::check`]. Each is hashed
/// once, so whoever looks at a few structures pays for a few ranges, not for the image.
pub struct VerifiedImage {
    image: Arc<dyn ReadAt>,
    map: BlockMap,
    seen: Vec<Seen>,
}

#[derive(Default)]
struct Seen {
    read: AtomicBool,
    right: AtomicBool,
}

impl VerifiedImage {
    /// `image` as `map` describes it. What the map does not list is free, and passes as it is.
    pub fn new(image: Arc<dyn ReadAt>, map: BlockMap) -> VerifiedImage {
        let seen = map.ranges().iter().map(|_| Seen::default()).collect();
        VerifiedImage { image, map, seen }
    }

    /// Whether everything that was read so far has the digests of the map.
    ///
    /// # Errors
    /// `InvalidData` where it does not: nothing may be used that came of it. Otherwise read errors.
    pub fn check(&self) -> io::Result<()> {
        // What was found right stays right: the ranges that every card reads are hashed once for all of them.
        let unsure = |seen: &Seen| seen.read.load(Ordering::Acquire) && !seen.right.load(Ordering::Relaxed);
        let read: Vec<_> = self.map.ranges().iter().zip(&self.seen).filter(|(_, seen)| unsure(seen)).collect();
        in_parallel(&read, |(MappedRange { range, sha256 }, seen)| {
            // Read a second time, because readers take parts of a range and a digest needs all of it. Mostly it comes
            // from the page cache.
            if digest_of_range(&*self.image, *range, &mut vec![0; AT_A_TIME], &mut |_, _| ())? != *sha256 {
                let what = format!("the golden image is not what its manifest says at {}", range.start);
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            // Two checks at once may both hash it, which costs time and harms nothing.
            seen.right.store(true, Ordering::Relaxed);
            Ok(())
        })
        .map(drop)
    }
}

impl ReadAt for VerifiedImage {
    fn size(&self) -> ByteSize {
        self.image.size()
    }

    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        let span = ByteRange { start: at, len: ByteSize(buf.len() as u64) };
        let ranges = self.map.ranges();
        let first = ranges.partition_point(|mapped| mapped.range.end() <= at);
        let touched = ranges.iter().zip(&self.seen).skip(first);
        for (_, seen) in touched.take_while(|(mapped, _)| mapped.range.intersect(&span).is_some()) {
            // Before the read: a check in between may hash a range too many, never one too few.
            seen.read.store(true, Ordering::Release);
        }
        self.image.read_at(at, buf)
    }

    fn next_data(&self, from: ByteOffset) -> io::Result<Option<ByteRange>> {
        self.image.next_data(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::bytes::Memory;
    use crate::progress::{Progress, Silent};

    #[test]
    fn what_rotted_and_was_read_is_told_and_what_nobody_read_is_not() {
        let bytes: Vec<u8> = (0..50_000u32).map(|i| (i >> 3) as u8).collect();
        let used = [ByteRange::new(0, 4096), ByteRange::new(8192, 4096), ByteRange::new(40_960, 4096)];
        let map = BlockMap::digest(&Memory::new(bytes.clone()), &used, Silent.task("", None).as_mut()).unwrap();
        let mut rotten = bytes.clone();
        rotten[8192 + 4000] ^= 1;
        rotten[20_000] ^= 1;
        let image = || VerifiedImage::new(Arc::new(Memory::new(rotten.clone())), map.clone());
        let mut buf = [0; 100];
        for at in [8192 - 99, 8192, 12_200] {
            let image = image();
            image.read_at(ByteOffset(at), &mut buf).unwrap();
            for _ in 0..2 {
                assert_eq!(image.check().unwrap_err().kind(), io::ErrorKind::InvalidData, "{at}");
            }
        }
        let image = image();
        for at in [5, 20_000, 8192 - 100, 40_960] {
            image.read_at(ByteOffset(at), &mut buf).unwrap();
            image.check().unwrap();
        }
        image.read_at(ByteOffset(12_200), &mut buf).unwrap();
        image.check().unwrap_err();
    }
}
