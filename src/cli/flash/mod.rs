//! `cardsmith flash`: cards, from a recipe or from a golden image.

mod batch;
mod bench;
mod confirm;

use std::path::{Path, PathBuf};

use crate::flash::bench::AtStart;
use crate::flash::gate::{self, GateOptions};
use crate::flash::{Host, Verdict};
use crate::golden::{self, Allowed, Golden, GoldenError, Manifest, Origin, Settings, TrustedKeys};
use crate::inputs::Inputs;
use crate::recipe::{self, Recipe, SecretRef, Wants};
use crate::secrets::{self, CardSecrets};
use crate::source::{LargestImage, Location};
use crate::units::ByteSize;

use super::reads::{BENCH_FILE, LEDGER};
use super::{Error, Exit, Ui};

use bench::{BenchArgs, BenchRun};
use confirm::Row;

pub(super) use batch::{Batch, write_cards};
pub(super) use bench::bench_path;

/// Write cards from a recipe or a golden image
///
/// Every card gets its own name and activation, is written, read back past every cache, and only then made bootable.
/// Several targets are written side by side, and a compressed golden image is decoded meanwhile. Block devices are erased:
/// they are shown first, and a question is asked.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cardsmith flash recipes/kiosk.toml --to /dev/sdb\n  cardsmith flash kiosk.manifest.json --to /dev/sdb --to /dev/sdc --count 20\n  cardsmith flash kiosk.manifest.json --to card.img\n  cardsmith flash kiosk.manifest.json --bench --count 20 --receipts receipts\n  cardsmith flash https://ci.example.org/kiosk.manifest.json --to /dev/sdb"
)]
pub(super) struct Args {
    /// A recipe, or the manifest of a golden image (FILE.manifest.json), which may also be at https://… or s3://…
    source: PathBuf,
    /// Where to: a block device (/dev/sdX), or a file for a card image. May be given several times
    #[arg(long, required_unless_present = "bench", value_name = "TARGET")]
    to: Vec<PathBuf>,
    /// Do not ask before erasing devices
    #[arg(long, short)]
    yes: bool,
    /// Go on with the next card in each slot until so many are verified; devices and `--bench` only
    #[arg(long, value_name = "N")]
    count: Option<std::num::NonZeroU16>,
    /// A device that is not removable is meant all the same: its path once more
    #[arg(long, value_name = "PATH")]
    fixed_ok: Vec<PathBuf>,
    /// Replace card images that are there
    #[arg(long)]
    overwrite: bool,
    /// For cards that carry an older version: compare, write only what differs, verify all; devices only
    #[arg(long)]
    changed_only: bool,
    /// Do not ask cards whether they are as large as they say (a few hundred samples, before the long write)
    #[arg(long)]
    no_probe: bool,
    /// Pre-issued activations (CSV or JSON), instead of the recipe's `[activation] path`
    #[arg(long, value_name = "FILE")]
    activations: Option<PathBuf>,
    /// Refuse to use anything that differs from the recipe's lock file (see `cardsmith recipe lock`)
    #[arg(long)]
    locked: bool,
    /// Only where the manifest's signature is by this key: a public key (KEY.pub), or an allowed_signers file
    #[arg(long, value_name = "KEY")]
    only_signed_by: Option<PathBuf>,
    /// A secret that the manifest may have read here: env:NAME, file:PATH or ssm:PARAMETER. May be given several times
    #[arg(long, value_name = "SECRET")]
    allow_secret: Vec<SecretRef>,
    /// A role of this machine's AWS account for which the manifest may have activations made. May be given several times
    #[arg(long, value_name = "ROLE")]
    allow_role: Vec<String>,
    /// Write each card's receipt there, as JSON
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
    #[command(flatten)]
    bench: BenchArgs,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<Exit, Error> {
    let host = Host::this();
    let ledger = ui.ledger_path()?;
    let inputs = reads_of(args, &ledger, ui)?;
    refuse_receipts(args)?;
    let mut options = GateOptions { fixed_ok: args.fixed_ok.clone(), overwrite: args.overwrite, inputs };
    // Minutes of work come before the first write: what cannot be written to is said now, and looked at again then.
    // With `--yes` it is also what the answer belongs to.
    let mut targets = gate::show_all(&host, &args.to, &options, ByteSize(0))?;
    let bench = BenchRun::open(&args.bench)?;
    let listed =
        bench.as_ref().filter(|_| args.yes).map(|bench| bench.look(&host, &options, ByteSize(0))).transpose()?;
    let devices = targets.iter().filter_map(Row::of_target).count();
    if args.count.is_some() && devices < targets.len() {
        return Err(Error::usage("`--count` goes on with the next card in a slot, and a file has no next card")
            .help("name devices only, or one file for each card"));
    }

    // What the recipe names is known before its image is made: that no target is part of it, too.
    let mut known = |recipe_reads: Inputs| {
        options.inputs.merge(recipe_reads);
        options.inputs.refuse_outputs(args.to.iter().map(|target| (target.as_path(), "--to")))?;
        refuse_ledger(&ledger, &options.inputs)
    };
    let card = targets.iter().filter_map(|target| target.card_size()).min();
    let Opened { golden, beside, secrets } = open(args, card, ui, &mut known)?;
    options.inputs.add_all(golden.manifest.recipe.reads(&beside));
    // Again, now that the size is known: a card that is too small is no reason to ask a question.
    let needed = golden.manifest.image.size;
    match args.yes {
        true => drop(gate::clear_shown(&host, &targets, &options, needed)?),
        // A person says yes to what is there now.
        false => targets = gate::show_all(&host, &args.to, &options, needed)?,
    }
    let mut at_start = AtStart::default();
    let mut rows: Vec<Row> = targets.iter().filter_map(Row::of_target).collect();
    if let Some(bench) = &bench {
        // Who puts a card into a slot means it. What was there before may be there for another reason.
        let (shown, in_use) = bench.look(&host, &options, needed)?;
        rows.extend(in_use.iter().map(Row::of_device));
        at_start = listed.map_or(shown, |(listed, _)| listed.empty_slots_are_free());
    }
    // Once more, right above the question.
    if let Some(wanted) = wanted_here(&wants_of(&golden.manifest.recipe, args)).filter(|_| !rows.is_empty()) {
        ui.say(&wanted);
    }
    confirm::erase(rows, args.yes, ui)?;
    let outcome = write_cards(
        &Batch {
            golden: &golden,
            beside: &beside,
            host: &host,
            targets: &targets,
            options: &options,
            count: args.count.map(|count| usize::from(count.get())),
            probe: !args.no_probe,
            changed_only: args.changed_only,
            activations: args.activations.as_deref(),
            receipts: args.receipts.as_deref(),
            bench: bench.as_ref().map(|bench| (bench, &at_start)),
            secrets: &secrets,
            ledger: &ledger,
        },
        ui,
    )?;
    let wanted = args.count.map(|count| usize::from(count.get()));
    let verified = outcome.receipts.iter().filter(|receipt| receipt.failure().is_none()).count();
    Ok(match outcome.verdict() {
        // Whoever ends a bench that was to make as many cards as come, ends it as it should be ended.
        Verdict::AllFailed if bench.is_some() && wanted.is_none() && outcome.receipts.is_empty() => Exit::Done,
        Verdict::AllVerified if bench.is_some() && wanted.is_some_and(|wanted| verified < wanted) => Exit::SomeCards,
        Verdict::AllVerified => Exit::Done,
        Verdict::VerificationFailed => Exit::Verification,
        Verdict::SomeFailed => Exit::SomeCards,
        Verdict::AllFailed => Exit::Failed,
    })
}

/// What the run reads by what the command line names.
fn reads_of(args: &Args, ledger: &Path, ui: &Ui) -> Result<Inputs, Error> {
    let mut inputs = Inputs::default();
    inputs.add(&args.source, "what cards are made from");
    if args.source.extension().is_some_and(|ending| ending == "json") {
        inputs.add(&golden::signature::signature_path(&args.source), "the manifest's signature");
    }
    args.activations.iter().for_each(|path| inputs.add(path, "the file of activations"));
    args.only_signed_by.iter().for_each(|path| inputs.add(path, "the key of `--only-signed-by`"));
    args.bench.file().iter().for_each(|path| inputs.add(path, BENCH_FILE));
    refuse_ledger(ledger, &inputs)?;
    inputs.merge(ui.reads());
    Ok(inputs)
}

/// A card image and a receipt must not get one name.
fn refuse_receipts(args: &Args) -> Result<(), Error> {
    let Some(Ok(receipts)) = args.receipts.as_deref().map(std::fs::canonicalize) else { return Ok(()) };
    let is_receipt = |target: &&PathBuf| {
        let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        target.extension().is_some_and(|ending| ending == "json")
            && std::fs::canonicalize(dir).is_ok_and(|dir| dir == receipts)
    };
    match args.to.iter().find(is_receipt) {
        Some(target) => Err(Error::usage(format!("--to {} has the name of a receipt", target.display()))
            .state("nothing was written")
            .help("choose another name; receipts are the .json files of `--receipts`")),
        None => Ok(()),
    }
}

/// The ledger is read and written: it may be none of the other inputs.
fn refuse_ledger(ledger: &Path, inputs: &Inputs) -> Result<(), Error> {
    Ok(inputs.without(LEDGER).refuse_output(ledger, "the ledger")?)
}

/// What cards are made from.
struct Opened {
    golden: Golden,
    /// The directory that the recipe's paths count from.
    beside: PathBuf,
    secrets: CardSecrets,
}

/// What the recipe wants of this machine, for people; `None` where that is nothing.
fn wanted_here(wants: &Wants) -> Option<String> {
    (!wants.is_empty()).then(|| format!("the cards get from this machine: {wants}"))
}

/// What the recipe wants of this machine, with the file of activations that the command line names instead.
fn wants_of(recipe: &Recipe, args: &Args) -> Wants {
    let mut wants = Wants::of(recipe);
    if args.activations.is_some() && recipe.activation.is_some() {
        wants.activations.clone_from(&args.activations);
    }
    wants
}

/// Tells what will be read, before any of it is.
fn show_wanted(recipe: &Recipe, args: &Args, ui: &Ui) {
    let wants = wants_of(recipe, args);
    ui.event("wants", &wants);
    if let Some(wanted) = wanted_here(&wants) {
        ui.say(&wanted);
    }
}

/// Checks what a manifest wants of this machine, tells of it, and looks up its secrets.
fn secrets_of(
    manifest: &Manifest,
    path: &Path,
    origin: Origin<'_>,
    args: &Args,
    ui: &Ui,
) -> Result<CardSecrets, Error> {
    // Whoever holds the key that was given may name what is wanted here.
    if args.only_signed_by.is_none() {
        let (secrets, roles) = (args.allow_secret.clone(), args.allow_role.clone());
        Allowed { secrets, roles, activations_named: args.activations.is_some() }.check(manifest, path, origin)?;
    }
    show_wanted(&manifest.recipe, args, ui);
    Ok(secrets::resolve(&manifest.recipe, &origin.directory(), ui.progress())?)
}

/// What CI left on a server.
fn open_remote(place: &Location, trusted: Option<&TrustedKeys>, args: &Args, ui: &Ui) -> Result<Opened, Error> {
    if !place.name().ends_with(".json") {
        return Err(Error::usage(format!("{place} is not the address of a manifest"))
            .state("nothing was written")
            .help("name FILE.manifest.json; a recipe is a file of this machine"));
    }
    // What its recipe names beside itself is not on the server: the file of activations, files with secrets.
    let manifest = match trusted {
        Some(trusted) => Manifest::fetch_trusted(place, trusted)?,
        None => Manifest::fetch(place)?,
    };
    // Before the image is fetched: what is not allowed is told at once.
    let shown = PathBuf::from(place.to_string());
    let about = Manifest::parse(&manifest, &shown).map_err(GoldenError::from)?;
    let secrets = secrets_of(&about, &shown, Origin::Server, args, ui)?;
    let golden = Golden::open_fetched(about, place, &ui.cache_dir()?, ui.cancel(), ui.progress())?;
    Ok(Opened { golden, beside: Origin::Server.directory(), secrets })
}

/// The golden image that the source means. Secrets are looked up first: making a golden image takes minutes.
/// `known` hears what is read for it as soon as that is known, and may end it.
fn open(
    args: &Args,
    card: Option<ByteSize>,
    ui: &Ui,
    known: &mut dyn FnMut(Inputs) -> Result<(), Error>,
) -> Result<Opened, Error> {
    let source = args.source.as_path();
    let place = Location::parse(source).map_err(|error| Error::of(Exit::Usage, &error).state("nothing was written"))?;
    if args.locked && (place.path().is_none() || place.name().ends_with(".json")) {
        return Err(Error::usage("`--locked` goes with a recipe, and this is a manifest")
            .help("leave it out: a manifest names one golden image by its digest"));
    }
    if args.only_signed_by.is_some() && !place.name().ends_with(".json") {
        return Err(Error::usage("`--only-signed-by` goes with the manifest of a golden image")
            .state("nothing was written")
            .help("name FILE.manifest.json, with FILE.manifest.json.sig beside it"));
    }
    let trusted = args.only_signed_by.as_deref().map(TrustedKeys::open).transpose().map_err(GoldenError::from)?;
    if place.path().is_none() {
        return open_remote(&place, trusted.as_ref(), args, ui);
    }
    if source.extension().is_some_and(|ending| ending == "json") {
        let beside = source.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let manifest = match &trusted {
            Some(trusted) => Manifest::read_trusted(source, trusted)?,
            None => Manifest::read(source).map_err(GoldenError::from)?,
        };
        known(golden::reads_for_manifest(source, &manifest))?;
        let secrets = secrets_of(&manifest, source, Origin::Directory(beside), args, ui)?;
        let cache = ui.cache_dir()?;
        let golden = Golden::open_streaming_described(manifest, source, &cache, ui.cancel(), ui.progress())?;
        return Ok(Opened { golden, beside: beside.to_owned(), secrets });
    }
    if !args.allow_secret.is_empty() || !args.allow_role.is_empty() {
        return Err(Error::usage("`--allow-secret` and `--allow-role` go with the manifest of a golden image")
            .state("nothing was written")
            .help("leave them out: what a recipe of your own names is read anyway, and shown before"));
    }
    let mut loaded = ui.load_recipe(source)?;
    known(golden::reads_for(&loaded))?;
    if args.locked {
        recipe::check_lock(&mut loaded)?;
    }
    let beside = loaded.dir.clone();
    show_wanted(&loaded.recipe, args, ui);
    let secrets = secrets::resolve(&loaded.recipe, &beside, ui.progress())?;
    // A base image becomes a golden image of its size, which has to fit on every card.
    let settings = Settings { largest: card.map(LargestImage::of_card), ..ui.settings()? };
    let prepared = golden::prepare(loaded, &settings, ui.progress())?;
    for finding in prepared.plan().findings.iter().filter(|f| f.severity > crate::prepare::Severity::Note) {
        ui.progress().warn(&finding.text);
    }
    Ok(Opened { golden: prepared.build(ui.progress())?, beside, secrets })
}
