//! `cardsmith activations`: what was issued, for which card; rows of files; the orphans of crashed runs.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::table::Table;
use super::{Error, Exit, Ui};
use crate::activation::{self, ActivationError, ActivationFile, Swept};
use crate::fleet;
use crate::inputs::Inputs;
use crate::ledger::{ActivationState, FileRow, Ledger, LedgerError};
use crate::printable::Printable;

/// List activations, import files of them, remove orphans
///
/// An activation lets one card register with AWS Systems Manager, once. The ledger knows of each who has it; it never
/// holds the secret code.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cardsmith activations list\n  cardsmith activations sweep --dry-run\n\n\
                  Environment: AWS_PROFILE, AWS_ENDPOINT_URL_SSM and what else AWS tools understand; \
                  CARDSMITH_AWS_TIMEOUT is how many seconds one call may take [default: 20].")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show every activation: state, card, expiry, and whether it was used
    ///
    /// States: intended (AWS is being asked), lost (no answer came; looked for by its name), issued (its card is being
    /// made), held (a verified card has it), due (to be deleted), deleted, returned (a row that is free again),
    /// uncertain (a row that may be on a card that was never verified), none (never came to exist).
    #[command(
        after_help = "Example:\n  cardsmith activations list --open\n  cardsmith activations list --json --offline"
    )]
    List {
        /// Only those that are neither on a verified card nor settled
        #[arg(long)]
        open: bool,
        /// Do not ask AWS whether they were used
        #[arg(long)]
        offline: bool,
    },
    /// Check a file of pre-issued activations and remember its rows (never the codes)
    #[command(after_help = "Example:\n  cardsmith activations import activations.csv\n\n\
                      The file: CSV whose first line is activation_id,activation_code,region (name and expires may \
                      follow), or a JSON array of objects with the same keys. Importing is not needed for `flash`; \
                      it checks the file and lets `list` show which rows are left.")]
    Import {
        /// The file
        file: PathBuf,
    },
    /// Delete at AWS what crashed runs left and no verified card holds
    ///
    /// Every run of `flash` does the same before it begins. A run that is under way is left alone.
    #[command(after_help = "Example:\n  cardsmith activations sweep --dry-run")]
    Sweep {
        /// Show what would be done, change nothing
        #[arg(long, short = 'n')]
        dry_run: bool,
    },
    /// Make a row free again whose card was never verified, but might boot: after that card was erased
    #[command(after_help = "Example:\n  cardsmith activations release 7c2f0c0e-2d1c-4b7e-9a51-3f6f0c4d8e21")]
    Release {
        /// The activation id, as `list` shows it
        activation_id: String,
    },
}

pub(super) fn run(args: Args, ui: &Ui) -> Result<Exit, Error> {
    match args.command {
        Command::List { open, offline } => list(open, offline, ui),
        Command::Import { file } => import(&file, ui),
        Command::Sweep { dry_run } => sweep(dry_run, ui),
        Command::Release { activation_id } => {
            // People paste what a console shows; the ledger keeps lower case.
            open_ledger(ui)?.release_row(&activation_id.to_ascii_lowercase())?;
            ui.event("released", &json!({ "activation_id": activation_id }));
            ui.answer(&format!("activation {} is free again", Printable::of(&activation_id)));
            Ok(Exit::Done)
        }
    }
}

/// The ledger of the global options.
pub(super) fn open_ledger(ui: &Ui) -> Result<Ledger, Error> {
    let path = ui.global.ledger.clone().or_else(crate::ledger::default_path);
    let path =
        path.ok_or_else(|| Error::usage("no home directory to keep the ledger in").help("give --ledger FILE"))?;
    Ok(Ledger::open(&path)?)
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Error {
        Error::of(Exit::Failed, &error)
    }
}

impl From<ActivationError> for Error {
    fn from(error: ActivationError) -> Error {
        let exit = if error.is_usage() { Exit::Usage } else { Exit::Failed };
        Error::of(exit, &error)
    }
}

/// A time as people read it, in UTC.
pub(super) fn time(seconds: Option<i64>) -> String {
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map(|time| time.strftime("%Y-%m-%d %H:%MZ").to_string()).unwrap_or_default()
}

fn list(only_open: bool, offline: bool, ui: &Ui) -> Result<Exit, Error> {
    let ledger = open_ledger(ui)?;
    let survey = fleet::survey(&ledger, None, offline)?;
    // A warning: what the ledger has is true without AWS.
    for (region, error) in &survey.unreachable {
        ui.progress().warn(&format!("whether those in {region} were used is not known: {error}"));
    }
    let open = [ActivationState::Intended, ActivationState::Lost, ActivationState::Issued, ActivationState::Due];
    let is_open = |state| open.contains(&state) || state == ActivationState::Uncertain;
    let mut table = Table::new(["card", "recipe", "state", "activation", "region", "expires", "used"]);
    for activation in ledger.activations()? {
        if only_open && !is_open(activation.state) {
            continue;
        }
        let at = survey.cards.iter().find(|at| {
            at.card.key == activation.card_key && at.activation.as_ref().is_some_and(|a| a.key == activation.key)
        });
        let registrations = at.and_then(|at| at.known.as_ref()).map(|known| known.registrations > 0);
        // Once it is deleted, a node that registered with it is the only trace of its use.
        let node = at.filter(|at| at.asked).map(|at| at.node.is_some());
        let used = match (registrations, node) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), _) => Some(false),
            (None, known) => known,
        };
        let mut fields = json!(activation);
        fields["used"] = json!(used);
        ui.event("activation", &fields);
        table.row([
            activation.card,
            activation.recipe,
            activation.state.to_string(),
            activation.id.unwrap_or_else(|| "?".to_owned()),
            activation.region,
            time(activation.expires),
            match used {
                Some(true) => "yes".to_owned(),
                Some(false) => "no".to_owned(),
                None => "?".to_owned(),
            },
        ]);
    }
    // Rows that no card ever took are in no activation's record.
    for row in ledger.file_rows()?.into_iter().filter(|row| row.state.is_none() && !only_open) {
        ui.event("free-row", &row);
        let owner = row.name.map_or_else(|| format!("({})", row.file), |name| format!("{name} ({})", row.file));
        table.row([owner, String::new(), "free".to_owned(), row.id, row.region, time(row.expires), "no".to_owned()]);
    }
    if table.is_empty() {
        ui.answer("no activations");
    } else {
        ui.answer(&table.to_string());
    }
    Ok(Exit::Done)
}

fn import(path: &std::path::Path, ui: &Ui) -> Result<Exit, Error> {
    let mut inputs = Inputs::default();
    inputs.add(path, "the file of activations");
    inputs.refuse_output(&ui.ledger_path()?, "the ledger")?;
    let file = ActivationFile::open(path)?;
    file.warnings().iter().for_each(|warning| ui.progress().warn(warning));
    let rows: Vec<&FileRow> = file.rows().collect();
    // The ledger outlives the working directory.
    let name = std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    let ledger = open_ledger(ui)?;
    let new = ledger.import_rows(&name, &rows)?;
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let free = ledger.free_rows(&ids)?.len();
    let expired = file.expired();
    ui.event("imported", &json!({ "file": name, "rows": rows.len(), "new": new, "free": free, "expired": expired }));
    ui.answer(&format!("{} rows, {new} of them new; {free} not used yet, {expired} expired", rows.len()));
    Ok(Exit::Done)
}

fn sweep(dry_run: bool, ui: &Ui) -> Result<Exit, Error> {
    let report = activation::sweep(&open_ledger(ui)?, dry_run)?;
    ui.event("sweep", &report);
    // Programs have it whole in the event; as notes it would come twice.
    if !ui.json() {
        report.tell(ui.progress());
    }
    let count = |outcome: &Swept| report.activations.iter().filter(|swept| swept.outcome == *outcome).count();
    let (deleted, open) = (count(&Swept::Deleted), report.open());
    let verb = if dry_run { "to delete" } else { "deleted" };
    ui.answer(&format!("{deleted} activations {verb}, {open} still open, {} cards unfinished", report.cards.len()));
    // Only a deletion that failed is a failure. What AWS does not list yet is waited for.
    let due = report.activations.iter().any(|swept| matches!(swept.outcome, Swept::StillDue { .. }));
    if due {
        let error = Error::failed("some activations could not be looked after");
        return Err(
            error.help("they stay in the ledger: run `cardsmith activations sweep` again when AWS can be reached")
        );
    }
    Ok(Exit::Done)
}
