//! The order in which a card is written. Each step makes the next one safe; none can change places with another.

use super::card_source::CardSource;
use super::state::Writer;
use crate::flash::capacity;
use crate::flash::chunks::{mapped_chunks, total, unused_chunks};
use crate::flash::failure::{CardError, CardFailure, Stage};
use crate::flash::options::WriteOptions;
use crate::flash::write_report::{ProbeReport, UnusedSpaceReport, WriteReport};
use crate::progress::Task;
use crate::recipe::schema::UnusedSpace;
use crate::units::ByteSize;

impl Writer<'_> {
    /// Writes the card; what goes wrong becomes a failure that says what is on the medium now.
    pub(super) fn write(
        &mut self,
        source: &mut CardSource<'_>,
        options: WriteOptions,
        task: &mut dyn Task,
        before_seal: &mut dyn FnMut() -> Result<(), String>,
    ) -> Result<WriteReport, CardFailure> {
        self.run(source, options, task, before_seal).map_err(|error| {
            // Who waits for bytes that are still being decoded hears of a stop as of an error.
            let stopped = matches!(error, CardError::Source { .. }) && self.check_cancelled().is_err();
            let left = self.wipe_after_failure();
            if stopped { CardError::Cancelled } else { error }.into_failure(self.stage, left)
        })
    }

    fn run(
        &mut self,
        source: &mut CardSource<'_>,
        options: WriteOptions,
        task: &mut dyn Task,
        before_seal: &mut dyn FnMut() -> Result<(), String>,
    ) -> Result<WriteReport, CardError> {
        // The gate went by the size that the manifest promises. Here it is the image itself that counts.
        let (image, card) = (source.size(), self.medium.size());
        if image > card {
            return Err(CardError::Source { what: format!("the image needs {image}, the card holds {card}") });
        }
        self.begin_stage(Stage::Erase, None, task)?;
        // Getting an activation can take a while, and people change cards.
        self.check_identity()?;
        // Before anything else: from here on the old system does not boot either, so a half-written card never boots
        // an old partition table over new contents.
        self.erase()?;

        // Before the discard and the long write: a card that lies about its size is found in seconds, not in minutes.
        let probe = self.probe(source.size(), options, task)?;
        // Before the body, because a discard of the whole medium would take what was written with it.
        let (mut unused, mut zeros) = self.discard_unused(source, options, task)?;

        let early = self.write_early(source, task)?;
        let unmade = || CardError::Prepare { what: "the card's image was not made".to_owned() };
        let card = source.card().ok_or_else(unmade)?;
        let mut chunks = mapped_chunks(&card.map);
        let fresh = self.medium.is_fresh();
        // A new file has holes there, which read as zeros.
        if options.unused_space == UnusedSpace::Zero && !fresh {
            zeros = unused_chunks(&chunks, self.medium.size(), self.alignment);
            unused = UnusedSpaceReport::Zeroed { bytes: total(&zeros) };
        }
        chunks.extend(zeros);
        // Image and zeros in one sequence: flash is slow at writes that jump.
        chunks.sort_by_key(|chunk| chunk.range.start);
        let all = total(&chunks);
        let (mut written, mut rest) = early.split(chunks, self.alignment);
        let mut held = ByteSize(0);
        if options.changed_only && !fresh {
            (rest, held) = self.find_differing(rest, task)?;
        }
        // With what went early: the report tells what was written to the card, whenever that was.
        let differing = ByteSize(all.0.saturating_sub(held.0));
        self.begin_stage(Stage::Write, Some(total(&rest)), task)?;
        // Minutes may have gone by with decoding and comparing.
        self.check_identity()?;
        written.extend(self.write_chunks(&*card.image, &rest, task)?);
        // Early and late together, in the order in which they lie, which reads fastest.
        written.sort_by_key(|written| written.chunk.range.start);
        // A write that failed in the device's own cache is told of by the sync, and by nothing before it.
        self.sync()?;
        self.begin_stage(Stage::Verify, Some(differing), task)?;
        let repeated = self.verify_body(&*card.image, &written, task)?;
        // A card that folds addresses puts bytes of the body where the head was: then all else is wrong, too.
        self.head_is_zero(CardError::Suspect {
            what: "something that was written further behind came out at its beginning".to_owned(),
        })?;
        // Another card in the reader must not get the head of this one: it would be the only thing on it.
        self.check_identity()?;

        self.begin_stage(Stage::Seal, None, task)?;
        // The ledger first. If the power goes between the two, it knows of a card that may boot, and gives its number
        // and activation to no other. The other way round there could be two cards of one name.
        before_seal().map_err(|what| CardError::Record { what })?;
        self.seal()?;
        // Sealing reads back what it wrote; this tells from which card.
        self.check_identity()?;
        Ok(WriteReport {
            written: differing,
            held,
            verified: all,
            repeated,
            probe,
            unused_space: unused,
            durations: self.take_durations(),
        })
    }

    /// Asks the card whether it is as large as it says.
    fn probe(&mut self, image: ByteSize, options: WriteOptions, task: &mut dyn Task) -> Result<ProbeReport, CardError> {
        if self.medium.is_fresh() {
            return Ok(ProbeReport::New);
        }
        if !options.probe {
            return Ok(ProbeReport::NotProbed);
        }
        self.begin_stage(Stage::Probe, None, task)?;
        // Samples lie where the image may have data already (`--changed-only`), or where the recipe says that nothing
        // is touched. Elsewhere what they replace is lost anyway.
        let keep = options.unused_space == UnusedSpace::Keep || options.changed_only;
        let probe = capacity::probe(self.medium, image, keep, self.cancel)?;
        self.head_is_zero(CardError::Suspect {
            what: "a sample that was written far behind its beginning came out at its beginning".to_owned(),
        })?;
        Ok(probe)
    }
}
