//! `cardsmith verify`: read a card back against what was written.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use serde_json::json;

use super::{Error, Exit, Ui};
use crate::digest::Sha256Digest;
use crate::flash::ReadBack;
use crate::flash::receipt::{Outcome, Receipt};
use crate::flash::verify::{OpenedMedium, VerifyReport, expected_with, verify};
use crate::golden::{GoldenError, Manifest, TrustedKeys};
use crate::image::BlockMap;
use crate::inputs::Inputs;
use crate::ledger::Ledger;
use crate::printable::Printable;
use crate::source::Location;

/// Read a card back against what was written
///
/// Nothing is written. What only this card has (its name, its activation) is compared with its receipt: the one that is
/// given, or the one in the ledger that fits the card. A card that has booted since differs.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cardsmith verify kiosk.manifest.json /dev/sdb\n  cardsmith verify kiosk.manifest.json card.img --receipt receipts/kiosk-0001.json"
)]
pub(super) struct Args {
    /// The manifest of the golden image: a file, or its address at https://… or s3://…
    manifest: PathBuf,
    /// The card: a block device, or a card image
    target: PathBuf,
    /// The card's receipt, where the ledger does not have it
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Only where the manifest's signature is by this key: a public key (KEY.pub), or an allowed_signers file
    #[arg(long, value_name = "KEY")]
    only_signed_by: Option<PathBuf>,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<Exit, Error> {
    let place = Location::parse(&args.manifest).map_err(|error| Error::of(Exit::Usage, &error))?;
    // Before anything is fetched: a key that cannot be read makes the rest pointless.
    let trusted = args.only_signed_by.as_deref().map(TrustedKeys::open).transpose().map_err(GoldenError::from)?;
    let shown = PathBuf::from(place.to_string());
    let manifest = match (place.path(), &trusted) {
        (Some(path), Some(trusted)) => Manifest::read_trusted(path, trusted)?,
        (Some(path), None) => Manifest::read(path).map_err(GoldenError::from)?,
        (None, Some(trusted)) => {
            Manifest::parse(&Manifest::fetch_trusted(&place, trusted)?, &shown).map_err(GoldenError::from)?
        }
        (None, None) => Manifest::parse(&Manifest::fetch(&place)?, &shown).map_err(GoldenError::from)?,
    };
    let mut inputs = Inputs::default();
    place.path().iter().for_each(|path| inputs.add(path, "the manifest"));
    args.only_signed_by.iter().for_each(|path| inputs.add(path, "the key of `--only-signed-by`"));
    inputs.add(&args.target, "the card");
    let name = args.target.display().to_string();
    let card = OpenedMedium::open(&args.target)
        .map_err(|error| Error::failed(format!("cannot open {name}")).because(&error))?;
    let receipt = match &args.receipt {
        Some(path) => Some(Receipt::read(path).map_err(|error| Error::of(Exit::Failed, &error))?),
        None => find_receipt(&manifest, &card, &args.target, &inputs, ui)?,
    };
    let expected = match &receipt {
        // Exit 2: the person named the receipt of another card.
        Some(receipt) => expected_with(&manifest.map, receipt)
            .map_err(|error| Error::usage("the receipt does not belong to this manifest").because(&error))?,
        None => manifest.map.clone(),
    };
    let who = receipt.as_ref().and_then(|receipt| receipt.card.as_ref()).map(|card| card.name.clone());
    let mut task = ui.progress().task(who.as_deref().unwrap_or(&name), Some(expected.mapped_size()));
    // Nothing is changed, but what was read so far is told.
    ui.stop_in_order();
    let cancel = ui.cancel();
    let report = verify(&card, &expected, task.as_mut(), &cancel)
        .map_err(|error| Error::failed(format!("cannot verify {name}")).because(&error))?;
    // Before the result: what was not read has not differed.
    if cancel.load(Ordering::Relaxed) {
        task.failed("stopped");
        return Err(Error::failed(format!("{name} was not verified: stopped")));
    }
    ui.event(
        "verify",
        &json!({ "target": Printable::path(&args.target).to_string(), "card": who, "ok": report.differing.is_empty(), "report": report }),
    );
    let known = who.as_deref().map_or("the golden image".to_owned(), |card| format!("card {card}"));
    if report.differing.is_empty() {
        task.done(&format!("{} read back and right", report.checked));
        let (name, known) = (Printable::of(&name), Printable::of(&known));
        ui.answer(&format!("{name} is {known} as it was written: {} read back and right", report.checked));
        return Ok(Exit::Done);
    }
    task.failed("reads back different");
    Err(differs(&name, &known, &report, receipt.is_some()))
}

fn differs(name: &str, known: &str, report: &VerifyReport, has_receipt: bool) -> Error {
    let mut error = Error::with(Exit::Verification, format!("{name} does not read as {known}"));
    let count = report.differing.len();
    if let Some(first) = report.differing.first() {
        let why = first.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        error.causes.push(format!("{count} ranges differ, first {} from {}{why}", first.range.len, first.range.start));
    }
    match has_receipt {
        true => error.help("a card that has booted differs, which is fine; one that has not is broken: throw it away"),
        false => error
            .state("no receipt of this card was found: what only this card has was compared with the golden image, too")
            .help("give its receipt with `--receipt FILE`, or the ledger that has it with `--ledger FILE`"),
    }
}

/// The receipt in the ledger whose own ranges are on this card. A few KiB are read for each.
fn find_receipt(
    manifest: &Manifest,
    card: &OpenedMedium,
    target: &Path,
    inputs: &Inputs,
    ui: &Ui,
) -> Result<Option<Receipt>, Error> {
    let path = ui.ledger_path()?;
    // A ledger is brought up to date when it is opened.
    inputs.refuse_output(&path, "the ledger")?;
    // Opening it would make one; and without it the golden image is there to compare with.
    if !path.exists() {
        return Ok(None);
    }
    let ledger = Ledger::open(&path)?;
    let mut found = None;
    for record in ledger.cards()? {
        let text = ledger.receipt(record.key)?;
        let Some(receipt) = text.and_then(|text| serde_json::from_str::<Receipt>(&text).ok()) else { continue };
        // By what it holds: cards move from reader to reader.
        let fits = receipt.golden == manifest.map.fingerprint() && holds(card, &receipt);
        // A card that is damaged where it is special is still known by where it was written.
        let was_here = receipt.golden == manifest.map.fingerprint() && receipt.medium.path == target;
        if fits {
            return Ok(Some(receipt));
        }
        if was_here {
            found = Some(receipt);
        }
    }
    Ok(found)
}

fn holds(card: &OpenedMedium, receipt: &Receipt) -> bool {
    let Outcome::Verified { own, .. } = &receipt.outcome else { return false };
    let Ok(own) = BlockMap::new(own.clone(), card.size()) else { return false };
    // Without ranges of its own the receipt would fit any card.
    !own.ranges().is_empty()
        && own.ranges().iter().all(|mapped| {
            let mut bytes = vec![0; usize::try_from(mapped.range.len.0).unwrap_or(0)];
            card.read_back(mapped.range.start, &mut bytes).is_ok() && Sha256Digest::of(&bytes) == mapped.sha256
        })
}
