//! Writes one card so that it boots only when all of it was verified.
//!
//! The order is the point: wipe the first MiB and the last one; write everything else; read all of it back from the
//! medium; only then the first MiB, with the block that holds the partition table as the very last write. Whatever
//! stops this at whatever moment, a Pi finds no partition table.

mod head;
pub mod report;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::buffer::AlignedBuffer;
use super::capacity;
use super::failure::{CardFailure, Stage, Trouble};
use super::medium::Medium;
use super::options::WriteOptions;
use super::pipeline::overlapped;
use super::region::{
    CardImage, Content, HEAD, PIECE, Region, blank_regions, mapped_regions, not_golden, part, read_image, widen,
};
use crate::image::{ByteOffset, ByteRange, ByteSize, ReadAt, Sha256Digest};
use crate::progress::Task;

pub use report::{BlankReport, ProbeReport, StageDuration, WriteReport};

/// What to do with space that the image does not use.
pub use crate::recipe::schema::Blank;

/// How often a piece that reads back different is written again.
pub const TRIES: u32 = 3;

/// One discard at a time is at most this long, so that a person can stop in between.
const DISCARD_STEP: u64 = 1 << 30;

/// What happens beside writing.
pub struct Guard<'a> {
    /// Set from outside to stop.
    pub cancel: &'a AtomicBool,
    /// Called when all but the first MiB is verified and before the first byte of it is written: from then on the card
    /// may boot, and the ledger must know. An error stops the card.
    pub before_seal: &'a mut dyn FnMut() -> Result<(), String>,
}

/// Writes `card` to `medium` and verifies it.
///
/// # Errors
/// [`CardFailure`], which says what is on the medium now.
pub fn write_card(
    medium: &dyn Medium,
    card: &CardImage,
    options: WriteOptions,
    task: &mut dyn Task,
    guard: Guard<'_>,
) -> Result<WriteReport, CardFailure> {
    let mut writer = Writer::new(medium, card, guard.cancel);
    match writer.run(options, task, guard.before_seal) {
        Ok(report) => Ok(report),
        Err(trouble) => {
            let left = writer.left_after_failure();
            Err(trouble.into_failure(writer.stage, left))
        }
    }
}

/// One run that was written: where on the medium, and what must be read back.
#[derive(Clone, Copy)]
struct Written {
    range: ByteRange,
    zeros: bool,
    sha256: Sha256Digest,
}

struct Writer<'a> {
    medium: &'a dyn Medium,
    card: &'a CardImage,
    cancel: &'a AtomicBool,
    grain: u64,
    stage: Stage,
    since: Instant,
    durations: Vec<StageDuration>,
    /// The first MiB as it will be.
    head: AlignedBuffer,
    touched: bool,
    /// The first MiB was seen to be zero, and is not written before sealing.
    erased: bool,
    sealing: bool,
}

impl<'a> Writer<'a> {
    fn new(medium: &'a dyn Medium, card: &'a CardImage, cancel: &'a AtomicBool) -> Writer<'a> {
        let head = usize::try_from(HEAD.min(medium.size().0)).unwrap_or(0);
        Writer {
            medium,
            card,
            cancel,
            grain: medium.grain().0.max(1),
            stage: Stage::Erase,
            since: Instant::now(),
            durations: Vec::new(),
            head: AlignedBuffer::zeroed(head),
            touched: false,
            erased: false,
            sealing: false,
        }
    }

    fn enter(&mut self, stage: Stage, total: Option<ByteSize>, task: &mut dyn Task) -> Result<(), Trouble> {
        self.leave();
        self.stage = stage;
        task.stage(&stage.to_string(), total);
        self.go_on()
    }

    fn leave(&mut self) {
        let milliseconds = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.durations.iter_mut().find(|known| known.stage == self.stage) {
            Some(known) => known.milliseconds = known.milliseconds.saturating_add(milliseconds),
            None => self.durations.push(StageDuration { stage: self.stage, milliseconds }),
        }
        self.since = Instant::now();
    }

    fn go_on(&self) -> Result<(), Trouble> {
        if self.cancel.load(Ordering::Relaxed) { Err(Trouble::Cancelled) } else { Ok(()) }
    }

    fn run(
        &mut self,
        options: WriteOptions,
        task: &mut dyn Task,
        before_seal: &mut dyn FnMut() -> Result<(), String>,
    ) -> Result<WriteReport, Trouble> {
        if self.card.image.size() > self.medium.size() {
            let (image, card) = (self.card.image.size(), self.medium.size());
            return Err(Trouble::Source { what: format!("the image needs {image}, the card holds {card}") });
        }
        self.enter(Stage::Erase, None, task)?;
        // Getting an activation can take a while, and people change cards.
        self.unchanged()?;
        self.erase()?;

        let fresh = self.medium.is_fresh();
        let mut probe = if fresh { ProbeReport::New } else { ProbeReport::NotProbed };
        if !fresh && options.probe {
            self.enter(Stage::Probe, None, task)?;
            let keep = options.blank == Blank::Leave;
            probe = capacity::probe(self.medium, self.card.image.size(), keep, self.cancel)?;
            self.head_is_zero(Trouble::Suspect {
                what: "a sample that was written far behind its beginning came out at its beginning".to_owned(),
            })?;
        }

        let mut regions = mapped_regions(&self.card.map);
        let blank = match options.blank {
            _ if fresh => BlankReport::New,
            Blank::Leave => BlankReport::Left,
            Blank::Zero => {
                let zeros = blank_regions(&regions, self.medium.size(), self.grain);
                let bytes = ByteSize(zeros.iter().map(|region| region.range.len.0).sum());
                regions.extend(zeros);
                regions.sort_by_key(|region| region.range.start);
                BlankReport::Zeroed { bytes }
            }
            Blank::Discard => {
                self.enter(Stage::Blank, Some(self.medium.size()), task)?;
                self.discard(task)?
            }
        };

        let total = ByteSize(regions.iter().map(|region| region.range.len.0).sum());
        self.enter(Stage::Write, Some(total), task)?;
        let written = self.write_body(&regions, task)?;
        self.sync()?;
        self.enter(Stage::Verify, Some(total), task)?;
        let repeated = self.verify_body(&written, task)?;
        self.head_is_zero(Trouble::Suspect {
            what: "something that was written further behind came out at its beginning".to_owned(),
        })?;
        self.unchanged()?;

        self.enter(Stage::Seal, None, task)?;
        before_seal().map_err(|what| Trouble::Record { what })?;
        self.seal()?;
        self.unchanged()?;
        self.leave();
        Ok(WriteReport {
            written: total,
            verified: total,
            repeated,
            probe,
            blank,
            durations: std::mem::take(&mut self.durations),
        })
    }

    /// All of the medium at once instead of the many gaps of the map: what the image needs is written afterwards
    /// anyway, and a card that knows that nothing on it matters writes faster.
    fn discard(&mut self, task: &mut dyn Task) -> Result<BlankReport, Trouble> {
        let size = self.medium.size().0;
        let mut at = self.head.len() as u64;
        while at < size {
            self.go_on()?;
            let len = DISCARD_STEP.min(size - at);
            match self.medium.discard(ByteRange::new(at, len)) {
                Ok(()) => at += len,
                // Not having it is no failure, and a device that fails at it may write well: the report says which.
                Err(error) => return Ok(BlankReport::NotDiscarded { why: error.to_string() }),
            }
            task.at(ByteSize(at));
        }
        // A discard must not have touched the head, and some devices round generously.
        self.head_is_zero(Trouble::KeepsOld {
            what: "its first MiB is not zero any more, although nothing was written to it".to_owned(),
        })?;
        Ok(BlankReport::Discarded)
    }

    /// Writes all regions but the head, which goes to memory, and answers what was written.
    fn write_body(&mut self, regions: &[Region], task: &mut dyn Task) -> Result<Vec<Written>, Trouble> {
        let (grain, medium, cancel) = (self.grain, self.medium, self.cancel);
        let image = &*self.card.image;
        let head = &mut self.head;
        let mut written = Vec::with_capacity(regions.len());
        let mut done = 0;
        overlapped(
            regions.iter().copied(),
            |region| widen(region.range, grain),
            |region, buffer| {
                let wide = widen(region.range, grain);
                let Content::Image(promised) = region.content else {
                    buffer.fill(0);
                    return Ok(Sha256Digest::of(buffer));
                };
                read_image(image, wide, buffer)?;
                // What the manifest promises is what must go to the card, also when the file rotted in between.
                let found = Sha256Digest::of(part(buffer, wide, region.range));
                if found != promised {
                    return Err(Trouble::Source { what: not_golden(region.range) });
                }
                Ok(if wide == region.range { found } else { Sha256Digest::of(buffer) })
            },
            |region, sha256, bytes| {
                if cancel.load(Ordering::Relaxed) {
                    return Err(Trouble::Cancelled);
                }
                let wide = widen(region.range, grain);
                let zeros = region.content == Content::Zeros;
                let withheld = wide.intersect(&ByteRange::new(0, HEAD));
                if let Some(withheld) = withheld {
                    copy_into(head, withheld, part(bytes, wide, withheld));
                }
                let behind = withheld.map_or(wide.start, |withheld| withheld.end());
                if behind < wide.end() {
                    let range = ByteRange::new(behind.0, wide.end().0 - behind.0);
                    let body = part(bytes, wide, range);
                    put(medium, behind, body)?;
                    let sha256 = if range == wide { sha256 } else { Sha256Digest::of(body) };
                    written.push(Written { range, zeros, sha256 });
                }
                done += region.range.len.0;
                task.at(ByteSize(done));
                Ok(())
            },
        )?;
        Ok(written)
    }

    /// Reads everything back; what differs is written and read again. Answers how many pieces that were.
    fn verify_body(&mut self, written: &[Written], task: &mut dyn Task) -> Result<u64, Trouble> {
        let mut wrong = self.read_back(written, task)?;
        let mut repeated = 0u64;
        for _ in 0..TRIES {
            if wrong.is_empty() {
                return Ok(repeated);
            }
            let bytes = ByteSize(wrong.iter().map(|(piece, _)| piece.range.len.0).sum());
            self.enter(Stage::Write, Some(bytes), task)?;
            repeated = repeated.saturating_add(wrong.len() as u64);
            let mut buffer = AlignedBuffer::zeroed(usize::try_from(2 * PIECE).unwrap_or(0));
            for (piece, _) in &wrong {
                self.go_on()?;
                self.fill_again(piece, &mut buffer)?;
                self.write(piece.range.start, &buffer)?;
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
                let at = error.is_none().then(|| self.first_difference(first)).flatten().unwrap_or(first.range.start);
                let what = format!("{bad} of {all} MiB read back different, first at {at}, after {TRIES} tries");
                Err(match wrong.into_iter().find_map(|(_, error)| error) {
                    Some(source) => Trouble::Read { what, source },
                    None => Trouble::Differs { what },
                })
            }
        }
    }

    /// The pieces that do not read back as written, each with the device's error if there was one.
    fn read_back(
        &self,
        written: &[Written],
        task: &mut dyn Task,
    ) -> Result<Vec<(Written, Option<io::Error>)>, Trouble> {
        let (medium, cancel) = (self.medium, self.cancel);
        let mut wrong = Vec::new();
        let mut done = 0;
        overlapped(
            written.iter().copied(),
            |piece| piece.range,
            |piece, buffer| Ok(medium.read_back(piece.range.start, buffer).err()),
            |piece, error, bytes| {
                if cancel.load(Ordering::Relaxed) {
                    return Err(Trouble::Cancelled);
                }
                if error.is_some() || Sha256Digest::of(bytes) != piece.sha256 {
                    wrong.push((piece, error));
                }
                done += piece.range.len.0;
                task.at(ByteSize(done));
                Ok(())
            },
        )?;
        Ok(wrong)
    }

    /// What the piece was the first time, or an error: writing something else would make verification meaningless.
    fn fill_again(&self, piece: &Written, buffer: &mut AlignedBuffer) -> Result<(), Trouble> {
        buffer.set_len(usize::try_from(piece.range.len.0).unwrap_or(0));
        if piece.zeros {
            buffer.fill(0);
        } else {
            read_image(&*self.card.image, piece.range, buffer)?;
        }
        if Sha256Digest::of(buffer) == piece.sha256 {
            Ok(())
        } else {
            Err(Trouble::Source { what: not_golden(piece.range) })
        }
    }

    fn first_difference(&self, piece: &Written) -> Option<ByteOffset> {
        let mut wanted = AlignedBuffer::zeroed(usize::try_from(piece.range.len.0).ok()?);
        let mut found = AlignedBuffer::zeroed(wanted.len());
        self.fill_again(piece, &mut wanted).ok()?;
        self.medium.read_back(piece.range.start, &mut found).ok()?;
        let at = wanted.iter().zip(found.iter()).position(|(a, b)| a != b)?;
        piece.range.start.checked_add(ByteSize(at as u64))
    }

    fn write(&self, at: ByteOffset, bytes: &[u8]) -> Result<(), Trouble> {
        put(self.medium, at, bytes)
    }

    fn sync(&self) -> Result<(), Trouble> {
        let what = "the device could not bring what was written onto the card".to_owned();
        self.medium.sync().map_err(|source| Trouble::Write { what, source })
    }

    fn unchanged(&self) -> Result<(), Trouble> {
        self.medium.check_identity().map_err(|what| Trouble::Exchanged { what })
    }
}

/// A write that fails is tried again: a bad contact comes and goes, and the piece is verified later in any case.
fn put(medium: &dyn Medium, at: ByteOffset, bytes: &[u8]) -> Result<(), Trouble> {
    let mut tries = 0;
    loop {
        match medium.write_at(at, bytes) {
            Ok(()) => return Ok(()),
            // A full disk or a missing device does not get better by asking again.
            Err(source) if tries >= TRIES || source.kind() == io::ErrorKind::StorageFull => {
                return Err(Trouble::Write { what: format!("writing {} bytes at {at}", bytes.len()), source });
            }
            Err(_) => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn copy_into(head: &mut [u8], range: ByteRange, bytes: &[u8]) {
    let from = usize::try_from(range.start.0).unwrap_or(usize::MAX).min(head.len());
    for (to, byte) in head.iter_mut().skip(from).zip(bytes) {
        *to = *byte;
    }
}

fn mebibytes<'w>(pieces: impl Iterator<Item = &'w Written>) -> u64 {
    pieces.map(|piece| piece.range.len.0).sum::<u64>().div_ceil(1 << 20)
}
