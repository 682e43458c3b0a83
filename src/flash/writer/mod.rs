//! Writes one card so that it boots only when all of it was verified.
//!
//! The order is the point: wipe the first MiB and the last one; write everything else; read all of it back from the
//! medium; only then the first MiB, with the block that holds the partition table as the very last write. Whatever
//! stops this at whatever moment, a Pi finds no partition table.

pub mod arriving;
mod body;
mod changed;
mod head;
pub mod report;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::buffer::AlignedBuffer;
use super::capacity;
use super::failure::{CardFailure, Stage, Trouble};
use super::limits::RequestLimits;
use super::medium::Medium;
use super::options::WriteOptions;
use super::region::{CardImage, HEAD, Region, blank_regions, mapped_regions};
use super::shared::SharedPieces;
use crate::progress::Task;
use crate::units::{ByteOffset, ByteRange, ByteSize};

pub use arriving::{Arriving, write_card_arriving};
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
    write_card_of(&SharedPieces::default(), medium, card, options, task, guard)
}

/// As [`write_card`], for one of several cards that share what they read of their golden image.
///
/// # Errors
/// As [`write_card`].
pub fn write_card_of(
    pieces: &SharedPieces,
    medium: &dyn Medium,
    card: &CardImage,
    options: WriteOptions,
    task: &mut dyn Task,
    guard: Guard<'_>,
) -> Result<WriteReport, CardFailure> {
    Writer::new(pieces, medium, guard.cancel).write(&mut Source::Made(card), options, task, guard.before_seal)
}

/// What a card is written from.
enum Source<'a> {
    /// Its image is made.
    Made(&'a CardImage),
    /// The golden image is still being decoded, and the card's image is made when that is done.
    Arriving { from: Arriving<'a>, made: Option<CardImage> },
}

struct Writer<'a> {
    pieces: &'a SharedPieces,
    medium: &'a dyn Medium,
    cancel: &'a AtomicBool,
    grain: u64,
    limits: RequestLimits,
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
    fn new(pieces: &'a SharedPieces, medium: &'a dyn Medium, cancel: &'a AtomicBool) -> Writer<'a> {
        let head = usize::try_from(HEAD.min(medium.size().0)).unwrap_or(0);
        Writer {
            pieces,
            medium,
            cancel,
            grain: medium.grain().0.max(1),
            limits: medium.limits(),
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

    fn write(
        &mut self,
        source: &mut Source<'_>,
        options: WriteOptions,
        task: &mut dyn Task,
        before_seal: &mut dyn FnMut() -> Result<(), String>,
    ) -> Result<WriteReport, CardFailure> {
        self.run(source, options, task, before_seal).map_err(|trouble| {
            // Who waits for bytes that are still being decoded hears of a stop as of an error.
            let stopped = matches!(trouble, Trouble::Source { .. }) && self.go_on().is_err();
            let left = self.left_after_failure();
            if stopped { Trouble::Cancelled } else { trouble }.into_failure(self.stage, left)
        })
    }

    fn run(
        &mut self,
        source: &mut Source<'_>,
        options: WriteOptions,
        task: &mut dyn Task,
        before_seal: &mut dyn FnMut() -> Result<(), String>,
    ) -> Result<WriteReport, Trouble> {
        let (image, card) = (source.size(), self.medium.size());
        if image > card {
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
            let keep = options.blank == Blank::Leave || options.changed_only;
            probe = capacity::probe(self.medium, source.size(), keep, self.cancel)?;
            self.head_is_zero(Trouble::Suspect {
                what: "a sample that was written far behind its beginning came out at its beginning".to_owned(),
            })?;
        }

        // Zeros that are written where a discard is not worth it.
        let mut zeros = Vec::new();
        let mut report = match options.blank {
            _ if fresh => BlankReport::New,
            Blank::Discard => {
                self.enter(Stage::Blank, Some(self.medium.size()), task)?;
                let mut runs = vec![ByteRange::new(HEAD, self.medium.size().0.saturating_sub(HEAD))];
                if let Some(card) = source.card().filter(|_| options.changed_only) {
                    let blank = blank_regions(&mapped_regions(&card.map), self.medium.size(), self.grain);
                    (runs, zeros) = changed::discardable(blank);
                }
                self.discard(&runs, task)?
            }
            Blank::Leave | Blank::Zero => BlankReport::Left,
        };

        let early = self.write_early(source, task)?;
        let unmade = || Trouble::Prepare { what: "the card's image was not made".to_owned() };
        let card = source.card().ok_or_else(unmade)?;
        let mut regions = mapped_regions(&card.map);
        if options.blank == Blank::Zero && !fresh {
            zeros = blank_regions(&regions, self.medium.size(), self.grain);
            let bytes = ByteSize(zeros.iter().map(|region| region.range.len.0).sum());
            report = BlankReport::Zeroed { bytes };
        }
        regions.extend(zeros);
        regions.sort_by_key(|region| region.range.start);
        let total = ByteSize(regions.iter().map(|region| region.range.len.0).sum());
        let (mut written, mut rest) = early.and_rest(regions, self.grain);
        let mut held = ByteSize(0);
        if options.changed_only && !fresh {
            (rest, held) = self.differing(rest, task)?;
        }
        let bytes = |regions: &[Region]| ByteSize(regions.iter().map(|region| region.range.len.0).sum());
        let differing = ByteSize(total.0.saturating_sub(held.0));
        self.enter(Stage::Write, Some(bytes(&rest)), task)?;
        written.extend(self.write_regions(&*card.image, &rest, task)?);
        written.sort_by_key(|piece| piece.region.range.start);
        self.sync()?;
        self.enter(Stage::Verify, Some(differing), task)?;
        let repeated = self.verify_body(&*card.image, &written, task)?;
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
            written: differing,
            held,
            verified: total,
            repeated,
            probe,
            blank: report,
            durations: std::mem::take(&mut self.durations),
        })
    }

    /// Mostly all of the medium at once instead of the many gaps of the map: what the image needs is written afterwards
    /// anyway, and a card that knows that nothing on it matters writes faster.
    fn discard(&mut self, runs: &[ByteRange], task: &mut dyn Task) -> Result<BlankReport, Trouble> {
        for run in runs {
            let (mut at, end) = (run.start.0, run.end().0);
            while at < end {
                self.go_on()?;
                let len = DISCARD_STEP.min(end - at);
                match self.medium.discard(ByteRange::new(at, len)) {
                    Ok(()) => at += len,
                    // It went silent, and every later request would only say so again.
                    Err(source) if source.kind() == io::ErrorKind::TimedOut => {
                        return Err(Trouble::Write { what: format!("discarding {len} bytes at {at}"), source });
                    }
                    // Not having it is no failure, and a device that fails at it may write well: the report says which.
                    Err(error) => return Ok(BlankReport::NotDiscarded { why: error.to_string() }),
                }
                task.at(ByteSize(at));
            }
        }
        // A discard must not have touched the head, and some devices round generously.
        self.head_is_zero(Trouble::KeepsOld {
            what: "its first MiB is not zero any more, although nothing was written to it".to_owned(),
        })?;
        Ok(BlankReport::Discarded)
    }

    fn put(&self, at: ByteOffset, bytes: &[u8]) -> Result<(), Trouble> {
        body::put(self.medium, at, bytes)
    }

    fn sync(&self) -> Result<(), Trouble> {
        let what = "the device could not bring what was written onto the card".to_owned();
        self.medium.sync().map_err(|source| Trouble::Write { what, source })
    }

    fn unchanged(&self) -> Result<(), Trouble> {
        self.medium.check_identity().map_err(|what| Trouble::Exchanged { what })
    }
}
