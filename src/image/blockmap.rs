//! The block map: which byte ranges of an image carry meaning, each with its digest. The rest is never read, written or
//! verified.

use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::bytes::ReadAt;
use super::hashing::{AT_A_TIME, digest_of_range};
use super::parallel::in_parallel;
use crate::digest::Sha256Digest;
use crate::progress::Task;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// The step of a map. Cards, loop devices and O_DIRECT all agree with it.
pub const MAP_BLOCK: u64 = 4096;

/// No range is longer, so that a bad spot on a card costs one small write more, not a whole card.
pub const LONGEST_RANGE: u64 = 4 << 20;

/// A range that carries meaning, and what it must read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MappedRange {
    /// Where it lies.
    #[serde(flatten)]
    pub range: ByteRange,
    /// Its digest.
    pub sha256: Sha256Digest,
}

/// Sorted ranges that do not overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockMap {
    ranges: Vec<MappedRange>,
}

/// A list of ranges that is no map of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMap {
    /// A range leaves the image.
    #[error("the mapped range at {0} leaves the image")]
    Outside(ByteOffset),
    /// A range is empty, too long, or not behind the one before it.
    #[error("the mapped range at {0} is empty, longer than 4 MiB, or overlaps the one before it")]
    Disorder(ByteOffset),
}

impl BlockMap {
    /// A map from elsewhere (a manifest, a .bmap), checked against the size of its image.
    ///
    /// # Errors
    /// [`BadMap`].
    pub fn new(ranges: Vec<MappedRange>, image: ByteSize) -> Result<BlockMap, BadMap> {
        let mut behind = 0;
        for mapped in &ranges {
            let (start, len) = (mapped.range.start, mapped.range.len.0);
            // Order first: everything that walks a map relies on it, and a map comes from a manifest that anybody may
            // have written.
            if start.0 < behind || len == 0 || len > LONGEST_RANGE {
                return Err(BadMap::Disorder(start));
            }
            // As a sum that may overflow: `start` is as untrusted as the length.
            behind =
                start.checked_add(mapped.range.len).filter(|end| end.0 <= image.0).ok_or(BadMap::Outside(start))?.0;
        }
        Ok(BlockMap { ranges })
    }

    /// Reads the `used` ranges of `image` (in any order, overlapping or not) and notes their digests.
    ///
    /// # Errors
    /// The image's read errors; a range that leaves the image.
    pub fn digest(image: &dyn ReadAt, used: &[ByteRange], task: &mut dyn Task) -> io::Result<BlockMap> {
        BlockMap::digest_and(image, used, task, &mut |_, _| ())
    }

    /// As [`BlockMap::digest`], and `also` looks at every byte that is read, in order: to read it a second time would take
    /// longer than most that can be done with it.
    ///
    /// # Errors
    /// As [`BlockMap::digest`].
    pub fn digest_and(
        image: &dyn ReadAt,
        used: &[ByteRange],
        task: &mut dyn Task,
        also: &mut dyn FnMut(ByteOffset, &[u8]),
    ) -> io::Result<BlockMap> {
        let mut ranges = Vec::new();
        let mut buffer = vec![0; AT_A_TIME];
        // One after the other, because `also` sees the bytes in the order of the image.
        for range in cut(used, image.size()) {
            ranges.push(MappedRange { range, sha256: digest_of_range(image, range, &mut buffer, also)? });
            // By place in the image, not by bytes read: free space that is skipped counts as done.
            task.at(ByteSize(range.end().0));
        }
        Ok(BlockMap { ranges })
    }

    /// The map of an image that differs from the one of `self` only in `changed`: digests of ranges that no change
    /// touches are taken over, everything else of `used` is read. This is what makes a card's map cost nothing.
    ///
    /// # Errors
    /// As [`BlockMap::digest`].
    pub fn amended(&self, image: &dyn ReadAt, used: &[ByteRange], changed: &[ByteRange]) -> io::Result<BlockMap> {
        // By the whole range: one that begins elsewhere or is longer has another digest, changed or not.
        let known: std::collections::HashMap<ByteRange, Sha256Digest> =
            self.ranges.iter().map(|mapped| (mapped.range, mapped.sha256)).collect();
        let untouched = |range: &ByteRange| !changed.iter().any(|change| change.intersect(range).is_some());
        let digest = |range: &ByteRange| {
            let sha256 = match known.get(range).filter(|_| untouched(range)) {
                Some(sha256) => *sha256,
                // A buffer for each: several threads are here at once, and few ranges get this far.
                None => digest_of_range(image, *range, &mut vec![0; AT_A_TIME], &mut |_, _| ())?,
            };
            Ok::<_, io::Error>(MappedRange { range: *range, sha256 })
        };
        Ok(BlockMap { ranges: in_parallel(&cut(used, image.size()), digest)? })
    }

    /// The ranges, sorted.
    pub fn ranges(&self) -> &[MappedRange] {
        &self.ranges
    }

    /// Where they lie.
    pub fn places(&self) -> Vec<ByteRange> {
        self.ranges.iter().map(|mapped| mapped.range).collect()
    }

    /// How many bytes carry meaning.
    pub fn mapped_size(&self) -> ByteSize {
        // Saturating: a map that was just deserialised has not been through `new`.
        ByteSize(self.ranges.iter().map(|mapped| mapped.range.len.0).fold(0, u64::saturating_add))
    }

    /// The digest over the map: offsets, lengths and digests of all ranges. Two images with the same value are the same
    /// wherever it matters.
    pub fn fingerprint(&self) -> Sha256Digest {
        let mut hasher = Sha256::new();
        for mapped in &self.ranges {
            // Of fixed width, so that no two maps give the same bytes.
            hasher.update(mapped.range.start.0.to_le_bytes());
            hasher.update(mapped.range.len.0.to_le_bytes());
            hasher.update(mapped.sha256.0);
        }
        Sha256Digest::from_hasher(hasher)
    }
}

/// The ranges of the map that covers `used`: these, widened to whole blocks (the image's end excepted), merged, and cut
/// where a multiple of 4 MiB lies. Cutting
/// at fixed places keeps most ranges the same when a little changes.
pub fn cut(used: &[ByteRange], image: ByteSize) -> Vec<ByteRange> {
    let mut wide: Vec<(u64, u64)> = used
        .iter()
        .filter(|range| !range.is_empty())
        .map(|range| {
            let start = range.start.0 - range.start.0 % MAP_BLOCK;
            let end = range.end().0.checked_next_multiple_of(MAP_BLOCK).unwrap_or(u64::MAX).min(image.0);
            (start, end)
        })
        .filter(|(start, end)| start < end)
        .collect();
    // Sorted, so that each range can only touch the one before it.
    wide.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (start, end) in wide {
        match merged.last_mut() {
            // `<=`: ranges that touch become one, so that the cuts do not depend on how they came.
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    let mut out = Vec::new();
    for (mut start, end) in merged {
        while start < end {
            // At the next multiple of 4 MiB, not 4 MiB behind `start`: then a range that begins elsewhere moves one cut
            // only.
            let stop = (start - start % LONGEST_RANGE).saturating_add(LONGEST_RANGE).min(end);
            out.push(ByteRange::new(start, stop - start));
            start = stop;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_widened_merged_and_cut_at_fixed_places() {
        let used = [ByteRange::new(5000, 10), ByteRange::new(0, 512), ByteRange::new(8192, LONGEST_RANGE)];
        let image = ByteSize(LONGEST_RANGE + 10_000);
        let found = cut(&used, image);
        assert_eq!(found, [ByteRange::new(0, LONGEST_RANGE), ByteRange::new(LONGEST_RANGE, 8192)]);
        assert_eq!(
            cut(&[ByteRange::new(LONGEST_RANGE + 9_000, 100)], image),
            [ByteRange::new(LONGEST_RANGE + 8192, 1808)]
        );
        assert_eq!(cut(&[ByteRange::new(7, 0)], image), []);
    }

    #[test]
    fn maps_from_elsewhere_are_checked() {
        let at = |start, len| MappedRange { range: ByteRange::new(start, len), sha256: Sha256Digest::of(b"") };
        let size = ByteSize(100_000);
        assert!(BlockMap::new(vec![at(0, 4096), at(4096, 10)], size).is_ok());
        assert_eq!(BlockMap::new(vec![at(0, 4096), at(4000, 10)], size), Err(BadMap::Disorder(ByteOffset(4000))));
        assert_eq!(BlockMap::new(vec![at(99_999, 10)], size), Err(BadMap::Outside(ByteOffset(99_999))));
        assert_eq!(BlockMap::new(vec![at(u64::MAX, 10)], size), Err(BadMap::Outside(ByteOffset(u64::MAX))));
        assert_eq!(BlockMap::new(vec![at(0, LONGEST_RANGE + 1)], size), Err(BadMap::Disorder(ByteOffset(0))));
    }
}
