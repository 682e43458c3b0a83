//! An image of which every mapped range is compared with its digest before anything of it is used.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::blockmap::BlockMap;
use super::bytes::ReadAt;
use super::digest::Sha256Digest;
use super::units::{ByteOffset, ByteRange, ByteSize};

/// Answers a read only when the mapped ranges that it touches have the digests of the map. A range is hashed the first
/// time that it is touched, so whoever looks at a few structures pays for a few ranges, not for the image.
pub struct VerifiedImage {
    image: Arc<dyn ReadAt>,
    map: BlockMap,
    seen: Vec<AtomicBool>,
}

impl VerifiedImage {
    /// `image` as `map` describes it. What the map does not list is free, and passes as it is.
    pub fn new(image: Arc<dyn ReadAt>, map: BlockMap) -> VerifiedImage {
        let seen = map.ranges().iter().map(|_| AtomicBool::new(false)).collect();
        VerifiedImage { image, map, seen }
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
        for (mapped, seen) in touched.take_while(|(mapped, _)| mapped.range.intersect(&span).is_some()) {
            if seen.load(Ordering::Relaxed) {
                continue;
            }
            let mut whole = vec![0; usize::try_from(mapped.range.len.0).map_err(io::Error::other)?];
            self.image.read_at(mapped.range.start, &mut whole)?;
            if Sha256Digest::of(&whole) != mapped.sha256 {
                let what = format!("the golden image is not what its manifest says at {}", mapped.range.start);
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            seen.store(true, Ordering::Relaxed);
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
    fn what_rotted_is_not_read_and_what_did_not_is() {
        let bytes: Vec<u8> = (0..50_000u32).map(|i| (i >> 3) as u8).collect();
        let runs = [ByteRange::new(0, 4096), ByteRange::new(8192, 4096), ByteRange::new(40_960, 4096)];
        let map = BlockMap::digest(&Memory::new(bytes.clone()), &runs, Silent.task("", None).as_mut()).unwrap();
        let mut rotten = bytes.clone();
        rotten[8192 + 4000] ^= 1;
        rotten[20_000] ^= 1;
        let image = VerifiedImage::new(Arc::new(Memory::new(rotten)), map);
        let mut buf = [0; 100];
        image.read_at(ByteOffset(5), &mut buf).unwrap();
        assert_eq!(buf, bytes[5..105]);
        image.read_at(ByteOffset(20_000), &mut buf).unwrap();
        for at in [8192 - 99, 8192, 12_200] {
            let error = image.read_at(ByteOffset(at), &mut buf).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{at}");
        }
        image.read_at(ByteOffset(8192 - 100), &mut buf).unwrap();
        image.read_at(ByteOffset(40_960), &mut buf).unwrap();
    }
}
