//! Writes one card so that it boots only when all of it was verified.
//!
//! The order is the point: wipe the first MiB and the last one; write everything else; read all of it back from the
//! medium; only then the first MiB, with the block that holds the partition table as the very last write. Whatever
//! stops this at whatever moment, a Pi finds no partition table.

mod body;
mod card_writer;
mod changed;
mod head;
pub mod report;
mod source;
pub mod streaming;

use std::io;
use std::sync::atomic::AtomicBool;

use self::card_writer::Writer;
use self::source::Source;
use super::capacity;
use super::chunks::{CardImage, Chunk, HEAD, mapped_chunks, unused_chunks};
use super::failure::{CardFailure, Stage, WriteError};
use super::medium::Medium;
use super::options::WriteOptions;
use super::shared_chunks::SharedChunks;
use crate::image::BlockMap;
use crate::progress::Task;
use crate::recipe::schema::Blank;
use crate::units::{ByteRange, ByteSize};

pub use card_writer::TRIES;
pub use report::{ProbeReport, StageDuration, UnusedSpaceReport, WriteReport};
pub use source::StreamingSource;

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
    write_card_of(&SharedChunks::default(), medium, card, options, task, guard)
}

/// As [`write_card`], for one of several cards that share what they read of their golden image.
///
/// # Errors
/// As [`write_card`].
pub fn write_card_of(
    shared: &SharedChunks,
    medium: &dyn Medium,
    card: &CardImage,
    options: WriteOptions,
    task: &mut dyn Task,
    guard: Guard<'_>,
) -> Result<WriteReport, CardFailure> {
    Writer::new(shared, medium, guard.cancel).write(&mut Source::Made(card), options, task, guard.before_seal)
}

/// As [`write_card_of`], while the golden image is still being decoded. Answers the card's own map, too.
///
/// # Errors
/// [`CardFailure`], which says what is on the medium now.
pub fn write_card_streaming(
    shared: &SharedChunks,
    medium: &dyn Medium,
    from: StreamingSource<'_>,
    options: WriteOptions,
    task: &mut dyn Task,
    guard: Guard<'_>,
) -> Result<(WriteReport, BlockMap), CardFailure> {
    let mut source = Source::Streaming { from, made: None };
    let report = Writer::new(shared, medium, guard.cancel).write(&mut source, options, task, guard.before_seal)?;
    let map = source.card().map(|card| card.map.clone()).unwrap_or_default();
    Ok((report, map))
}

impl Writer<'_> {
    fn write(
        &mut self,
        source: &mut Source<'_>,
        options: WriteOptions,
        task: &mut dyn Task,
        before_seal: &mut dyn FnMut() -> Result<(), String>,
    ) -> Result<WriteReport, CardFailure> {
        self.run(source, options, task, before_seal).map_err(|trouble| {
            // Who waits for bytes that are still being decoded hears of a stop as of an error.
            let stopped = matches!(trouble, WriteError::Source { .. }) && self.go_on().is_err();
            let left = self.left_after_failure();
            if stopped { WriteError::Cancelled } else { trouble }.into_failure(self.stage, left)
        })
    }

    fn run(
        &mut self,
        source: &mut Source<'_>,
        options: WriteOptions,
        task: &mut dyn Task,
        before_seal: &mut dyn FnMut() -> Result<(), String>,
    ) -> Result<WriteReport, WriteError> {
        let (image, card) = (source.size(), self.medium.size());
        if image > card {
            return Err(WriteError::Source { what: format!("the image needs {image}, the card holds {card}") });
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
            self.head_is_zero(WriteError::Suspect {
                what: "a sample that was written far behind its beginning came out at its beginning".to_owned(),
            })?;
        }

        // Zeros that are written where a discard is not worth it.
        let mut zeros = Vec::new();
        let mut report = match options.blank {
            _ if fresh => UnusedSpaceReport::New,
            Blank::Discard => {
                self.enter(Stage::Blank, Some(self.medium.size()), task)?;
                let mut runs = vec![ByteRange::new(HEAD, self.medium.size().0.saturating_sub(HEAD))];
                if let Some(card) = source.card().filter(|_| options.changed_only) {
                    let blank = unused_chunks(&mapped_chunks(&card.map), self.medium.size(), self.block_size);
                    (runs, zeros) = changed::discardable(blank);
                }
                self.discard(&runs, task)?
            }
            Blank::Leave | Blank::Zero => UnusedSpaceReport::Left,
        };

        let early = self.write_early(source, task)?;
        let unmade = || WriteError::Prepare { what: "the card's image was not made".to_owned() };
        let card = source.card().ok_or_else(unmade)?;
        let mut chunks = mapped_chunks(&card.map);
        if options.blank == Blank::Zero && !fresh {
            zeros = unused_chunks(&chunks, self.medium.size(), self.block_size);
            let bytes = ByteSize(zeros.iter().map(|chunk| chunk.range.len.0).sum());
            report = UnusedSpaceReport::Zeroed { bytes };
        }
        chunks.extend(zeros);
        chunks.sort_by_key(|chunk| chunk.range.start);
        let total = ByteSize(chunks.iter().map(|chunk| chunk.range.len.0).sum());
        let (mut written, mut rest) = early.and_rest(chunks, self.block_size);
        let mut held = ByteSize(0);
        if options.changed_only && !fresh {
            (rest, held) = self.differing(rest, task)?;
        }
        let bytes = |chunks: &[Chunk]| ByteSize(chunks.iter().map(|chunk| chunk.range.len.0).sum());
        let differing = ByteSize(total.0.saturating_sub(held.0));
        self.enter(Stage::Write, Some(bytes(&rest)), task)?;
        written.extend(self.write_chunks(&*card.image, &rest, task)?);
        written.sort_by_key(|chunk| chunk.chunk.range.start);
        self.sync()?;
        self.enter(Stage::Verify, Some(differing), task)?;
        let repeated = self.verify_body(&*card.image, &written, task)?;
        self.head_is_zero(WriteError::Suspect {
            what: "something that was written further behind came out at its beginning".to_owned(),
        })?;
        self.unchanged()?;

        self.enter(Stage::Seal, None, task)?;
        before_seal().map_err(|what| WriteError::Record { what })?;
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
    fn discard(&mut self, runs: &[ByteRange], task: &mut dyn Task) -> Result<UnusedSpaceReport, WriteError> {
        for run in runs {
            let (mut at, end) = (run.start.0, run.end().0);
            while at < end {
                self.go_on()?;
                let len = DISCARD_STEP.min(end - at);
                match self.medium.discard(ByteRange::new(at, len)) {
                    Ok(()) => at += len,
                    // It went silent, and every later request would only say so again.
                    Err(source) if source.kind() == io::ErrorKind::TimedOut => {
                        return Err(WriteError::Write { what: format!("discarding {len} bytes at {at}"), source });
                    }
                    // Not having it is no failure, and a device that fails at it may write well: the report says which.
                    Err(error) => return Ok(UnusedSpaceReport::NotDiscarded { why: error.to_string() }),
                }
                task.at(ByteSize(at));
            }
        }
        // A discard must not have touched the head, and some devices round generously.
        self.head_is_zero(WriteError::KeepsOld {
            what: "its first MiB is not zero any more, although nothing was written to it".to_owned(),
        })?;
        Ok(UnusedSpaceReport::Discarded)
    }
}
