//! Searches an image for all needles in one pass.

use std::io;

use aho_corasick::AhoCorasick;

use super::{Needle, Needles};
use crate::image::{ByteOffset, ByteRange, ByteSize, ReadAt};
use crate::progress::Task;

/// So much is read at a time.
const WINDOW: usize = 4 << 20;

/// So many hits are enough to stop; an image full of them need not be listed whole.
const MOST_HITS: usize = 100;

/// A needle that is still there.
pub struct Hit<'n> {
    /// Where it begins in the image.
    pub at: ByteOffset,
    /// Which.
    pub needle: &'n Needle,
}

/// All needles that are still in `image` (the first hundred). Holes are skipped; runs that touch are searched as one,
/// so a needle that crosses a block boundary is found.
///
/// # Errors
/// The image's read errors.
pub fn search<'n>(image: &dyn ReadAt, needles: &'n Needles, task: &mut dyn Task) -> io::Result<Vec<Hit<'n>>> {
    let list: Vec<&Needle> = needles.iter().collect();
    let mut hits = Vec::new();
    let Some(longest) = list.iter().map(|needle| needle.bytes.len()).max() else { return Ok(hits) };
    let automaton = AhoCorasick::new(list.iter().map(|needle| needle.bytes.as_slice())).map_err(io::Error::other)?;

    let mut buffer = vec![0; WINDOW + longest];
    // The tail of the run before, kept where the next run touches it.
    let mut carried = 0;
    let mut at = ByteOffset(0);
    while let Some(run) = next_run(image, at)? {
        if run.start != at {
            carried = 0;
        }
        let mut place = run.start;
        while let Some(left) = run.end().checked_since(place).filter(|left| left.0 > 0) {
            let n = usize::try_from(left.0).unwrap_or(WINDOW).min(WINDOW);
            let Some(fresh) = buffer.get_mut(carried..carried + n) else { break };
            image.read_at(place, fresh)?;
            let base = place.0.saturating_sub(carried as u64);
            let window = buffer.get(..carried + n).unwrap_or_default();
            for found in automaton.find_overlapping_iter(window) {
                // What lies wholly in the carried part was reported with the window before.
                if found.end() > carried
                    && let Some(needle) = list.get(found.pattern().as_usize())
                {
                    hits.push(Hit { at: ByteOffset(base + found.start() as u64), needle });
                }
            }
            if hits.len() >= MOST_HITS {
                hits.truncate(MOST_HITS);
                return Ok(hits);
            }
            let keep = (longest - 1).min(carried + n);
            buffer.copy_within(carried + n - keep..carried + n, 0);
            carried = keep;
            place = ByteOffset(place.0 + n as u64);
            task.at(ByteSize(place.0));
        }
        at = run.end();
    }
    Ok(hits)
}

fn next_run(image: &dyn ReadAt, from: ByteOffset) -> io::Result<Option<ByteRange>> {
    Ok(image.next_data(from)?.filter(|run| !run.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;
    use crate::progress::{Progress, Silent};

    struct Memory(Vec<u8>);

    impl ReadAt for Memory {
        fn size(&self) -> ByteSize {
            ByteSize(self.0.len() as u64)
        }
        fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
            let at = at.0 as usize;
            buf.copy_from_slice(&self.0[at..at + buf.len()]);
            Ok(())
        }
        // One run per 4 KiB block that is not all zeros, so that runs touch without being one.
        fn next_data(&self, from: ByteOffset) -> io::Result<Option<ByteRange>> {
            let block = |n: usize| &self.0[n * 4096..(n + 1) * 4096];
            let first = (from.0 as usize).div_ceil(4096);
            Ok((first..self.0.len() / 4096)
                .find(|&n| block(n).iter().any(|&b| b != 0))
                .map(|n| ByteRange::new(n as u64 * 4096, 4096)))
        }
    }

    #[test]
    fn needles_are_found_across_blocks_and_windows_and_only_once() {
        let mut needles = Needles::default();
        needles.add(b"mi-0123456789abcdef0", "instance id", "/x", Scope::Anywhere);
        let mut image = Memory(vec![0; WINDOW * 3]);
        let places = [5, 4096 - 7, WINDOW - 3, 2 * WINDOW - 20, 2 * WINDOW + 4096];
        for at in places {
            image.0[at..at + 20].copy_from_slice(b"mi-0123456789abcdef0");
        }
        let mut task = Silent.task("", None);
        let hits = search(&image, &needles, task.as_mut()).unwrap();
        let mut found: Vec<_> = hits.iter().map(|hit| hit.at.0 as usize).collect();
        found.sort_unstable();
        assert_eq!(found, places);
    }
}
