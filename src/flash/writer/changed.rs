//! `--changed-only`: what a card holds already is not written again.
//!
//! For cards that carry an older version of the image. The first MiB is wiped first and written last as ever, so the
//! card boots nothing in between. Every piece is read past the cache and compared with its digest; what differs is
//! written and read back like on any card. So each byte of the image is read from the medium in this run, after the
//! wiping and the discarding: a piece that is right then is verified by that, and is not read a second time.
//!
//! Space that the image does not use may hold the old card's secrets, its activation first of all, and a piece that was
//! in use then may be free today. It gets what the recipe says, and only it: what the map covers is never discarded,
//! because it would be lost. Where the recipe says `discard`, runs that are too short for a card to give up (it erases
//! some MiB at a time) are made zeros instead.

use std::io;
use std::sync::{Mutex, PoisonError};

use super::Writer;
use super::body::read_whole;
use crate::digest::Sha256Digest;
use crate::flash::failure::{Stage, Trouble};
use crate::flash::lanes::in_lanes;
use crate::flash::region::{Content, HEAD, PIECE, Region, part, widen};
use crate::image::zeros::all_zeros;
use crate::progress::Task;
use crate::units::{ByteRange, ByteSize};

/// What of blank space can be discarded: whole pieces, joined where they touch. The rest must become zeros.
pub(super) fn discardable(blank: Vec<Region>) -> (Vec<ByteRange>, Vec<Region>) {
    let (whole, rest): (Vec<Region>, Vec<Region>) = blank.into_iter().partition(|region| region.range.len.0 == PIECE);
    let mut runs: Vec<ByteRange> = Vec::new();
    for Region { range, .. } in whole {
        match runs.last_mut() {
            Some(last) if last.end() == range.start => *last = ByteRange::new(last.start.0, last.len.0 + range.len.0),
            _ => runs.push(range),
        }
    }
    (runs, rest)
}

impl Writer<'_> {
    /// Those of `regions` that the medium does not hold yet, and how many bytes it does.
    pub(super) fn differing(
        &mut self,
        regions: Vec<Region>,
        task: &mut dyn Task,
    ) -> Result<(Vec<Region>, ByteSize), Trouble> {
        let total = ByteSize(regions.iter().map(|region| region.range.len.0).sum());
        self.enter(Stage::Compare, Some(total), task)?;
        let mut jobs = regions.into_iter();
        let next = || self.go_on().map(|()| jobs.next());
        let found = Mutex::new((Vec::new(), 0u64, 0u64, task));
        in_lanes(self.limits.in_flight, next, |region: Region| {
            // What lies in the first MiB was wiped, and waits in memory until the card is sealed.
            let holds = region.range.start.0 >= HEAD && self.holds(&region)?;
            let (differing, held, done, task) = &mut *found.lock().unwrap_or_else(PoisonError::into_inner);
            match holds {
                true => *held += region.range.len.0,
                false => differing.push(region),
            }
            *done += region.range.len.0;
            task.at(ByteSize(*done));
            Ok::<(), Trouble>(())
        })?;
        let (mut differing, held, ..) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        differing.sort_by_key(|region| region.range.start);
        Ok((differing, ByteSize(held)))
    }

    fn holds(&self, region: &Region) -> Result<bool, Trouble> {
        let wide = widen(region.range, self.grain);
        let buffer = self.pieces.pool().take(usize::try_from(wide.len.0).map_err(io::Error::other)?);
        match read_whole(self.medium, wide.start, buffer) {
            Ok(buffer) => {
                let bytes = part(&buffer, wide, region.range);
                Ok(match region.content {
                    Content::Zeros => all_zeros(bytes),
                    Content::Image(sha256) => Sha256Digest::of(bytes) == sha256,
                })
            }
            Err(source) if source.kind() == io::ErrorKind::TimedOut => {
                let what = format!("reading {} bytes at {}", wide.len.0, wide.start);
                Err(Trouble::Read { what, source })
            }
            // Flash that cannot be read can often be written: then it is verified, or fails, like any other.
            Err(_) => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::region::{blank_regions, mapped_regions};
    use crate::image::{BlockMap, MappedRange};

    #[test]
    fn nothing_that_the_map_covers_is_discarded_and_everything_else_is_discarded_or_zeroed() {
        let size = ByteSize(64 << 20);
        let used = [(0, 8192), ((5 << 20) + 512, 1 << 20), (40 << 20, 4096), ((44 << 20) - 512, 1024)];
        let mapped = |&(start, len)| MappedRange { range: ByteRange::new(start, len), sha256: Sha256Digest::of(b"") };
        let map = BlockMap::new(used.iter().map(mapped).collect(), size).unwrap();
        let (runs, rest) = discardable(blank_regions(&mapped_regions(&map), size, 512));
        let mut all: Vec<ByteRange> = runs.iter().copied().chain(rest.iter().map(|region| region.range)).collect();
        all.extend(used.iter().map(|&(start, len)| ByteRange::new(start, len)));
        all.sort_by_key(|range| range.start);
        assert!(all.windows(2).all(|pair| pair[0].end() <= pair[1].start), "{all:?}");
        let covered: u64 = all.iter().map(|range| range.len.0).sum();
        assert_eq!(covered, size.0 - (HEAD - 8192), "the first MiB is for others to wipe");
        let places: Vec<(u64, u64)> = runs.iter().map(|run| (run.start.0 >> 20, run.len.0 >> 20)).collect();
        assert_eq!(places, [(8, 32), (48, 16)]);
    }
}
