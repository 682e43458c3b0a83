//! Ranges of blocks that lie over a base image, by kind.

use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The file holds the bytes.
    Written,
    /// The bytes are zeros, and take no space.
    Punched,
}

/// Disjoint ranges by block number: start → (end, kind). Neighbours of one kind are merged.
#[derive(Default)]
pub(super) struct BlockRanges(BTreeMap<u64, (u64, Kind)>);

impl BlockRanges {
    /// The range that holds `block`, if one does.
    pub(super) fn at(&self, block: u64) -> Option<(u64, u64, Kind)> {
        // Ranges are disjoint, so only the last one that begins at or before `block` can hold it.
        let (&start, &(end, kind)) = self.0.range(..=block).next_back()?;
        (block < end).then_some((start, end, kind))
    }

    /// Where the next range behind `block` begins.
    pub(super) fn next_start(&self, block: u64) -> Option<u64> {
        self.0.range(block.saturating_add(1)..).next().map(|(&start, _)| start)
    }

    /// Every range as (start, end), in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(&start, &(end, _))| (start, end))
    }

    /// Makes `start..end` one range of `kind`, whatever was there.
    pub(super) fn set(&mut self, mut start: u64, mut end: u64, kind: Kind) {
        // Without blocks it would only overwrite the entry of the range that begins here.
        if start >= end {
            return;
        }
        // Cut what reaches in from the left and from the right, then drop what lies inside.
        if let Some((left, left_end, left_kind)) = self.at(start) {
            self.0.insert(left, (start, left_kind));
            // Nothing of it is left of the cut.
            if left == start {
                self.0.remove(&left);
            }
            // It reaches past both ends: what is behind `end` becomes a range of its own.
            if left_end > end {
                self.0.insert(end, (left_end, left_kind));
            }
        }
        if let Some((last, last_end, last_kind)) = self.at(end - 1).filter(|&(s, _, _)| s >= start) {
            self.0.remove(&last);
            if last_end > end {
                self.0.insert(end, (last_end, last_kind));
            }
        }
        // Not `retain`, which would visit every range of the image for each write.
        let inside: Vec<u64> = self.0.range(start..end).map(|(&s, _)| s).collect();
        for s in inside {
            self.0.remove(&s);
        }
        // Merge with equal neighbours.
        if let Some((left, left_end, left_kind)) = start.checked_sub(1).and_then(|before| self.at(before))
            && left_kind == kind
            && left_end == start
        {
            self.0.remove(&left);
            start = left;
        }
        if let Some(&(right_end, right_kind)) = self.0.get(&end)
            && right_kind == kind
        {
            self.0.remove(&end);
            end = right_end;
        }
        self.0.insert(start, (end, kind));
    }
}
