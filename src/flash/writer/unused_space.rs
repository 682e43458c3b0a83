//! Space that the image does not use: what is discarded of it, and what becomes zeros instead.
//!
//! It may hold an earlier card's secrets, its activation first of all.

use std::io;

use super::card_source::CardSource;
use super::state::Writer;
use crate::flash::chunks::{CHUNK, Chunk, HEAD, mapped_chunks, unused_chunks};
use crate::flash::failure::{CardError, Stage};
use crate::flash::options::WriteOptions;
use crate::flash::write_report::UnusedSpaceReport;
use crate::progress::Task;
use crate::recipe::schema::UnusedSpace;
use crate::units::{ByteRange, ByteSize};

/// One discard at a time is at most this long, so that a person can stop in between.
const DISCARD_STEP: u64 = 1 << 30;

/// What of unused space can be discarded: whole chunks, joined where they touch. The rest must become zeros, because a
/// card gives up some MiB at a time: what is shorter it would keep.
fn discardable(unused: Vec<Chunk>) -> (Vec<ByteRange>, Vec<Chunk>) {
    let (whole, rest): (Vec<Chunk>, Vec<Chunk>) = unused.into_iter().partition(|chunk| chunk.range.len.0 == CHUNK);
    let mut ranges: Vec<ByteRange> = Vec::new();
    for Chunk { range, .. } in whole {
        match ranges.last_mut() {
            Some(last) if last.end() == range.start => *last = ByteRange::new(last.start.0, last.len.0 + range.len.0),
            _ => ranges.push(range),
        }
    }
    (ranges, rest)
}

impl Writer<'_> {
    /// Discards what the recipe lets it. Answers what became of it, and what is still to be made zeros.
    pub(super) fn discard_unused(
        &mut self,
        source: &CardSource<'_>,
        options: WriteOptions,
        task: &mut dyn Task,
    ) -> Result<(UnusedSpaceReport, Vec<Chunk>), CardError> {
        if self.medium.is_fresh() {
            return Ok((UnusedSpaceReport::New, Vec::new()));
        }
        if options.unused_space != UnusedSpace::Discard {
            // Zeros are written with the image, in one sequence, and are not known before its map is.
            return Ok((UnusedSpaceReport::Left, Vec::new()));
        }
        self.begin_stage(Stage::UnusedSpace, Some(self.medium.size()), task)?;
        // Mostly all of the medium at once instead of the many gaps of the map: what the image needs is written
        // afterwards anyway, and a card that knows that nothing on it matters writes faster.
        let (mut ranges, mut zeros) =
            (vec![ByteRange::new(HEAD, self.medium.size().0.saturating_sub(HEAD))], Vec::new());
        if let Some(card) = source.card().filter(|_| options.changed_only) {
            // What the map covers may be right already, and is kept: only what lies between is given up.
            let unused = unused_chunks(&mapped_chunks(&card.map), self.medium.size(), self.alignment);
            (ranges, zeros) = discardable(unused);
        }
        Ok((self.discard(&ranges, task)?, zeros))
    }

    fn discard(&mut self, ranges: &[ByteRange], task: &mut dyn Task) -> Result<UnusedSpaceReport, CardError> {
        for range in ranges {
            let (mut at, end) = (range.start.0, range.end().0);
            while at < end {
                self.check_cancelled()?;
                let len = DISCARD_STEP.min(end - at);
                match self.medium.discard(ByteRange::new(at, len)) {
                    Ok(()) => at += len,
                    // It went silent, and every later request would only say so again.
                    Err(source) if source.kind() == io::ErrorKind::TimedOut => {
                        return Err(CardError::Write { what: format!("discarding {len} bytes at {at}"), source });
                    }
                    // Not having it is no failure, and a device that fails at it may write well: the report says which.
                    Err(error) => return Ok(UnusedSpaceReport::NotDiscarded { why: error.to_string() }),
                }
                task.at(ByteSize(at));
            }
        }
        // A discard must not have touched the head, and some devices round generously.
        self.head_is_zero(CardError::KeepsOld {
            what: "its first MiB is not zero any more, although nothing was written to it".to_owned(),
        })?;
        Ok(UnusedSpaceReport::Discarded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256Digest;
    use crate::image::{BlockMap, MappedRange};

    #[test]
    fn nothing_that_the_map_covers_is_discarded_and_everything_else_is_discarded_or_zeroed() {
        let size = ByteSize(64 << 20);
        let used = [(0, 8192), ((5 << 20) + 512, 1 << 20), (40 << 20, 4096), ((44 << 20) - 512, 1024)];
        let mapped = |&(start, len)| MappedRange { range: ByteRange::new(start, len), sha256: Sha256Digest::of(b"") };
        let map = BlockMap::new(used.iter().map(mapped).collect(), size).unwrap();
        let (ranges, rest) = discardable(unused_chunks(&mapped_chunks(&map), size, 512));
        let mut all: Vec<ByteRange> = ranges.iter().copied().chain(rest.iter().map(|chunk| chunk.range)).collect();
        all.extend(used.iter().map(|&(start, len)| ByteRange::new(start, len)));
        all.sort_by_key(|range| range.start);
        assert!(all.windows(2).all(|pair| pair[0].end() <= pair[1].start), "{all:?}");
        let covered: u64 = all.iter().map(|range| range.len.0).sum();
        assert_eq!(covered, size.0 - (HEAD - 8192), "the first MiB is for others to wipe");
        let places: Vec<(u64, u64)> = ranges.iter().map(|range| (range.start.0 >> 20, range.len.0 >> 20)).collect();
        assert_eq!(places, [(8, 32), (48, 16)]);
    }
}
