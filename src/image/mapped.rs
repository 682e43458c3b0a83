//! An image of which only some ranges count.

use std::io;

use super::bytes::ReadAt;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// An image of which only some ranges count; the rest reads as zeros, and is not read.
pub struct MappedImage<T> {
    image: T,
    /// Sorted, no two of them touching.
    ranges: Vec<ByteRange>,
}

impl<T: ReadAt> MappedImage<T> {
    /// `image` as it is within `sorted`, which do not overlap.
    pub fn new(image: T, sorted: &[ByteRange]) -> MappedImage<T> {
        let mut ranges: Vec<ByteRange> = Vec::new();
        for range in sorted {
            match ranges.last_mut() {
                // Touching ranges become one, so that a read across their border is one read.
                Some(last) if last.end() == range.start => last.len.0 = last.len.0.saturating_add(range.len.0),
                _ => ranges.push(*range),
            }
        }
        MappedImage { image, ranges }
    }

    fn from(&self, at: ByteOffset) -> impl Iterator<Item = &ByteRange> {
        self.ranges.iter().skip(self.ranges.partition_point(|range| range.end() <= at))
    }
}

impl<T: ReadAt> ReadAt for MappedImage<T> {
    fn size(&self) -> ByteSize {
        self.image.size()
    }

    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        // There may be no range here, so nobody below would notice a read past the end.
        let end = at.0.checked_add(buf.len() as u64).filter(|&end| end <= self.size().0);
        let end = end.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, format!("{at} leaves the image")))?;
        let (mut rest, mut here) = (buf, at.0);
        // The buffer is used up from its front: zeros for a gap, then what the range has.
        for range in self.from(at).take_while(|range| range.start.0 < end) {
            let (start, stop) = (range.start.0.max(here), range.end().0.min(end));
            let (gap, behind) = rest.split_at_mut(usize::try_from(start - here).map_err(io::Error::other)?);
            gap.fill(0);
            let (part, behind) = behind.split_at_mut(usize::try_from(stop - start).map_err(io::Error::other)?);
            self.image.read_at(ByteOffset(start), part)?;
            (rest, here) = (behind, stop);
        }
        rest.fill(0);
        Ok(())
    }

    fn next_data(&self, from: ByteOffset) -> io::Result<Option<ByteRange>> {
        for range in self.from(from) {
            let start = range.start.max(from);
            let range = ByteRange::new(start.0, range.end().0 - start.0);
            // A mapped range may be a hole of the image all through; then the next one is asked.
            if let Some(data) = self.image.next_data(start)?.and_then(|data| data.intersect(&range)) {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::bytes::Memory;

    #[test]
    fn only_mapped_runs_are_seen() {
        let bytes: Vec<u8> = (1..=200).collect();
        let ranges = vec![ByteRange::new(10, 20), ByteRange::new(30, 5), ByteRange::new(100, 100)];
        let image = MappedImage::new(Memory::new(bytes.clone()), &ranges);
        let expected: Vec<u8> =
            (0..200).map(|i| if (10..35).contains(&i) || i >= 100 { bytes[i] } else { 0 }).collect();
        for start in 0..200 {
            for end in start..=200 {
                let mut part = vec![9; end - start];
                image.read_at(ByteOffset(start as u64), &mut part).unwrap();
                assert_eq!(part, expected[start..end], "{start}..{end}");
            }
        }
        assert!(image.read_at(ByteOffset(199), &mut [0; 2]).is_err());
        assert_eq!(image.next_data(ByteOffset(0)).unwrap(), Some(ByteRange::new(10, 25)));
        assert_eq!(image.next_data(ByteOffset(12)).unwrap(), Some(ByteRange::new(12, 23)));
        assert_eq!(image.next_data(ByteOffset(35)).unwrap(), Some(ByteRange::new(100, 100)));
        assert_eq!(image.next_data(ByteOffset(200)).unwrap(), None);
    }
}
