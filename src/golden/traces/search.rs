//! Searches an image for all traces while it is read for something else, too.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::grams::Grams;
use super::set::{Scope, Trace, Traces};
use crate::units::ByteOffset;

/// So many hits are kept for a look at what holds them. An image that has more of them is full of what was stripped.
pub const MOST_HITS: usize = 1_000_000;

/// A trace that is still there.
pub struct Hit<'n> {
    /// Where it begins in the image.
    pub at: ByteOffset,
    /// Which.
    pub trace: &'n Trace,
}

/// A search that is fed the image from its beginning to its end.
pub struct Search<'n> {
    grams: Grams<'n>,
    /// A trace may begin in what was fed before: so many bytes of it are kept.
    kept: usize,
    /// The end of what was fed before, and room for the beginning of what comes.
    seam: Zeroizing<Vec<u8>>,
    /// Where what was fed ends.
    end: ByteOffset,
    found: Found<'n>,
}

/// What was found of all traces.
#[derive(Default)]
pub struct Found<'n> {
    /// Of a trace that may stand nowhere the first hit, of the others all.
    pub hits: Vec<Hit<'n>>,
    /// Hits that were not kept, beyond [`MOST_HITS`]: nobody looked at what holds them.
    pub not_kept: u64,
    /// In how many further places the traces stand that may stand nowhere.
    pub again: u64,
    /// Traces that may stand nowhere, and were met.
    met: HashSet<*const Trace>,
}

impl<'n> Found<'n> {
    fn add(&mut self, at: u64, trace: &'n Trace) {
        // One place is as bad as a hundred. Of the others each place has to be looked at: it may be a file that stays.
        if trace.scope == Scope::Anywhere && !self.met.insert(trace) {
            self.again = self.again.saturating_add(1);
        } else if self.hits.len() < MOST_HITS {
            self.hits.push(Hit { at: ByteOffset(at), trace });
        } else {
            self.not_kept = self.not_kept.saturating_add(1);
        }
    }
}

impl<'n> Search<'n> {
    /// A search for all of `traces`.
    pub fn of(traces: &'n Traces) -> Search<'n> {
        let longest = traces.iter().map(|trace| trace.bytes.len()).max().unwrap_or_default();
        let kept = longest.saturating_sub(1);
        let seam = Zeroizing::new(Vec::with_capacity(2 * kept));
        Search { grams: Grams::of(traces), kept, seam, end: ByteOffset(0), found: Found::default() }
    }

    /// Searches `bytes`, which stand at `at` in the image. Where they touch what was fed before, a trace that lies over
    /// the border is found.
    pub fn feed(&mut self, at: ByteOffset, bytes: &[u8]) {
        // What the map leaves out lies between two ranges: their bytes are no neighbours, and joined they could make up
        // what stands nowhere.
        if at != self.end {
            self.seam.clear();
        }
        let (before, base) = (self.seam.len(), at.0.saturating_sub(self.seam.len() as u64));
        self.seam.extend_from_slice(bytes.get(..self.kept.min(bytes.len())).unwrap_or_default());
        let found = &mut self.found;
        self.grams.find(&self.seam, |start, trace| {
            // What lies on one side only is found with that side.
            if start < before && start + trace.bytes.len() > before {
                found.add(base + start as u64, trace);
            }
        });
        self.grams.find(bytes, |start, trace| found.add(at.0 + start as u64, trace));
        // The last bytes, also where so few came that some of those before are among them.
        if bytes.len() >= self.kept {
            self.seam.clear();
            self.seam.extend_from_slice(bytes.get(bytes.len() - self.kept..).unwrap_or_default());
        } else {
            let surplus = self.seam.len().saturating_sub(self.kept);
            self.seam.drain(..surplus);
        }
        self.end = ByteOffset(at.0.saturating_add(bytes.len() as u64));
    }

    /// What was found.
    pub fn found(self) -> Found<'n> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::super::set::Scope;
    use super::*;

    #[test]
    fn traces_are_found_across_borders_however_short_the_pieces_are_and_only_once() {
        let trace = b"mi-0123456789abcdef0";
        let mut traces = Traces::default();
        traces.add(trace, "instance id", "/x", Scope::Residue);
        traces.add(b"a longer one, so that more than one trace is kept of what was before", "x", "/x", Scope::Anywhere);
        let mut image = vec![0; 3 << 16];
        let places = [5, 4096 - 7, (1 << 16) - 3, (2 << 16) - 20, (2 << 16) + 4096, (3 << 16) - 20];
        for at in places {
            image[at..at + 20].copy_from_slice(trace);
        }
        for piece in [1, 7, 19, 20, 21, 68, 69, 4096, 1 << 16, 3 << 16] {
            let mut search = Search::of(&traces);
            for (n, bytes) in image.chunks(piece).enumerate() {
                search.feed(ByteOffset((n * piece) as u64), bytes);
            }
            let mut found: Vec<_> = search.found().hits.iter().map(|hit| hit.at.0 as usize).collect();
            found.sort_unstable();
            assert_eq!(found, places, "in pieces of {piece}");
        }
    }

    #[test]
    fn of_what_may_stand_nowhere_one_place_is_kept_and_the_others_are_counted() {
        let mut traces = Traces::default();
        traces.add(b"0123456789abcdef", "id", "/x", Scope::Anywhere);
        traces.add(b"fedcba9876543210", "sample", "/y", Scope::Residue);
        let mut search = Search::of(&traces);
        let text = [&b"0123456789abcdef"[..], b"fedcba9876543210"].concat().repeat(200);
        search.feed(ByteOffset(0), &text);
        let found = search.found();
        let of = |kind| found.hits.iter().filter(|hit| hit.trace.kind == kind).count();
        assert_eq!((of("id"), of("sample"), found.again, found.not_kept), (1, 200, 199, 0));
    }

    #[test]
    fn what_does_not_touch_is_not_joined() {
        let mut traces = Traces::default();
        traces.add(b"0123456789abcdef", "id", "/x", Scope::Anywhere);
        let mut search = Search::of(&traces);
        search.feed(ByteOffset(0), b"01234567");
        search.feed(ByteOffset(4096), b"89abcdef");
        assert!(search.found().hits.is_empty());
    }
}
