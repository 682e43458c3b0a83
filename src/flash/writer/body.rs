//! Everything but the first MiB: written in order with several requests under way, then read back and compared.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{TRIES, Writer};
use crate::digest::Sha256Digest;
use crate::flash::buffer::{Pooled, SharedBytes};
use crate::flash::failure::{Stage, Trouble};
use crate::flash::lanes::in_lanes;
use crate::flash::medium::Medium;
use crate::flash::region::{Content, HEAD, Region, not_golden, part, place, read_image, widen};
use crate::flash::shared::Piece;
use crate::image::zeros::all_zeros;
use crate::image::{MappedRange, ReadAt};
use crate::progress::Task;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// One run that was written: where on the medium, and what must be read back.
#[derive(Clone, Copy)]
pub(super) struct Written {
    /// What it was written for.
    pub(super) region: Region,
    range: ByteRange,
    expected: Expected,
}

#[derive(Clone, Copy, PartialEq)]
enum Expected {
    Zeros,
    Bytes(Sha256Digest),
}

impl Expected {
    fn is(self, bytes: &[u8]) -> bool {
        match self {
            Expected::Zeros => all_zeros(bytes),
            Expected::Bytes(sha256) => Sha256Digest::of(bytes) == sha256,
        }
    }
}

/// What is being written: a piece, and how much of it the lanes already took.
struct Cutting {
    piece: Option<Piece>,
    /// Where the piece lies, with the sectors around it.
    wide: ByteRange,
    /// What of it is still to be written.
    rest: ByteRange,
    /// Bytes of the region that count as done with the last part.
    counts: u64,
}

/// One request.
struct Part {
    piece: Option<Piece>,
    wide: ByteRange,
    range: ByteRange,
    counts: u64,
}

impl Writer<'_> {
    /// Writes all regions but the head, which goes to memory, and answers what was written.
    ///
    /// A whole piece is not hashed on its way to the card. What is read back must have the digest that the manifest
    /// promises, so a golden image that rotted is found all the same, before the card is sealed; and hashing every
    /// byte twice would be the most expensive thing that is done here.
    pub(super) fn write_regions(
        &mut self,
        image: &dyn ReadAt,
        regions: &[Region],
        task: &mut dyn Task,
    ) -> Result<Vec<Written>, Trouble> {
        let (grain, medium, cancel, pieces) = (self.grain, self.medium, self.cancel, self.pieces);
        let limits = self.limits;
        let request = (limits.request - limits.request % grain).max(grain);
        let zeros = Arc::new(Pooled::zeroed(usize::try_from(request).map_err(io::Error::other)?));
        let head = &mut self.head;
        let mut written = Vec::with_capacity(regions.len());
        let mut regions = regions.iter();
        let mut cutting: Option<Cutting> = None;
        let done = Mutex::new((0, task));
        let tell = |bytes: u64| {
            let (done, task) = &mut *done.lock().unwrap_or_else(PoisonError::into_inner);
            *done += bytes;
            task.at(ByteSize(*done));
        };

        let next = || {
            loop {
                if cancel.load(Ordering::Relaxed) {
                    return Err(Trouble::Cancelled);
                }
                if let Some(from) = &mut cutting {
                    let len = from.rest.len.0.min(request);
                    let range = ByteRange::new(from.rest.start.0, len);
                    from.rest = ByteRange::new(range.end().0, from.rest.len.0 - len);
                    let last = from.rest.is_empty();
                    let counts = if last { from.counts } else { len.min(from.counts) };
                    from.counts -= counts;
                    let (piece, wide) = (from.piece.clone(), from.wide);
                    if last {
                        cutting = None;
                    }
                    return Ok(Some(Part { piece, wide, range, counts }));
                }
                let Some(region) = regions.next() else { return Ok(None) };
                let wide = widen(region.range, grain);
                let piece = match region.content {
                    Content::Zeros => None,
                    Content::Image(sha256) => {
                        let which = MappedRange { range: region.range, sha256 };
                        let load = |buffer: &mut [u8]| read_image(image, wide, buffer);
                        Some(match wide == region.range {
                            true => pieces.get(which, load)?,
                            false => pieces.load(wide, load)?,
                        })
                    }
                };
                let withheld = wide.intersect(&ByteRange::new(0, HEAD));
                let behind = withheld.map_or(wide.start, |withheld| withheld.end());
                let rest = ByteRange::new(behind.0, wide.end().0 - behind.0);
                let expected = match (region.content, &piece) {
                    (Content::Image(sha256), Some(_)) if rest == region.range => Expected::Bytes(sha256),
                    (Content::Image(sha256), Some(piece)) => {
                        // What is cut or widened is not read back as the manifest knows it: it is compared now.
                        if Sha256Digest::of(part(piece, wide, region.range)) != sha256 {
                            return Err(Trouble::Source { what: not_golden(region.range) });
                        }
                        Expected::Bytes(Sha256Digest::of(part(piece, wide, rest)))
                    }
                    _ => Expected::Zeros,
                };
                if let Some(withheld) = withheld {
                    copy_into(head, withheld, piece.as_ref().map(|piece| part(piece, wide, withheld)));
                }
                if rest.is_empty() {
                    tell(region.range.len.0);
                } else {
                    written.push(Written { region: *region, range: rest, expected });
                    cutting = Some(Cutting { piece, wide, rest, counts: region.range.len.0 });
                }
            }
        };
        in_lanes(limits.in_flight, next, |request: Part| {
            let bytes = match request.piece {
                Some(piece) => SharedBytes::of(piece, place(request.wide, request.range)),
                None => SharedBytes::of(zeros.clone(), 0..length(request.range)?),
            };
            tried_again(request.range, || medium.write_shared(request.range.start, &bytes))?;
            tell(request.counts);
            Ok(())
        })?;
        Ok(written)
    }

    /// Reads everything back; what differs is written and read again. Answers how many pieces that were.
    pub(super) fn verify_body(
        &mut self,
        image: &dyn ReadAt,
        written: &[Written],
        task: &mut dyn Task,
    ) -> Result<u64, Trouble> {
        let mut wrong = self.read_back(written, task)?;
        let mut repeated = 0u64;
        for _ in 0..TRIES {
            if wrong.is_empty() {
                return Ok(repeated);
            }
            let bytes = ByteSize(wrong.iter().map(|(piece, _)| piece.range.len.0).sum());
            self.enter(Stage::Write, Some(bytes), task)?;
            repeated = repeated.saturating_add(wrong.len() as u64);
            for (piece, _) in &wrong {
                self.go_on()?;
                let bytes = self.fill_again(image, piece)?;
                self.put(piece.range.start, &bytes)?;
            }
            self.sync()?;
            self.enter(Stage::Verify, Some(bytes), task)?;
            let again: Vec<Written> = wrong.iter().map(|(piece, _)| *piece).collect();
            wrong = self.read_back(&again, task)?;
        }
        match wrong.first() {
            None => Ok(repeated),
            Some((first, error)) => {
                let (all, bad) = (mebibytes(written.iter()), mebibytes(wrong.iter().map(|(piece, _)| piece)));
                let at =
                    error.is_none().then(|| self.first_difference(image, first)).flatten().unwrap_or(first.range.start);
                let what = format!("{bad} of {all} MiB read back different, first at {at}, after {TRIES} tries");
                Err(match wrong.into_iter().find_map(|(_, error)| error) {
                    Some(source) => Trouble::Read { what, source },
                    None => Trouble::Differs { what },
                })
            }
        }
    }

    /// The pieces that do not read back as written, in order, each with the device's error if there was one.
    fn read_back(
        &self,
        written: &[Written],
        task: &mut dyn Task,
    ) -> Result<Vec<(Written, Option<io::Error>)>, Trouble> {
        let (medium, cancel, pool) = (self.medium, self.cancel, self.pieces.pool());
        let mut pieces = written.iter().copied();
        let found = Mutex::new((Vec::new(), 0, task));
        let next = || match cancel.load(Ordering::Relaxed) {
            true => Err(Trouble::Cancelled),
            false => Ok(pieces.next()),
        };
        in_lanes(self.limits.in_flight, next, |piece: Written| {
            let read = read_whole(medium, piece.range.start, pool.take(length(piece.range)?));
            let wrong_now = match read {
                Ok(bytes) => (!piece.expected.is(&bytes)).then_some((piece, None)),
                Err(error) => Some((piece, Some(error))),
            };
            let (wrong, done, task) = &mut *found.lock().unwrap_or_else(PoisonError::into_inner);
            wrong.extend(wrong_now);
            *done += piece.range.len.0;
            task.at(ByteSize(*done));
            Ok::<(), Trouble>(())
        })?;
        let (mut wrong, ..) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        wrong.sort_by_key(|(piece, _)| piece.range.start);
        Ok(wrong)
    }

    /// What the piece was to be, or an error: writing something else would make verification meaningless.
    fn fill_again(&self, image: &dyn ReadAt, piece: &Written) -> Result<Pooled, Trouble> {
        let mut buffer = self.pieces.pool().take(length(piece.range)?);
        match piece.expected {
            Expected::Zeros => buffer.fill(0),
            Expected::Bytes(_) => read_image(image, piece.range, &mut buffer)?,
        }
        if piece.expected.is(&buffer) { Ok(buffer) } else { Err(Trouble::Source { what: not_golden(piece.range) }) }
    }

    fn first_difference(&self, image: &dyn ReadAt, piece: &Written) -> Option<ByteOffset> {
        let wanted = self.fill_again(image, piece).ok()?;
        let mut found = self.pieces.pool().take(wanted.len());
        self.medium.read_back(piece.range.start, &mut found).ok()?;
        let at = wanted.iter().zip(found.iter()).position(|(a, b)| a != b)?;
        piece.range.start.checked_add(ByteSize(at as u64))
    }
}

/// Fills all of `buffer` from `at` on.
pub(super) fn read_whole(medium: &dyn Medium, at: ByteOffset, buffer: Pooled) -> io::Result<Pooled> {
    let all = 0..buffer.len();
    medium.read_back_into(at, buffer, all)
}

fn length(range: ByteRange) -> io::Result<usize> {
    usize::try_from(range.len.0).map_err(io::Error::other)
}

/// Puts `bytes` at `at`.
pub(super) fn put(medium: &dyn Medium, at: ByteOffset, bytes: &[u8]) -> Result<(), Trouble> {
    let range = ByteRange { start: at, len: ByteSize(bytes.len() as u64) };
    tried_again(range, || medium.write_at(at, bytes))
}

/// A write that fails is tried again: a bad contact comes and goes, and the piece is verified later in any case.
fn tried_again(range: ByteRange, write: impl Fn() -> io::Result<()>) -> Result<(), Trouble> {
    let mut tries = 0;
    loop {
        match write() {
            Ok(()) => return Ok(()),
            // A full disk or a missing device does not get better by asking again.
            Err(source) if tries >= TRIES || source.kind() == io::ErrorKind::StorageFull => {
                return Err(Trouble::Write {
                    what: format!("writing {} bytes at {}", range.len.0, range.start),
                    source,
                });
            }
            Err(_) => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Puts a part of the first MiB where it waits; zeros where there are no bytes.
fn copy_into(head: &mut [u8], range: ByteRange, bytes: Option<&[u8]>) {
    let place = |at: ByteOffset| usize::try_from(at.0).unwrap_or(usize::MAX).min(head.len());
    let (from, to) = (place(range.start), place(range.end()));
    let Some(head) = head.get_mut(from..to) else { return };
    match bytes {
        Some(bytes) => head.iter_mut().zip(bytes).for_each(|(to, &byte)| *to = byte),
        None => head.fill(0),
    }
}

fn mebibytes<'w>(pieces: impl Iterator<Item = &'w Written>) -> u64 {
    pieces.map(|piece| piece.range.len.0).sum::<u64>().div_ceil(1 << 20)
}
