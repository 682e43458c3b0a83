//! Offsets, sizes, sectors and block numbers: different types, so that one is never taken for another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes in one sector of a partition table. MBR and the GPT of SD cards always count in 512-byte sectors.
pub const SECTOR_BYTES: u64 = 512;

/// A position in an image or on a medium, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteOffset(pub u64);

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// A position in 512-byte sectors from the start of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sector(pub u64);

/// The number of a file system block, counted from the start of its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BlockNumber(pub u64);

/// A range of bytes: `len` bytes from `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ByteRange {
    /// Where it begins.
    pub start: ByteOffset,
    /// How long it is.
    pub len: ByteSize,
}

impl ByteOffset {
    /// `self + size`, or `None` where that leaves 64 bits.
    pub fn checked_add(self, size: ByteSize) -> Option<ByteOffset> {
        self.0.checked_add(size.0).map(ByteOffset)
    }

    /// The distance from `earlier` to here, or `None` where `earlier` lies behind.
    pub fn checked_since(self, earlier: ByteOffset) -> Option<ByteSize> {
        self.0.checked_sub(earlier.0).map(ByteSize)
    }
}

impl Sector {
    /// Where the sector begins, or `None` where that leaves 64 bits.
    pub fn to_offset(self) -> Option<ByteOffset> {
        self.0.checked_mul(SECTOR_BYTES).map(ByteOffset)
    }
}

impl BlockNumber {
    /// Where the block begins inside its partition, for blocks of `block_size` bytes; `None` where that leaves 64 bits.
    pub fn to_offset(self, block_size: ByteSize) -> Option<ByteOffset> {
        self.0.checked_mul(block_size.0).map(ByteOffset)
    }
}

impl ByteRange {
    /// The `len` bytes from `start`.
    pub fn new(start: u64, len: u64) -> ByteRange {
        ByteRange { start: ByteOffset(start), len: ByteSize(len) }
    }

    /// The first byte behind it; saturates at the end of 64 bits.
    pub fn end(&self) -> ByteOffset {
        ByteOffset(self.start.0.saturating_add(self.len.0))
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len.0 == 0
    }

    /// The range in chunks of at most `most` bytes, from its beginning on.
    pub fn chunks(&self, most: u64) -> impl Iterator<Item = ByteRange> + use<> {
        let (mut at, end) = (self.start.0, self.end().0);
        std::iter::from_fn(move || {
            // Chunks of nothing would never come to an end.
            let chunk = ByteRange::new(at, most.max(1).min(end - at));
            at = chunk.end().0;
            (!chunk.is_empty()).then_some(chunk)
        })
    }

    /// What both share, if anything.
    pub fn intersect(&self, other: &ByteRange) -> Option<ByteRange> {
        let start = self.start.max(other.start);
        let end = self.end().min(other.end());
        match end.checked_since(start) {
            Some(len) if len.0 > 0 => Some(ByteRange { start, len }),
            _ => None,
        }
    }
}

fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

impl fmt::Display for ByteOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}", grouped(self.0))
    }
}

impl fmt::Display for Sector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sector {}", grouped(self.0))
    }
}

/// Binary units with the unit named, as people read sizes of cards: `1,612 MiB`, `29.7 GiB`, `512 B`.
impl ByteSize {
    /// How much of `whole` it is, in percent, rounded down. Of nothing at all it counts as of one byte.
    pub fn percent_of(self, whole: ByteSize) -> u64 {
        u64::try_from(u128::from(self.0) * 100 / u128::from(whole.0.max(1))).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        // Cut and not rounded: what is shown as room is there.
        let tenths = |unit: u64| (self.0 / unit, (self.0 % unit) * 10 / unit);
        match self.0 {
            n if n < KIB => write!(f, "{n} B"),
            n if n < MIB => write!(f, "{}.{} KiB", tenths(KIB).0, tenths(KIB).1),
            // MiB up to 10 GiB: sizes of images differ by less than a tenth of a GiB.
            n if n < 10 * GIB => write!(f, "{}.{} MiB", grouped(tenths(MIB).0), tenths(MIB).1),
            _ => write!(f, "{}.{} GiB", grouped(tenths(GIB).0), tenths(GIB).1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_the_way_people_read_them() {
        assert_eq!(ByteSize(512).to_string(), "512 B");
        assert_eq!(ByteSize(1536).to_string(), "1.5 KiB");
        assert_eq!(ByteSize(1612 << 20).to_string(), "1,612.0 MiB");
        assert_eq!(ByteSize(32 << 30).to_string(), "32.0 GiB");
        assert_eq!(ByteOffset(812_646_400).to_string(), "byte 812,646,400");
    }

    #[test]
    fn chunks_cover_a_range_without_gap_or_overlap() {
        let starts = |len, most| ByteRange::new(5, len).chunks(most).map(|p| (p.start.0, p.len.0)).collect::<Vec<_>>();
        assert_eq!(starts(0, 4), []);
        assert_eq!(starts(4, 4), [(5, 4)]);
        assert_eq!(starts(9, 4), [(5, 4), (9, 4), (13, 1)]);
        assert_eq!(ByteRange::new(u64::MAX - 2, 9).chunks(4).count(), 1);
    }

    #[test]
    fn ranges_meet_only_where_both_have_bytes() {
        let a = ByteRange::new(0, 10);
        assert_eq!(a.intersect(&ByteRange::new(4, 10)), Some(ByteRange::new(4, 6)));
        assert_eq!(a.intersect(&ByteRange::new(10, 10)), None);
    }
}
