//! One run at the bench: golden image, activations, ledger, targets; receipts and messages as the cards end.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bench::{BenchRun, Shown, summary};
use crate::activation::{Activation, Dispenser, Issuer, Order};
use crate::cli::{Error, Exit, Ui};
use crate::flash::bench::{AtStart, Bench, flash_many};
use crate::flash::gate::{self, GateOptions, ShownTarget};
use crate::flash::hotplug::Hotplug;
use crate::flash::receipt::{Outcome, Receipt};
use crate::flash::{
    BatchOutcome, CardFailure, CardImage, CardMaker, ChunkCache, FlashJob, Host, IoTimeout, MakeError, WriteOptions,
    flash,
};
use crate::golden::Golden;
use crate::ledger::{CardReservation, Ledger};
use crate::printable::Printable;
use crate::progress::Progress;
use crate::provision::card::CardIdentity;
use crate::recipe::CardName;
use crate::secrets::CardSecrets;
use crate::source::StreamingImage;

/// What a run is to do.
pub(in crate::cli) struct Batch<'a> {
    /// What every card is made from.
    pub golden: &'a Golden,
    /// Where the recipe's paths count from.
    pub beside: &'a Path,
    /// This machine.
    pub host: &'a Host,
    /// Where to, each as it was when it was shown: nothing else is written to.
    pub targets: &'a [ShownTarget],
    /// What was said about them.
    pub options: &'a GateOptions,
    /// How many cards, where slots are to be filled again and again.
    pub count: Option<usize>,
    /// Whether what cards hold already is not written again.
    pub changed_only: bool,
    /// Whether cards are asked if they are as large as they say.
    pub probe: bool,
    /// The file of activations, instead of the recipe's.
    pub activations: Option<&'a Path>,
    /// Where receipts go.
    pub receipts: Option<&'a Path>,
    /// The bench at which it is worked, instead of targets.
    pub bench: Option<(&'a BenchRun, &'a AtStart)>,
    /// The secrets that the recipe names.
    pub secrets: &'a CardSecrets,
    /// The ledger's file.
    pub ledger: &'a Path,
}

/// Makes card images of a golden image.
struct Maker<'a>(&'a Golden, &'a CardSecrets);

impl CardMaker for Maker<'_> {
    fn make(&self, card: &CardReservation, activation: Option<&Activation>) -> Result<CardImage, MakeError> {
        let identity = CardIdentity { name: card.name.clone(), serial: card.serial };
        let made = self.0.card(&identity, activation, self.1)?;
        Ok(CardImage { image: made.image, map: made.map })
    }

    fn streaming(&self) -> Option<&StreamingImage> {
        self.0.streaming()
    }
}

/// Writes the cards, tells of each as it ends, and keeps the record.
pub(in crate::cli) fn write_cards(batch: &Batch<'_>, ui: &Ui) -> Result<BatchOutcome, Error> {
    let (manifest, progress) = (&batch.golden.manifest, ui.progress());
    let recipe = &manifest.recipe;
    let name = CardName::parse(&recipe.card.name, &recipe.name)
        .map_err(|error| Error::usage("the recipe's `[card] name` cannot name cards").because(&error))?;
    // At once, and held from here on: nobody can exchange or mount what is open for us alone.
    let media = match (batch.bench, batch.count) {
        (None, None) => Some(gate::clear_shown(batch.host, batch.targets, batch.options, manifest.image.size)?),
        // A bench lets go of each card, and its slots look for themselves.
        _ => None,
    };
    let issuer = Issuer::of_recipe(recipe, batch.beside, batch.activations, progress)?;
    if issuer.is_none() {
        progress.warn("the recipe has no [activation]: these cards will not register with SSM");
    }
    // From here on there is a record, and soon there are activations and cards.
    ui.stop_in_order();
    if let Some(dir) = batch.receipts {
        std::fs::create_dir_all(dir)
            .map_err(|error| Error::failed(format!("cannot make {}", dir.display())).because(&error))?;
    }
    let ledger = Ledger::open(batch.ledger)?;
    // A bench without a count needs activations as cards come: there must be one to begin with.
    let cards = batch.count.unwrap_or(if batch.bench.is_some() { 1 } else { batch.targets.len() });
    let no_more = Arc::new(AtomicBool::new(false));
    let shown = batch.bench.map(|(bench, _)| Shown::open(bench, &recipe.name, batch.count, &no_more, ui));
    let progress = shown.as_ref().map_or(progress, Shown::progress);
    let of = |serial: u64| name.of(serial);
    let order = Order { recipe: &recipe.name, golden: Some(manifest.image.digest), cards, name: &of };
    let dispenser = Dispenser::open(&ledger, issuer.as_ref(), order, progress)?;

    let cancel = ui.cancel();
    let on_screen = shown.as_ref().is_some_and(Shown::is_screen);
    let on_receipt = |receipt: &Receipt| {
        keep(receipt, batch, progress, ui);
        if !on_screen {
            tell(receipt, ui);
        }
    };
    let maker = Maker(batch.golden, batch.secrets);
    let at_once = batch.bench.map_or(batch.targets.len(), |(bench, _)| bench.slots.len());
    let cache = ChunkCache::for_cards(&manifest.map, at_once);
    let job = FlashJob {
        maker: &maker,
        dispenser: &dispenser,
        recipe: &recipe.name,
        golden: &manifest.map,
        cache: &cache,
        options: WriteOptions {
            unused_space: recipe.card.unused_space,
            probe: batch.probe,
            changed_only: batch.changed_only,
            io_timeout: IoTimeout::from_environment(),
        },
        progress,
        cancel: &cancel,
        on_receipt: &on_receipt,
    };
    let needed = manifest.image.size;
    let outcome = match (batch.bench, &shown, batch.count) {
        (Some((bench, at_start)), Some(view), count) => {
            let (host, slots, options) = (batch.host, bench.slots.as_slice(), batch.options);
            let hotplug = Hotplug::new();
            let (no_more, hotplug) = (&*no_more, &hotplug);
            Bench { job: &job, host, slots, at_start, options, needed, count, view, no_more, hotplug }.run()
        }
        (_, _, Some(count)) => flash_many(&job, batch.host, batch.targets, batch.options, needed, count),
        _ => flash(&job, media.unwrap_or_default()),
    };
    dispenser.close()?;
    if let Some(shown) = shown {
        shown.close(ui);
        if on_screen {
            outcome.receipts.iter().for_each(|receipt| tell(receipt, ui));
        }
        ui.answer(&summary(&outcome.receipts));
    }
    let failed = outcome.receipts.iter().filter(|receipt| receipt.failure().is_some()).count();
    let verified = outcome.receipts.len() - failed;
    ui.event("batch", &serde_json::json!({ "verified": verified, "failed": failed, "ledger": batch.ledger }));
    if cancel.load(Ordering::Relaxed) {
        ui.progress().warn("stopped; cards that were not finished do not boot");
    }
    Ok(outcome)
}

/// A receipt for people: a line, or a message of what failed.
fn tell(receipt: &Receipt, ui: &Ui) {
    let name = name(receipt);
    match &receipt.outcome {
        Outcome::Verified { report, .. } => ui.answer(&format!(
            "{} is on {}: {} written, {}{} read back and right; activation {}",
            Printable::of(name),
            Printable::of(&receipt.medium.name()),
            report.written,
            if report.held.0 > 0 { format!("{} were there already, ", report.held) } else { String::new() },
            report.verified,
            Printable::of(receipt.activation_id.as_deref().unwrap_or("none"))
        )),
        Outcome::Failed { failure } => ui.report(&message(receipt, failure)),
    }
}

fn name(receipt: &Receipt) -> &str {
    receipt.card.as_ref().map_or("a card without a name", |card| card.name.as_str())
}

/// A receipt for programs, as it comes: an event and a file.
fn keep(receipt: &Receipt, batch: &Batch<'_>, progress: &dyn Progress, ui: &Ui) {
    ui.event("receipt", receipt);
    let Some(dir) = batch.receipts else { return };
    // A failed card's number is used again: its receipt must not be overwritten by its replacement's.
    let ending =
        if receipt.failure().is_some() { format!(".failed-{}", receipt.ended.replace(':', "")) } else { String::new() };
    let path = dir.join(format!("{}{ending}.json", name(receipt).replace([' ', '/'], "-")));
    let text = serde_json::to_string_pretty(receipt).unwrap_or_default();
    let written = batch.options.inputs.refuse_output(&path, "the receipt").map_err(|error| error.to_string());
    let written = written.and_then(|()| std::fs::write(&path, text + "\n").map_err(|error| error.to_string()));
    if let Err(error) = written {
        progress.warn(&format!("cannot write the receipt {}: {error}; the ledger has it", path.display()));
    }
}

fn message(receipt: &Receipt, failure: &CardFailure) -> Error {
    let exit = if failure.kind.is_verification() { Exit::Verification } else { Exit::Failed };
    let mut message = Error::with(exit, format!("{} {}", receipt.medium.name(), failure.what));
    message.causes.push(failure.detail.clone());
    message.state.push(failure.left_on_card.to_string());
    if !failure.activation.is_empty() {
        message.state.push(failure.activation.clone());
    }
    message.help(failure.next.clone())
}

impl From<gate::GateError> for Error {
    fn from(error: gate::GateError) -> Error {
        // A target that cannot be is wrong usage, whatever the reason; only what the system reports is a failure.
        let exit = if matches!(error, gate::GateError::Io { .. }) { Exit::Failed } else { Exit::Usage };
        Error::of(exit, &error).state("nothing was written").help(error.next_step())
    }
}
