//! `cardsmith demo`: the whole way on a small image that is made on the spot.

mod files;
mod image;
mod machine;
mod story;

use std::path::{Path, PathBuf};

use serde_json::json;

use self::machine::{Machine, Trace};
use super::flash::{Batch, write_cards};
use super::plan::show;
use super::table::Table;
use super::{Error, Exit, Ui};
use crate::flash::receipt::{Outcome, Receipt};
use crate::flash::verify::{OpenedMedium, expected_with, verify};
use crate::flash::{GateOptions, Host, Verdict, gate};
use crate::golden::{self, Extras, Golden, Settings};
use crate::image::{BlockMap, ImageFile, ReadAt};
use crate::printable::Printable;
use crate::recipe;
use crate::secrets::CardSecrets;
use crate::units::{ByteOffset, ByteSize};

/// Go the whole way on a small built-in image: no root, no AWS, no network
///
/// Makes a stand-in for a Raspberry Pi OS card that was in use, shows the plan for it, makes the golden image, writes two
/// cards as files, reads them back, and compares what was on the old card with what is on the new ones.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cardsmith demo\n  cardsmith demo /tmp/cardsmith-demo")]
pub(super) struct Args {
    /// Where the demo's files go; a directory of an earlier demo is used again
    #[arg(default_value = "cardsmith-demo")]
    dir: PathBuf,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<Exit, Error> {
    let dir = &args.dir;
    prepare_directory(dir)?;
    heading(ui, 1, "a card that was in use");
    let machine = Machine::random();
    let base = dir.join("base.img");
    let mut task = ui.progress().task("base.img", None);
    task.stage("make", None);
    image::make(&base, &machine)?;
    task.done("a stand-in for Raspberry Pi OS: MBR, FAT32, ext4");
    put(&dir.join("kiosk.toml"), story::RECIPE)?;
    put(&dir.join("motd"), story::MOTD)?;
    put_private(&dir.join("activations.csv"), &machine::pre_issued(4))?;
    ui.answer(&format!(
        "{} was registered with SSM as {}, is open to whoever is \"pi\", and remembers its keys.",
        base.display(),
        machine.instance_id
    ));

    heading(ui, 2, "the recipe");
    ui.answer(story::RECIPE);

    heading(ui, 3, "the plan: what the recipe would change, and why");
    // A cache of its own: the demo leaves nothing anywhere else.
    let settings = Settings { cache_dir: dir.join("cache"), ..Settings::default() };
    let loaded = recipe::load(&dir.join("kiosk.toml"))?;
    let prepared = golden::prepare(loaded, &settings, ui.progress())?;
    ui.answer(&show::plan(prepared.plan(), false));

    heading(ui, 4, "the golden image");
    let (made, outputs) = prepared.build_to(&dir.join("golden.img"), true, &Extras::default(), ui.progress())?;
    let manifest = &made.manifest;
    ui.answer(&format!(
        "{}: {} of {} carry data; {} traces of the old machine searched for, {} found.",
        outputs.image.display(),
        manifest.map.mapped_size(),
        manifest.image.size,
        manifest.traces.searched,
        manifest.traces.found
    ));
    for check in &manifest.checks {
        ui.answer(&format!("  checked: {check}"));
    }

    heading(ui, 5, "two cards, each with its own name and activation");
    let cards = [dir.join("card-1.img"), dir.join("card-2.img")];
    // Opened again from its files, as `flash` does on another day.
    let golden = Golden::open(&outputs.manifest, &settings.cache_dir, ui.progress())?;
    flash(&golden, dir, &cards, ui)?;

    heading(ui, 6, "reading the cards back");
    for card in &cards {
        read_back(&golden, dir, card, ui)?;
    }

    heading(ui, 7, "before and after: how often each stands in the bytes, also where files were deleted");
    // A plain search over the bytes: it shares nothing with the proof that it checks.
    let clean = before_and_after(&machine.traces(), &[&base, &outputs.image, &cards[0], &cards[1]], ui)?;
    if !clean {
        return Err(Error::with(Exit::Verification, "something of the old machine is still there")
            .help("please report this as a bug of cardsmith, with the table above"));
    }

    heading(ui, 8, "what to try next");
    ui.answer(&story::next(dir));
    let shown = |path: &Path| Printable::path(path).to_string();
    ui.event("demo", &json!({ "dir": shown(dir), "cards": cards.map(|card| shown(&card)), "ok": true }));
    Ok(Exit::Done)
}

fn heading(ui: &Ui, number: u32, text: &str) {
    let style = anstyle::AnsiColor::Cyan.on_default().bold();
    ui.answer(&format!("\n{style}{number}. {text}{style:#}\n"));
}

fn put(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text)
        .map_err(|error| Error::failed(format!("cannot write {}", path.display())).because(&error))
}

/// Pre-issued activations are secrets, also where they open nothing.
fn put_private(path: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    // These codes open nothing; the mode shows how real ones are kept.
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Error::failed(format!("cannot write {}", path.display())).because(&error))
}

/// An empty directory, or one of an earlier demo, which is emptied of that demo's files.
fn prepare_directory(dir: &Path) -> Result<(), Error> {
    let cannot = |error: std::io::Error| Error::failed(format!("cannot use {}", dir.display())).because(&error);
    std::fs::create_dir_all(dir).map_err(cannot)?;
    let marker = dir.join(story::MARKER);
    let is_empty = std::fs::read_dir(dir).map_err(cannot)?.next().is_none();
    // Only a demo's own directory is cleared: `cardsmith demo ~` must cost nobody a file.
    if !is_empty && !marker.is_file() {
        return Err(Error::usage(format!("{} holds something that is not of a demo", dir.display()))
            .state("nothing was written")
            .help("name another directory: `cardsmith demo DIR`"));
    }
    // The ledger as well: the new cards would not be number 1 and 2 otherwise.
    for name in ["base.img", "card-1.img", "card-2.img", "ledger.sqlite3"] {
        match std::fs::remove_file(dir.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(error)),
            _ => {}
        }
    }
    put(&marker, story::MARKER_TEXT)
}

fn flash(golden: &Golden, dir: &Path, cards: &[PathBuf], ui: &Ui) -> Result<(), Error> {
    let (host, options) = (Host::this(), GateOptions::default());
    let targets = gate::show_all(&host, cards, &options, golden.manifest.image.size)?;
    let batch = Batch {
        golden,
        beside: dir,
        host: &host,
        targets: &targets,
        options: &options,
        count: None,
        probe: true,
        changed_only: false,
        activations: None,
        receipts: Some(&dir.join("receipts")),
        bench: None,
        secrets: &CardSecrets::default(),
        ledger: &dir.join("ledger.sqlite3"),
    };
    match write_cards(&batch, ui)?.verdict() {
        Verdict::AllVerified => Ok(()),
        _ => Err(Error::failed("not every card was written").help("the messages above say why")),
    }
}

fn read_back(golden: &Golden, dir: &Path, card: &Path, ui: &Ui) -> Result<(), Error> {
    let failed =
        |error: &dyn std::error::Error| Error::failed(format!("cannot verify {}", card.display())).because(error);
    let receipts = std::fs::read_dir(dir.join("receipts")).map_err(|error| failed(&error))?;
    let receipts = receipts.filter_map(|entry| Receipt::read(&entry.ok()?.path()).ok());
    let digest = golden.manifest.map.fingerprint();
    // Receipts of earlier demos lie there, too.
    let mine = |receipt: &Receipt| {
        receipt.golden == digest && receipt.medium.path == card && matches!(receipt.outcome, Outcome::Verified { .. })
    };
    let Some(receipt) = receipts.into_iter().find(mine) else {
        return Err(Error::failed(format!("there is no receipt of {}", card.display())));
    };
    let expected: BlockMap = expected_with(&golden.manifest.map, &receipt).map_err(|error| failed(&error))?;
    let medium = OpenedMedium::open(card).map_err(|error| failed(&error))?;
    let mut task = ui.progress().task(&card.display().to_string(), Some(expected.mapped_size()));
    let report = verify(&medium, &expected, task.as_mut(), &ui.cancel()).map_err(|error| failed(&error))?;
    if !report.differing.is_empty() {
        task.failed("reads back different");
        return Err(Error::with(Exit::Verification, format!("{} does not read as written", card.display())));
    }
    task.done("reads as it was written");
    let name = receipt.card.map(|card| card.name).unwrap_or_default();
    ui.answer(&format!("{} is {name}: {} read back and right", card.display(), report.checked));
    Ok(())
}

/// Counts the traces in each image and shows them; whether the golden image and the cards have none.
fn before_and_after(traces: &[Trace], images: &[&Path; 4], ui: &Ui) -> Result<bool, Error> {
    let mut counts = Vec::new();
    for path in images {
        let counted = count(traces, path);
        counts.push(counted.map_err(|error| Error::failed(format!("cannot read {}", path.display())).because(&error))?);
    }
    let mut table = Table::new(["", "old card", "golden image", "card 1", "card 2"]);
    let mut clean = true;
    for (number, trace) in traces.iter().enumerate() {
        let of = |image: usize| counts.get(image).and_then(|counts| counts.get(number)).copied().unwrap_or_default();
        table.row([trace.what.to_owned(), of(0).to_string(), of(1).to_string(), of(2).to_string(), of(3).to_string()]);
        ui.event("trace", &json!({ "what": trace.what, "before": of(0), "golden": of(1), "cards": [of(2), of(3)] }));
        // All but the old card, which shows that the search does find them.
        clean &= of(1) + of(2) + of(3) == 0;
    }
    ui.answer(&table.to_string());
    Ok(clean)
}

/// How often each trace stands in the bytes of a file, holes left out.
fn count(traces: &[Trace], path: &Path) -> std::io::Result<Vec<usize>> {
    const CHUNK: u64 = 4 << 20;
    let overlap = traces.iter().map(|trace| trace.bytes.len() as u64).max().unwrap_or(0);
    let image = ImageFile::open(path)?;
    let mut counts = vec![0; traces.len()];
    let mut from = ByteOffset(0);
    while let Some(run) = image.next_data(from)? {
        let mut at = run.start.0;
        while at < run.end().0 {
            // A trace that crosses the end of a chunk is found in the next one, which begins a little earlier.
            let end = (at + CHUNK).min(run.end().0);
            let mut bytes = vec![0; usize::try_from(end - at).map_err(std::io::Error::other)?];
            image.read_at(ByteOffset(at), &mut bytes)?;
            let last = end == run.end().0;
            let kept = if last { end } else { end.saturating_sub(overlap) };
            for (trace, count) in traces.iter().zip(&mut counts) {
                let found = memchr::memmem::find_iter(&bytes, &trace.bytes);
                *count += found.filter(|&found| at + (found as u64) < kept).count();
            }
            at = if last { end } else { kept };
        }
        from = run.start.checked_add(ByteSize(run.len.0)).unwrap_or(ByteOffset(u64::MAX));
    }
    Ok(counts)
}
