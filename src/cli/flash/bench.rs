//! `flash --bench`: the slots of the bench file, and what is shown of them: a screen on a terminal, lines and events
//! elsewhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};

use crate::cli::screen;
use crate::cli::screen::{Board, Keys, Mark};
use crate::cli::table::Table;
use crate::cli::{Error, Ui};
use crate::cli::{Lines, Screen};
use crate::flash::bench::{AtStart, BenchView, Notes, SlotNews};
use crate::flash::bench_file::{self, BenchFile, BenchFileError};
use crate::flash::devices::Device;
use crate::flash::gate::GateOptions;
use crate::flash::receipt::{Outcome, Receipt};
use crate::flash::slots::Slot;
use crate::progress::{Progress, Task};
use crate::storage::Host;
use crate::units::ByteSize;

/// Which slots, and how they are shown.
#[derive(clap::Args)]
pub(super) struct BenchArgs {
    /// Wait for cards in the slots of the bench file and write each as it is put in
    #[arg(long, conflicts_with_all = ["to", "overwrite"])]
    pub(super) bench: bool,
    /// Which place is which slot [default: cardsmith/bench.toml in the XDG config directory]
    #[arg(long, value_name = "FILE", requires = "bench")]
    bench_file: Option<PathBuf>,
    /// Use only the slot of this name. May be given several times
    #[arg(long, value_name = "NAME", requires = "bench")]
    slot: Vec<String>,
    /// Lines instead of the full screen
    #[arg(long, requires = "bench")]
    plain: bool,
}

impl BenchArgs {
    /// The bench file that was named.
    pub(super) fn file(&self) -> Option<&Path> {
        self.bench_file.as_deref()
    }
}

/// A bench, ready to be worked at.
pub(in crate::cli) struct BenchRun {
    pub(super) slots: Vec<Slot>,
    plain: bool,
}

/// The bench file that was named, or the usual one.
pub(in crate::cli) fn bench_path(named: Option<&Path>) -> Result<PathBuf, Error> {
    named.map(Path::to_owned).or_else(bench_file::default_path).ok_or_else(|| {
        Error::usage("there is no place for the bench file: HOME is not set").help("give `--bench-file FILE`")
    })
}

impl BenchRun {
    /// Reads the bench file and picks the slots.
    pub(super) fn open(args: &BenchArgs) -> Result<Option<BenchRun>, Error> {
        if !args.bench {
            return Ok(None);
        }
        let path = bench_path(args.bench_file.as_deref())?;
        let file = BenchFile::read(&path)?;
        let learn = "`cardsmith devices --learn` asks for a card in each slot and gives it a name";
        let slots = file.pick(&args.slot).map_err(|(name, meant)| {
            let known = file.slots.iter().map(|slot| slot.name.as_str()).collect::<Vec<_>>().join(", ");
            let error = Error::usage(format!("there is no slot {name:?} in {}", path.display()));
            match meant {
                Some(meant) => error.help(format!("did you mean {meant:?}? There are: {known}")),
                None => error.help(format!("there are: {known}")),
            }
        })?;
        match slots.is_empty() {
            true => Err(Error::usage(format!("{} names no slots", path.display())).help(learn)),
            false => Ok(Some(BenchRun { slots, plain: args.plain })),
        }
    }

    /// What is in the slots now, and what of it has to be asked about.
    pub(super) fn look(
        &self,
        host: &Host,
        options: &GateOptions,
        needed: ByteSize,
    ) -> Result<(AtStart, Vec<Device>), Error> {
        AtStart::look(host, &self.slots, options, needed)
            .map_err(|error| Error::failed("cannot list devices").because(&error))
    }
}

impl From<BenchFileError> for Error {
    fn from(error: BenchFileError) -> Error {
        let message = Error::of(crate::cli::Exit::Usage, &error);
        match error {
            BenchFileError::Mistake(mistake) => message.state(mistake.excerpt.clone()).help(mistake.help.clone()),
            BenchFileError::Write { .. } => message.state("what was there before still is"),
            _ => message.help("`cardsmith devices --learn` writes one; `--bench-file FILE` names another"),
        }
    }
}

/// What is shown of a bench while it runs.
pub(super) enum Shown<'a> {
    Screen { screen: Screen, slots: &'a [Slot] },
    Lines { ui: &'a Ui, lines: Option<Lines> },
}

impl<'a> Shown<'a> {
    /// A full screen where there is a terminal and nobody said otherwise. `no_more` is set by its key.
    pub(super) fn open(
        bench: &'a BenchRun,
        recipe: &str,
        count: Option<usize>,
        no_more: &Arc<AtomicBool>,
        ui: &'a Ui,
    ) -> Shown<'a> {
        if !bench.plain && !ui.json() && !ui.global.quiet && screen::is_possible() {
            let title = format!("cardsmith bench: {recipe}");
            let board = Board::new(title, bench.slots.iter().map(|slot| slot.name.clone()), count);
            let keys = Keys { cancel: ui.cancel(), no_more: no_more.clone() };
            match Screen::open(board, keys) {
                Ok(screen) => return Shown::Screen { screen, slots: &bench.slots },
                Err(error) => ui.progress().warn(&format!("no full screen here: {error}")),
            }
        }
        // On a terminal, bars would be neither plain nor one line per slot.
        let lines = (!ui.json() && !ui.global.quiet).then(Lines::new);
        Shown::Lines { ui, lines }
    }

    /// Where news that belong to no slot go while the bench runs.
    pub(super) fn progress(&self) -> &dyn Progress {
        match self {
            Shown::Screen { screen, .. } => screen,
            Shown::Lines { lines: Some(lines), .. } => lines,
            Shown::Lines { ui, lines: None } => ui.progress(),
        }
    }

    /// Whether lines printed now would go across a screen.
    pub(super) fn is_screen(&self) -> bool {
        matches!(self, Shown::Screen { .. })
    }

    /// Gives the terminal back, and says again what went by.
    pub(super) fn close(self, ui: &Ui) {
        if let Shown::Screen { screen, .. } = self {
            screen.close().iter().for_each(|warning| ui.progress().warn(warning));
        }
    }
}

impl BenchView for Shown<'_> {
    fn news(&self, slot: &Slot, news: &SlotNews<'_>) {
        match self {
            Shown::Screen { screen, slots } => {
                let row = slots.iter().position(|other| other == slot).unwrap_or(usize::MAX);
                screen.change(|board| show(board, row, &slot.name, news));
            }
            Shown::Lines { ui, lines } => {
                ui.event("slot", &event(slot, news));
                let text = match news {
                    SlotNews::Inserted { device } => {
                        format!("{}: {} of {}", slot.name, device.description(), device.size)
                    }
                    SlotNews::Removed => format!("{}: the card was taken out", slot.name),
                    _ => return Notes(self.progress()).news(slot, news),
                };
                if let Some(lines) = lines {
                    lines.note(&text);
                }
            }
        }
    }

    fn task(&self, slot: &Slot, label: &str, total: Option<ByteSize>) -> Box<dyn Task> {
        match self {
            Shown::Screen { screen, slots } => {
                let row = slots.iter().position(|other| other == slot).unwrap_or(usize::MAX);
                screen.task(row, total)
            }
            Shown::Lines { .. } => self.progress().task(label, total),
        }
    }
}

/// What a piece of news changes on the screen.
fn show(board: &mut Board, number: usize, name: &str, news: &SlotNews<'_>) {
    match news {
        SlotNews::Ended { receipt } => match receipt.failure() {
            None => board.verified += 1,
            Some(failure) => {
                board.failed += 1;
                board.say(format!("{name}: FAIL {}: {}; {}", failure.what, failure.detail, failure.left_on_card));
            }
        },
        SlotNews::Held { why } => board.say(format!("{name}: {why}")),
        _ => {}
    }
    board.row(number, |row| match news {
        SlotNews::Empty => row.rest(Mark::Quiet, "put a card in"),
        SlotNews::Inserted { device } => {
            row.card.clear();
            row.rest(Mark::Quiet, format!("{} of {}", device.description(), device.size));
        }
        SlotNews::Held { why } => row.rest(Mark::Wants, *why),
        SlotNews::Spare => row.rest(Mark::Quiet, "needed only if another one fails"),
        SlotNews::Started { card } => row.card.clone_from(&card.name),
        SlotNews::Ended { receipt } => {
            row.card = receipt.card.as_ref().map(|card| card.name.clone()).unwrap_or_default();
            match receipt.failure() {
                None => row.rest(Mark::Pass, "take the card out"),
                Some(failure) => row.rest(Mark::Fail, format!("{}: {}", failure.what, failure.detail)),
            }
        }
        SlotNews::Exchange if row.mark == Mark::Pass => row.text = "take the card out, put the next one in".to_owned(),
        SlotNews::Exchange => {}
        SlotNews::Removed => {
            row.card.clear();
            row.rest(Mark::Quiet, "put a card in");
        }
        SlotNews::Closed if matches!(row.mark, Mark::Pass | Mark::Fail) => {}
        SlotNews::Closed => row.rest(Mark::Quiet, "no more cards here"),
    });
}

/// A piece of news for a program.
fn event(slot: &Slot, news: &SlotNews<'_>) -> Value {
    let (state, more) = match news {
        SlotNews::Empty => ("empty", Value::Null),
        SlotNews::Inserted { device } => ("inserted", json!({ "device": device })),
        SlotNews::Held { why } => ("held", json!({ "why": why })),
        SlotNews::Spare => ("spare", Value::Null),
        SlotNews::Started { card } => ("started", json!({ "card": { "name": card.name, "serial": card.serial } })),
        SlotNews::Ended { receipt } => match receipt.failure() {
            None => ("passed", json!({ "card": receipt.card })),
            Some(failure) => ("failed", json!({ "card": receipt.card, "failure": failure })),
        },
        SlotNews::Exchange => ("remove", Value::Null),
        SlotNews::Removed => ("removed", Value::Null),
        SlotNews::Closed => ("closed", Value::Null),
    };
    let mut fields = json!({ "slot": slot.name, "place": slot.place.to_string(), "state": state });
    if let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) {
        fields.extend(more);
    }
    fields
}

/// All cards of a bench, in the order in which they ended.
pub(super) fn summary(receipts: &[Receipt]) -> String {
    let mut table = Table::new(["slot", "card", "outcome", "why", "took"]);
    for receipt in receipts {
        let (outcome, why) = match &receipt.outcome {
            Outcome::Verified { .. } => ("PASS", String::new()),
            Outcome::Failed { failure } => ("FAIL", format!("{}: {}", failure.what, failure.detail)),
        };
        let place = receipt.medium.slot.clone().unwrap_or_else(|| receipt.medium.path.display().to_string());
        let card = receipt.card.as_ref().map(|card| card.name.clone()).unwrap_or_default();
        table.row([place, card, outcome.to_owned(), why, took(receipt)]);
    }
    let verified = receipts.iter().filter(|receipt| receipt.failure().is_none()).count();
    let failed = receipts.len() - verified;
    let sum = format!("{verified} verified, {failed} failed");
    if receipts.is_empty() { format!("no card was made; {sum}") } else { format!("\n{table}\n{sum}") }
}

fn took(receipt: &Receipt) -> String {
    let at = |text: &str| text.parse::<jiff::Timestamp>().ok();
    match (at(&receipt.began), at(&receipt.ended)) {
        (Some(began), Some(ended)) => {
            let seconds = (ended.as_second() - began.as_second()).max(0);
            format!("{}:{:02}", seconds / 60, seconds % 60)
        }
        _ => String::new(),
    }
}
