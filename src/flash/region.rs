//! What of an image goes on a card, cut into the pieces in which it is written and verified.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::image::{ByteOffset, ByteRange, ByteSize, ReadAt, Sha256Digest};

/// Withheld until everything else is verified: partition table, and with GPT its first copy.
pub const HEAD: u64 = 1 << 20;

/// The largest piece that is read, written, verified and written again. Large enough that one direct write keeps every
/// queue of a card reader full (the kernel splits it and has all parts under way at once), small enough to retry.
pub const PIECE: u64 = 4 << 20;

/// A run of bytes and what it must read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestedRange {
    /// Where it lies.
    #[serde(flatten)]
    pub range: ByteRange,
    /// Its digest.
    pub sha256: Sha256Digest,
}

/// One card's image: the golden image with this card's few blocks over it. It is read as it is written and never
/// made as a whole.
pub struct CardImage {
    /// Reads as the card shall read.
    pub image: Arc<dyn ReadAt>,
    /// The golden image's block map, in order and disjoint.
    pub map: Arc<[DigestedRange]>,
    /// Where the card differs from the golden image. May lie outside the map.
    pub changed: Vec<ByteRange>,
}

/// A run to be written as a whole, in order and disjoint from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) range: ByteRange,
    pub(super) content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// As the golden image, whose digest is known.
    Golden(Sha256Digest),
    /// This card's own.
    Own,
    /// Zeros, because nothing of the image lies there.
    Zeros,
}

/// A map that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// Ranges overlap or are out of order.
    #[error("the block map is out of order at {0}")]
    Order(ByteOffset),
    /// A range leaves the image.
    #[error("the block map leaves the image at {0}")]
    Outside(ByteOffset),
}

impl CardImage {
    /// The regions of the card, without what is blank.
    pub(super) fn regions(&self) -> Result<Vec<Region>, MapError> {
        let size = self.image.size().0;
        let inside = |range: &ByteRange| {
            let end = range.start.checked_add(range.len).filter(|end| end.0 <= size);
            end.map(|end| end.0).ok_or(MapError::Outside(range.start))
        };
        let mut regions = Vec::with_capacity(self.map.len() + self.changed.len());
        let mut behind = 0;
        for mapped in self.map.iter().filter(|mapped| !mapped.range.is_empty()) {
            let end = inside(&mapped.range)?;
            if mapped.range.start.0 < behind {
                return Err(MapError::Order(mapped.range.start));
            }
            behind = end;
            let touched = self.changed.iter().any(|changed| changed.intersect(&mapped.range).is_some());
            let content = if touched { Content::Own } else { Content::Golden(mapped.sha256) };
            regions.push(Region { range: mapped.range, content });
        }
        // What the card adds where the golden image has nothing.
        let changed = self.changed.iter().map(|range| inside(range).map(|_| *range)).collect::<Result<Vec<_>, _>>()?;
        let mapped: Vec<ByteRange> = regions.iter().map(|region| region.range).collect();
        let mut added = mapped.clone();
        for range in changed {
            let new = gaps(&added, range);
            regions.extend(new.iter().map(|&range| Region { range, content: Content::Own }));
            added.extend(new);
            added.sort_by_key(|range| range.start);
        }
        regions.sort_by_key(|region| region.range.start);
        Ok(regions)
    }
}

/// What of `within` none of the `ranges` (in order, disjoint) covers.
pub(super) fn gaps(ranges: &[ByteRange], within: ByteRange) -> Vec<ByteRange> {
    let mut gaps = Vec::new();
    let mut at = within.start.0;
    let first = ranges.partition_point(|range| range.end() <= within.start);
    for range in ranges.get(first..).unwrap_or_default() {
        if range.start >= within.end() {
            break;
        }
        if range.start.0 > at {
            gaps.push(ByteRange::new(at, range.start.0 - at));
        }
        at = at.max(range.end().0);
    }
    if at < within.end().0 {
        gaps.push(ByteRange::new(at, within.end().0 - at));
    }
    gaps
}

/// The zeros between the regions, from the head to the end of the medium, in whole grains that no region touches.
pub(super) fn blank_regions(regions: &[Region], medium: ByteSize, grain: u64) -> Vec<Region> {
    let taken: Vec<ByteRange> = regions.iter().map(|region| region.range).collect();
    let whole = ByteRange::new(HEAD, medium.0.saturating_sub(HEAD));
    let inward = |gap: ByteRange| {
        let start = gap.start.0.checked_next_multiple_of(grain)?;
        let end = gap.end().0 - gap.end().0 % grain;
        (start < end).then(|| ByteRange::new(start, end - start))
    };
    let blank = gaps(&taken, whole).into_iter().filter_map(inward);
    blank.map(|range| Region { range, content: Content::Zeros }).collect()
}

/// A run cut at every multiple of [`PIECE`], and at the end of the head.
pub(super) fn pieces(range: ByteRange) -> impl Iterator<Item = ByteRange> + Send {
    let mut at = range.start.0;
    let end = range.end().0;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let next = if at < HEAD { HEAD } else { (at / PIECE + 1).saturating_mul(PIECE) };
        let piece = ByteRange::new(at, next.min(end) - at);
        at = piece.end().0;
        Some(piece)
    })
}

/// A run widened to whole grains.
pub(super) fn widen(range: ByteRange, grain: u64) -> ByteRange {
    let start = range.start.0 - range.start.0 % grain;
    let end = range.end().0.checked_next_multiple_of(grain).unwrap_or(range.end().0);
    ByteRange::new(start, end - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing(u64);
    impl ReadAt for Nothing {
        fn size(&self) -> ByteSize {
            ByteSize(self.0)
        }
        fn read_at(&self, _: ByteOffset, _: &mut [u8]) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn card(size: u64, map: &[(u64, u64)], changed: &[(u64, u64)]) -> CardImage {
        let sha256 = Sha256Digest::of(b"");
        let map = map.iter().map(|&(start, len)| DigestedRange { range: ByteRange::new(start, len), sha256 });
        let changed = changed.iter().map(|&(start, len)| ByteRange::new(start, len)).collect();
        CardImage { image: Arc::new(Nothing(size)), map: map.collect(), changed }
    }

    #[test]
    fn what_a_card_adds_is_written_beside_what_the_map_has_and_nothing_twice() {
        let regions = card(100, &[(0, 20), (40, 20)], &[(10, 35), (12, 4), (90, 10), (95, 2)]).regions().unwrap();
        let shown: Vec<_> =
            regions.iter().map(|r| (r.range.start.0, r.range.len.0, r.content == Content::Own)).collect();
        assert_eq!(shown, [(0, 20, true), (20, 20, true), (40, 20, true), (90, 10, true)]);
    }

    #[test]
    fn a_map_that_contradicts_itself_is_refused() {
        assert_eq!(card(100, &[(0, 20), (10, 20)], &[]).regions(), Err(MapError::Order(ByteOffset(10))));
        assert_eq!(card(100, &[(90, 20)], &[]).regions(), Err(MapError::Outside(ByteOffset(90))));
        assert_eq!(card(100, &[(u64::MAX, 20)], &[]).regions(), Err(MapError::Outside(ByteOffset(u64::MAX))));
        assert_eq!(card(100, &[], &[(100, 1)]).regions(), Err(MapError::Outside(ByteOffset(100))));
    }

    #[test]
    fn pieces_end_at_the_head_and_at_multiples_of_four_mebibytes() {
        let cut: Vec<_> = pieces(ByteRange::new(512, (9 << 20) - 512)).map(|p| (p.start.0, p.end().0)).collect();
        assert_eq!(cut, [(512, 1 << 20), (1 << 20, 4 << 20), (4 << 20, 8 << 20), (8 << 20, 9 << 20)]);
    }

    #[test]
    fn blanks_never_reach_into_a_grain_that_holds_data() {
        let region = |start, len| Region { range: ByteRange::new(start, len), content: Content::Own };
        let blank = blank_regions(&[region(0, 700), region(HEAD + 100, 1000)], ByteSize(HEAD + 4096), 512);
        assert_eq!(blank.iter().map(|r| (r.range.start.0 - HEAD, r.range.len.0)).collect::<Vec<_>>(), [(1536, 2560)]);
    }
}
