//! What of an image goes on a card, cut into the chunks in which it is written and verified.

use std::ops::Range;
use std::sync::Arc;

use super::failure::CardError;
use crate::digest::Sha256Digest;
use crate::image::{BlockMap, MappedRange, ReadAt};
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// Withheld until everything else is verified: partition table, and with GPT its first copy.
pub const HEAD: u64 = 1 << 20;

/// The largest chunk that is read, written, verified and written again; the block map is cut the same way. Large enough
/// that one direct write keeps every queue of a card reader full (the kernel splits it and has all parts under way at
/// once), small enough to retry.
pub const CHUNK: u64 = crate::image::blockmap::LONGEST_RANGE;

/// One card's image: the golden image with this card's few blocks over it. It is read as it is written and never
/// made as a whole.
pub struct CardImage {
    /// Reads as the card shall read.
    pub image: Arc<dyn ReadAt>,
    /// What goes on the card, with the digests that it must read back as.
    pub map: BlockMap,
}

/// How a card's map differs from its golden image's: the ranges that only the card has, and those of the golden image
/// that they stand for.
pub(super) fn differences(golden: &BlockMap, card: &BlockMap) -> (Vec<MappedRange>, Vec<ByteRange>) {
    let key = |mapped: &MappedRange| (mapped.range, mapped.sha256);
    let of = |map: &BlockMap| map.ranges().iter().map(key).collect::<std::collections::HashSet<_>>();
    let (in_golden, on_card) = (of(golden), of(card));
    let own = card.ranges().iter().filter(|mapped| !in_golden.contains(&key(mapped))).copied().collect();
    let instead_of = golden.ranges().iter().filter(|mapped| !on_card.contains(&key(mapped)));
    (own, instead_of.map(|mapped| mapped.range).collect())
}

/// A range of at most [`CHUNK`] bytes to be written, disjoint from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Chunk {
    pub(super) range: ByteRange,
    pub(super) content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Content {
    /// The image's bytes, which must have this digest.
    Image(Sha256Digest),
    /// Zeros, because nothing of the image lies there.
    Zeros,
}

/// How many bytes they are together.
pub(super) fn total(chunks: &[Chunk]) -> ByteSize {
    ByteSize(chunks.iter().map(|chunk| chunk.range.len.0).sum())
}

/// What the map asks for.
pub(super) fn mapped_chunks(map: &BlockMap) -> Vec<Chunk> {
    let chunk = |mapped: &MappedRange| Chunk { range: mapped.range, content: Content::Image(mapped.sha256) };
    map.ranges().iter().map(chunk).collect()
}

/// Zeros for what `before` has and the `chunks` (in order) have not, in whole sectors that no chunk touches: it was
/// written already, and must not be left where the card has nothing.
pub(super) fn left_over(before: &[Chunk], chunks: &[Chunk], alignment: u64) -> Vec<Chunk> {
    let taken: Vec<ByteRange> = chunks.iter().map(|chunk| widen(chunk.range, alignment)).collect();
    let left = before.iter().flat_map(|chunk| gaps(&taken, chunk.range));
    let whole = left.filter_map(|gap| whole_sectors(gap, alignment));
    whole.map(|range| Chunk { range, content: Content::Zeros }).collect()
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

/// The zeros between the chunks, from the head to the end of the medium, in whole sectors that no chunk touches.
pub(super) fn unused_chunks(chunks: &[Chunk], medium: ByteSize, alignment: u64) -> Vec<Chunk> {
    let taken: Vec<ByteRange> = chunks.iter().map(|chunk| chunk.range).collect();
    let whole = ByteRange::new(HEAD, medium.0.saturating_sub(HEAD));
    let unused =
        gaps(&taken, whole).into_iter().filter_map(|gap| whole_sectors(gap, alignment)).flat_map(cut_at_chunks);
    unused.map(|range| Chunk { range, content: Content::Zeros }).collect()
}

/// The whole sectors within a range.
fn whole_sectors(range: ByteRange, alignment: u64) -> Option<ByteRange> {
    let start = range.start.0.checked_next_multiple_of(alignment)?;
    let end = range.end().0 - range.end().0 % alignment;
    (start < end).then(|| ByteRange::new(start, end - start))
}

/// A range cut at every multiple of [`CHUNK`].
fn cut_at_chunks(range: ByteRange) -> impl Iterator<Item = ByteRange> {
    let mut at = range.start.0;
    let end = range.end().0;
    std::iter::from_fn(move || {
        let next = (at / CHUNK + 1).saturating_mul(CHUNK).min(end);
        let part = (at < end).then(|| ByteRange::new(at, next - at));
        at = next;
        part
    })
}

/// A range widened to whole sectors.
pub(super) fn widen(range: ByteRange, alignment: u64) -> ByteRange {
    let start = range.start.0 - range.start.0 % alignment;
    let end = range.end().0.checked_next_multiple_of(alignment).unwrap_or(range.end().0);
    ByteRange::new(start, end - start)
}

/// The image's bytes; zeros behind its end.
pub(super) fn read_image(image: &dyn ReadAt, range: ByteRange, buffer: &mut [u8]) -> Result<(), CardError> {
    let inside = image.size().0.saturating_sub(range.start.0).min(buffer.len() as u64);
    let (data, behind) = buffer.split_at_mut(usize::try_from(inside).unwrap_or(0));
    behind.fill(0);
    if data.is_empty() {
        return Ok(());
    }
    image
        .read_at(range.start, data)
        .map_err(|error| CardError::Source { what: format!("reading {inside} bytes at {}: {error}", range.start) })
}

/// Where the bytes of `range` are in a buffer that holds those of `whole`.
pub(super) fn place(whole: ByteRange, range: ByteRange) -> Range<usize> {
    let index = |at: ByteOffset| usize::try_from(at.0.saturating_sub(whole.start.0)).unwrap_or(usize::MAX);
    index(range.start)..index(range.end())
}

/// The bytes of `range`, out of a buffer that holds those of `whole`.
pub(super) fn part(buffer: &[u8], whole: ByteRange, range: ByteRange) -> &[u8] {
    buffer.get(place(whole, range)).unwrap_or_default()
}

pub(super) fn not_golden(range: ByteRange) -> String {
    format!("the {} at {} are not what the manifest says: the file was changed or is damaged", range.len, range.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_space_never_reaches_into_a_sector_that_holds_data() {
        let content = Content::Image(Sha256Digest::of(b""));
        let chunk = |start, len| Chunk { range: ByteRange::new(start, len), content };
        let unused = unused_chunks(&[chunk(0, 700), chunk(HEAD + 100, 1000)], ByteSize(HEAD + 4096), 512);
        assert_eq!(unused.iter().map(|r| (r.range.start.0 - HEAD, r.range.len.0)).collect::<Vec<_>>(), [(1536, 2560)]);
        let unused = unused_chunks(&[chunk(2 << 20, 1 << 20)], ByteSize(9 << 20), 4096);
        let shown: Vec<_> = unused.iter().map(|r| (r.range.start.0 >> 20, r.range.end().0 >> 20)).collect();
        assert_eq!(shown, [(1, 2), (3, 4), (4, 8), (8, 9)]);
    }
}
