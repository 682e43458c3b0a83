//! Searches an image for all traces while it is read for something else, too.

use zeroize::Zeroizing;

use super::grams::Grams;
use super::set::{Trace, Traces};
use crate::units::ByteOffset;

/// So many hits are enough; an image full of them need not be listed whole.
const MOST_HITS: usize = 100;

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
    hits: Vec<Hit<'n>>,
}

impl<'n> Search<'n> {
    /// A search for all of `traces`.
    pub fn of(traces: &'n Traces) -> Search<'n> {
        let longest = traces.iter().map(|trace| trace.bytes.len()).max().unwrap_or_default();
        let kept = longest.saturating_sub(1);
        let seam = Zeroizing::new(Vec::with_capacity(2 * kept));
        Search { grams: Grams::of(traces), kept, seam, end: ByteOffset(0), hits: Vec::new() }
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
        let hits = &mut self.hits;
        let mut found = |at: u64, trace| {
            if hits.len() < MOST_HITS {
                hits.push(Hit { at: ByteOffset(at), trace });
            }
        };
        self.grams.find(&self.seam, |start, trace| {
            // What lies on one side only is found with that side.
            if start < before && start + trace.bytes.len() > before {
                found(base + start as u64, trace);
            }
        });
        self.grams.find(bytes, |start, trace| found(at.0 + start as u64, trace));
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

    /// All traces that were found (the first hundred).
    pub fn hits(self) -> Vec<Hit<'n>> {
        self.hits
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
        traces.add(trace, "instance id", "/x", Scope::Anywhere);
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
            let mut found: Vec<_> = search.hits().iter().map(|hit| hit.at.0 as usize).collect();
            found.sort_unstable();
            assert_eq!(found, places, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_does_not_touch_is_not_joined() {
        let mut traces = Traces::default();
        traces.add(b"0123456789abcdef", "id", "/x", Scope::Anywhere);
        let mut search = Search::of(&traces);
        search.feed(ByteOffset(0), b"01234567");
        search.feed(ByteOffset(4096), b"89abcdef");
        assert!(search.hits().is_empty());
    }
}
