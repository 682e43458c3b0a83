//! Many cards, side by side, each with its own name and activation.
//!
//! The order of promises for each card: a medium that passed the gate; a name and an activation, with the intent in
//! the ledger first; the card's image; written and verified; the outcome in the ledger. A card that fails does not
//! stop the others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::chunk_cache::ChunkCache;
use super::chunks::{CardImage, differences};
use super::deadline::WithDeadlines;
use super::failure::{CardFailure, FailureKind, LeftOnCard, Stage};
use super::medium::{Medium, MediumRecord};
use super::options::WriteOptions;
use super::receipt::{CardName, Outcome, RECEIPT_VERSION, Receipt};
use super::write_report::{UnusedSpaceReport, WriteReport};
use super::writer::{Guard, StreamingCard, write_card_sharing, write_card_streaming};
use crate::activation::{Activation, Dispenser};
use crate::causes::in_one_line;
use crate::image::BlockMap;
use crate::ledger::{Bootability, CardReservation};
use crate::progress::{Progress, Task};
use crate::source::StreamingImage;

/// Makes one card's image of a golden image.
pub trait CardMaker: Sync {
    /// The golden image with this card's name and activation.
    ///
    /// # Errors
    /// Whatever is in the way. No part of the error may hold the activation's code.
    fn make(&self, card: &CardReservation, activation: Option<&Activation>) -> Result<CardImage, MakeError>;

    /// The golden image, where it is still being decoded: what every card has of it is written before the card's own
    /// image is made.
    fn streaming(&self) -> Option<&StreamingImage> {
        None
    }
}

/// Why a card's image could not be made.
pub type MakeError = Box<dyn std::error::Error + Send + Sync>;

/// What all cards of a batch have in common.
pub struct FlashJob<'a> {
    /// Makes each card's image.
    pub maker: &'a dyn CardMaker,
    /// Hands out names and activations and keeps the ledger.
    pub dispenser: &'a Dispenser<'a>,
    /// The recipe's name.
    pub recipe: &'a str,
    /// The golden image's map.
    pub golden: &'a BlockMap,
    /// What the cards share while they are written: [`ChunkCache::of`] the golden image's map.
    pub cache: &'a ChunkCache,
    /// How they are written.
    pub options: WriteOptions,
    /// Where news goes.
    pub progress: &'a dyn Progress,
    /// Set from outside to stop.
    pub cancel: &'a AtomicBool,
    /// Called with each card's receipt as soon as it ended, from that card's thread.
    pub on_receipt: &'a (dyn Fn(&Receipt) + Sync),
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchOutcome {
    /// One receipt for each card, in the order in which they ended.
    pub receipts: Vec<Receipt>,
}

/// A batch in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every card was verified.
    AllVerified,
    /// Cards failed, and each of them because it does not read back as written.
    VerificationFailed,
    /// Some cards failed, some were verified.
    SomeFailed,
    /// No card was verified.
    AllFailed,
}

impl BatchOutcome {
    /// The batch in one word. An empty batch was cancelled before it began.
    pub fn verdict(&self) -> Verdict {
        let failures: Vec<&CardFailure> = self.receipts.iter().filter_map(Receipt::failure).collect();
        let verified = self.receipts.len() - failures.len();
        if failures.is_empty() && verified > 0 {
            Verdict::AllVerified
        } else if !failures.is_empty() && failures.iter().all(|failure| failure.kind.is_verification()) {
            Verdict::VerificationFailed
        } else if verified > 0 {
            Verdict::SomeFailed
        } else {
            Verdict::AllFailed
        }
    }
}

/// Writes one card to each medium, all at once. Numbers and activations are handed out in the order of `media`: the
/// first target gets the first free row, whatever the threads do.
pub fn flash(job: &FlashJob<'_>, media: Vec<Box<dyn Medium>>) -> BatchOutcome {
    let receipts = Mutex::new(Vec::new());
    let keep = |receipt| receipts.lock().unwrap_or_else(PoisonError::into_inner).push(receipt);
    thread::scope(|scope| {
        for medium in media {
            // A card is written while the next one still gets its activation.
            let begun = match Begun::new(job, medium) {
                Ok(begun) => begun,
                Err(receipt) => {
                    keep(*receipt);
                    continue;
                }
            };
            let keep = &keep;
            let (card, record) = (begun.card.clone(), begun.record.clone());
            if let Err(error) =
                thread::Builder::new().name("card".to_owned()).spawn_scoped(scope, move || keep(begun.write(job)))
            {
                let failure =
                    book_failure(job, &card, preparation(format!("this machine gives no more threads: {error}")));
                keep(end(job, Some(&card), None, record, now(), Outcome::Failed { failure }));
            }
        }
    });
    BatchOutcome { receipts: receipts.into_inner().unwrap_or_else(PoisonError::into_inner) }
}

/// Writes one card to one medium, from its name to its receipt.
pub fn flash_one(job: &FlashJob<'_>, medium: Box<dyn Medium>) -> Receipt {
    match Begun::new(job, medium) {
        Ok(begun) => begun.write(job),
        Err(receipt) => *receipt,
    }
}

/// A card with its name and its activation, and nothing written yet.
struct Begun<'a> {
    medium: Box<dyn Medium>,
    record: MediumRecord,
    began: String,
    card: CardReservation,
    activation: Result<Option<Activation>, CardFailure>,
    task: Box<dyn Task + 'a>,
}

impl<'a> Begun<'a> {
    /// Gets name and activation. A card without a name ends here, with its receipt; one without an activation ends in
    /// [`Begun::write`], because the ledger must be told.
    fn new(job: &FlashJob<'a>, medium: Box<dyn Medium>) -> Result<Begun<'a>, Box<Receipt>> {
        let medium = WithDeadlines::on(medium, job.options.io_timeout);
        let (record, began) = (medium.record(), now());
        let place = record.slot.clone().unwrap_or_else(|| record.path.display().to_string());
        // The name first, because the ledger writes it down with this card's place: from here on a crash leaves a
        // trace.
        let card = match job.dispenser.next_card(&place) {
            Ok(card) => card,
            Err(error) => {
                let outcome = Outcome::Failed { failure: preparation(in_one_line(&error)) };
                return Err(Box::new(end(job, None, None, record, began, outcome)));
            }
        };
        let mut task = job.progress.task(&format!("{} in {place}", card.name), None);
        task.stage(&Stage::Prepare.to_string(), None);
        // Not for a batch that is being stopped: an activation that AWS has made must be deleted again.
        let activation = if job.cancel.load(Ordering::Relaxed) {
            let mut failure = untouched(&*medium, "cancelled before it was begun".to_owned());
            (failure.kind, failure.what) = (FailureKind::Cancelled, "was stopped".to_owned());
            Err(failure)
        } else {
            job.dispenser.activate(&card).map_err(|error| untouched(&*medium, in_one_line(&error)))
        };
        Ok(Begun { medium, record, began, card, activation, task })
    }

    /// Makes the card's image, writes it, verifies it, and books the outcome.
    fn write(self, job: &FlashJob<'_>) -> Receipt {
        let Begun { medium, record, began, card, activation, mut task } = self;
        let activation_id = activation.as_ref().ok().and_then(Option::as_ref).map(|activation| activation.id.clone());
        let written = activation.and_then(|activation| write_activated(job, medium, &card, activation, &mut *task));
        let failed = |failure: CardFailure, task: Box<dyn Task + '_>| {
            let failure = book_failure(job, &card, failure);
            task.failed(&format!("{}: {}", failure.what, failure.detail));
            Outcome::Failed { failure }
        };
        let outcome = match written {
            Err(failure) => failed(failure, task),
            Ok((report, map)) => {
                let (own, instead_of) = differences(job.golden, &map);
                let summary = format!("{} verified", report.verified);
                let outcome = Outcome::Verified { report, own, instead_of };
                // The receipt goes into the ledger in the same step that calls the card verified: there is no
                // verified card without one.
                let id = activation_id.clone();
                let receipt = receipt(job, Some(&card), id, record.clone(), began.clone(), outcome);
                match serde_json::to_string(&receipt)
                    .map_err(|error| error.to_string())
                    .and_then(|text| job.dispenser.verified(&card, &text).map_err(|error| in_one_line(&error)))
                {
                    Ok(()) => {
                        task.done(&summary);
                        warn_of_old_data(job, &receipt);
                        (job.on_receipt)(&receipt);
                        return receipt;
                    }
                    // The card is good and boots. But a ledger that does not know it would give its number away
                    // again, so it counts as failed.
                    Err(what) => {
                        let mut failure = preparation(what);
                        failure.stage = Stage::Finish;
                        failure.what = "was verified, but the ledger cannot be written".to_owned();
                        failure.left_on_card = LeftOnCard::MayBoot;
                        failed(failure, task)
                    }
                }
            }
        };
        end(job, Some(&card), activation_id, record, began, outcome)
    }
}

/// From the activation to the verified medium. Answers the card's own map beside the report.
fn write_activated(
    job: &FlashJob<'_>,
    medium: Box<dyn Medium>,
    card: &CardReservation,
    activation: Option<Activation>,
    task: &mut dyn Task,
) -> Result<(WriteReport, BlockMap), CardFailure> {
    let mut activation = activation;
    let mut make = || {
        // From here on the code is in the card's image only.
        let activation = activation.take();
        job.maker.make(card, activation.as_ref()).map_err(|error| in_one_line(&*error))
    };
    let mut before_seal = || job.dispenser.sealing(card).map_err(|error| in_one_line(&error));
    let guard = Guard { cancel: job.cancel, before_seal: &mut before_seal };
    let mut waits_for = None;
    if let Some(image) = job.maker.streaming() {
        let whole = image.is_whole().map_err(|error| untouched(&*medium, error.to_string()))?;
        // What a card holds already can only be told with its own image at hand.
        waits_for = (!whole && !job.options.changed_only).then_some(image);
    }
    let (report, map) = match waits_for {
        Some(image) => {
            let from = StreamingCard { image, golden: job.golden, make: &mut make };
            write_card_streaming(job.cache, &*medium, from, job.options, task, guard)?
        }
        None => {
            let image = make().map_err(|what| untouched(&*medium, what))?;
            (write_card_sharing(job.cache, &*medium, &image, job.options, task, guard)?, image.map)
        }
    };
    // A card image gets its name only here, so that a file of that name is always a verified one.
    task.stage(&Stage::Finish.to_string(), None);
    medium.finish().map_err(|error| CardFailure {
        stage: Stage::Finish,
        left_on_card: LeftOnCard::NoFile,
        what: "was verified, but could not be given its name".to_owned(),
        next: "choose another file name and run the command again".to_owned(),
        ..preparation(error.to_string())
    })?;
    Ok((report, map))
}

fn untouched(medium: &dyn Medium, what: String) -> CardFailure {
    let mut failure = preparation(what);
    failure.left_on_card = if medium.is_fresh() { LeftOnCard::NoFile } else { LeftOnCard::Untouched };
    failure
}

/// What a device could not do must not be taken for done.
fn warn_of_old_data(job: &FlashJob<'_>, receipt: &Receipt) {
    if let Outcome::Verified {
        report: WriteReport { unused_space: UnusedSpaceReport::NotDiscarded { .. }, .. }, ..
    } = &receipt.outcome
    {
        job.progress.note(&format!(
            "{}: the reader cannot discard, so what an earlier use left outside of the image is still there; \
             `[card] unused-space = \"zero\"` in the recipe overwrites it",
            receipt.medium.name()
        ));
    }
}

/// Books the failure, and learns what became of number and activation.
fn book_failure(job: &FlashJob<'_>, card: &CardReservation, mut failure: CardFailure) -> CardFailure {
    let left = match failure.left_on_card {
        // Nothing that makes this card boot is written before it is sealed, whatever else is or is not on it.
        LeftOnCard::Unknown if failure.stage < Stage::Seal => Bootability::CannotBoot,
        LeftOnCard::MayBoot | LeftOnCard::Unknown => Bootability::MayBoot,
        // An old system that is still there does not know this card's activation.
        LeftOnCard::NotBootable | LeftOnCard::NoFile | LeftOnCard::Untouched | LeftOnCard::OldContent => {
            Bootability::CannotBoot
        }
    };
    let why = format!("{}: {}", failure.what, failure.detail);
    failure.activation = match job.dispenser.failed(card, &failure.stage.to_string(), &why, left) {
        Ok(told) => told,
        Err(error) => {
            let error = in_one_line(&error);
            format!("the ledger could not be told ({error}); the next run looks after {} and its activation", card.name)
        }
    };
    failure
}

fn preparation(detail: String) -> CardFailure {
    CardFailure {
        stage: Stage::Prepare,
        kind: FailureKind::Preparation,
        what: "could not be prepared".to_owned(),
        detail,
        left_on_card: LeftOnCard::Untouched,
        activation: String::new(),
        next: "see to what is said above, then run the command again".to_owned(),
    }
}

fn end(
    job: &FlashJob<'_>,
    card: Option<&CardReservation>,
    activation_id: Option<String>,
    medium: MediumRecord,
    began: String,
    outcome: Outcome,
) -> Receipt {
    let receipt = receipt(job, card, activation_id, medium, began, outcome);
    (job.on_receipt)(&receipt);
    receipt
}

fn receipt(
    job: &FlashJob<'_>,
    card: Option<&CardReservation>,
    activation_id: Option<String>,
    medium: MediumRecord,
    began: String,
    outcome: Outcome,
) -> Receipt {
    Receipt {
        receipt_version: RECEIPT_VERSION,
        cardsmith: env!("CARGO_PKG_VERSION").to_owned(),
        run: job.dispenser.run_id().to_owned(),
        recipe: job.recipe.to_owned(),
        card: card.map(|card| CardName { name: card.name.clone(), serial: card.serial }),
        activation_id,
        golden: job.golden.fingerprint(),
        medium,
        began,
        ended: now(),
        outcome,
    }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
