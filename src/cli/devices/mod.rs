//! `cardsmith devices`: what could be written to, and why the others not; and what the slots are called.

mod learn;

use std::path::PathBuf;

use serde_json::json;

use super::flash::bench_path;
use super::reads::BENCH_FILE;
use super::table::Table;
use super::{Error, Exit, Ui};
use crate::flash::bench_file::BenchFile;
use crate::flash::devices::{self, Device, Transport};
use crate::storage::Host;

/// Show what could be written to, and why the others not
///
/// Nothing is written to a device, and without --learn none is opened. Slots that the bench file names are shown by their
/// names.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cardsmith devices\n  cardsmith devices --all --json\n  cardsmith devices --learn")]
pub(super) struct Args {
    /// Show unused loop devices and empty drives too
    #[arg(long)]
    all: bool,
    /// Ask for a card in each slot and what it is called, and write the bench file for `flash --bench`
    #[arg(long)]
    learn: bool,
    /// Which place is which slot [default: cardsmith/bench.toml in the XDG config directory]
    #[arg(long, value_name = "FILE")]
    bench_file: Option<PathBuf>,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<Exit, Error> {
    if args.learn {
        let path = bench_path(args.bench_file.as_deref())?;
        // The bench file is read and written; it is nothing else that cardsmith reads.
        ui.reads().without(BENCH_FILE).refuse_output(&path, "--bench-file")?;
        return learn::learn(&path, args.all, ui);
    }
    let bench = names(args, ui)?;
    let found = devices::list(&Host::this()).map_err(|error| Error::failed("cannot list devices").because(&error))?;
    // A reader shows its empty slots as devices of no size. Those with a place are worth a line.
    let empty = |device: &Device| {
        device.size.0 == 0 && (device.transport == Transport::Loop || device.optical || device.slot.is_none())
    };
    let shown: Vec<&Device> = found.iter().filter(|device| args.all || !empty(device)).collect();
    let mut table = Table::new(["device", "slot", "size", "name", "can be written"]);
    for device in &shown {
        // As `flash` sees it without options: what a person meets first.
        let refusal = device.refusal(false, None);
        let path = device.path.display().to_string();
        let next = refusal.as_ref().map(|refusal| refusal.next_step(&path));
        ui.event(
            "device",
            &json!({ "device": device, "slot_name": bench.name_of(device), "obstacle": refusal, "next": next }),
        );
        let verdict = match &refusal {
            None => "yes".to_owned(),
            Some(refusal) => format!("no: {refusal}"),
        };
        table.row([
            path,
            match (bench.name_of(device), &device.slot) {
                (Some(name), Some(port)) => format!("{name} ({port})"),
                (Some(name), None) => name.to_owned(),
                (None, port) => port.clone().unwrap_or_default(),
            },
            device.size.to_string(),
            device.description(),
            verdict,
        ]);
    }
    if table.is_empty() {
        ui.answer("no devices: put a card into a reader");
    } else {
        ui.answer(&table.to_string());
    }
    if !shown.iter().any(|device| device.refusal(false, None).is_none()) {
        ui.say("no card that can be written to is in a reader; `--to FILE.img` writes a card image instead");
    }
    Ok(Exit::Done)
}

/// The names of the slots. Without a bench file there are none; a broken one is no reason to show nothing.
fn names(args: &Args, ui: &Ui) -> Result<BenchFile, Error> {
    if let Some(path) = &args.bench_file {
        return Ok(BenchFile::read(path)?);
    }
    let usual = crate::flash::bench_file::default_path().filter(|path| path.exists());
    Ok(usual
        .map(|path| BenchFile::read(&path))
        .transpose()
        // A broken file of names must not hide the cards. One that was named is another matter.
        .unwrap_or_else(|error| {
            ui.progress().warn(&format!("slots have no names: {}", crate::causes::in_one_line(&error)));
            None
        })
        .unwrap_or_default())
}
