//! `cardsmith golden`: the golden image as files.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::plan::show;
use super::{Error, Exit, Ui, passphrase};
use crate::golden::{self, Destination, Extras, GoldenError, Signer};
use crate::printable::Printable;
use crate::recipe;
use crate::source::{Location, SourceError};

/// Make the golden image of a recipe
///
/// Beside the image appear its block map (.bmap, for bmaptool), its digest (.sha256) and its manifest (.manifest.json):
/// all of them, or none; also in a bucket, where nothing is visible before it is whole. The same recipe and base image give the same bytes on every machine.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cardsmith golden recipes/kiosk.toml --out kiosk.img\n  cardsmith golden recipes/kiosk.toml --out kiosk.img.zst --overwrite\n  cardsmith golden recipes/kiosk.toml --out s3://fleet-images/kiosk/kiosk.img.zst\n  cardsmith golden recipes/kiosk.toml --out kiosk.img.xz --sign release-key --provenance kiosk.intoto.json --imager-json imager.json --imager-url https://images.example.org/kiosk"
)]
pub(super) struct Args {
    /// The recipe
    recipe: PathBuf,
    /// Where the image goes: FILE.img (sparse), FILE.img.zst, FILE.img.xz, FILE.img.gz, or s3://BUCKET/KEY.img.zst
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Replace files that are there
    #[arg(long)]
    overwrite: bool,
    /// Sign the manifest, which covers all else, with this SSH key: FILE.manifest.json.sig
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// Write a repository for Raspberry Pi Imager with this one image
    #[arg(long, value_name = "FILE")]
    imager_json: Option<PathBuf>,
    /// The directory from which Imager will download the image; without it, it reads the file on this machine
    #[arg(long, value_name = "URL", requires = "imager_json")]
    imager_url: Option<String>,
    /// Write how the image came about: an in-toto statement with a SLSA provenance
    #[arg(long, value_name = "FILE")]
    provenance: Option<PathBuf>,
    /// Who the provenance names as builder
    #[arg(long, value_name = "URI", default_value = golden::BUILDER, requires = "provenance")]
    builder_id: String,
    /// Refuse to use anything that differs from the recipe's lock file (see `cardsmith recipe lock`)
    #[arg(long)]
    locked: bool,
}

fn usage(error: SourceError) -> Error {
    Error::of(Exit::Usage, &error).state("nothing was written")
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<Exit, Error> {
    let mut loaded = ui.load_recipe(&args.recipe)?;
    // First of all: with another file than the locked one the rest is of no use.
    if args.locked {
        recipe::check_lock(&mut loaded)?;
    }
    // Rights and names are asked now: in ten minutes it would be ten minutes lost.
    let place = Location::parse(&args.out).map_err(usage)?;
    Destination::refuse_source(&place, &loaded.recipe.image.source)?;
    let bucket = Destination::check(&place, args.overwrite)?;
    let extra = args.sign.is_some() || args.imager_json.is_some() || args.provenance.is_some();
    if extra && bucket.is_some() {
        return Err(Error::usage("`--sign`, `--imager-json` and `--provenance` go with an output on this machine")
            .state("nothing was written")
            .help("make the image here, and copy all its files to where they are wanted"));
    }
    // The passphrase is asked for at the beginning, while somebody sits there.
    let signer = args.sign.as_deref().map(|key| Signer::open(key, &mut || passphrase::ask(key)));
    let signer = signer.transpose().map_err(GoldenError::from)?;
    let extras = Extras {
        signer: signer.as_ref(),
        imager: args.imager_json.as_deref().map(|path| (path, args.imager_url.as_deref())),
        provenance: args.provenance.as_deref().map(|path| (path, args.builder_id.as_str())),
    };
    // `build_to` asks again; here it is before the base image is downloaded.
    if bucket.is_none() {
        let mut inputs = ui.reads_for(&loaded);
        if let Some(key) = &args.sign {
            inputs.add(key, "the key that signs");
        }
        golden::check_outputs(&args.out, &extras, args.overwrite, &inputs)?;
    }
    let prepared = golden::prepare(loaded, &ui.settings()?, ui.progress())?;
    ui.say(&show::summary(prepared.plan()));
    for finding in &prepared.plan().findings {
        match finding.severity {
            crate::prepare::Severity::Warning | crate::prepare::Severity::Blocker => ui.progress().warn(&finding.text),
            crate::prepare::Severity::Note => ui.say(&finding.text),
        }
    }
    let (made, outputs) = match &bucket {
        None => prepared.build_to(&args.out, args.overwrite, &extras, ui.progress())?,
        Some(bucket) => {
            // Proven before the first byte leaves: others may read a bucket at once.
            let mut made = prepared.build(ui.progress())?;
            // What was sent already has to be thrown away before the end.
            ui.catch_interrupts()?;
            ui.stop_in_order();
            let outputs = made.upload(bucket, &ui.cancel(), ui.progress())?;
            (made, outputs)
        }
    };
    let manifest = &made.manifest;
    let shown = |path: &Path| Printable::path(path).to_string();
    ui.event(
        "golden",
        &json!({
            "image": shown(&outputs.image),
            "bmap": shown(&outputs.bmap),
            "sha256": shown(&outputs.sha256),
            "manifest": shown(&outputs.manifest),
            "signature": signer.as_ref().map(|_| shown(&outputs.signature)),
            "signer": signer.as_ref().map(Signer::fingerprint),
            "imager_json": args.imager_json.as_deref().map(shown),
            "provenance": args.provenance.as_deref().map(shown),
            "digest": manifest.image.digest,
            "file_sha256": manifest.image.file_sha256,
            "size": manifest.image.size,
            "mapped": manifest.map.mapped_size(),
            "edits": manifest.edits.len(),
            // The field's first name. Programs read it, so it stays.
            "needles": { "searched": manifest.traces.searched, "found": manifest.traces.found },
            "checks": manifest.checks,
        }),
    );
    ui.answer(&format!("golden image  {}", Printable::path(&outputs.image)));
    ui.answer(&format!("  manifest    {}", Printable::path(&outputs.manifest)));
    ui.answer(&format!("  block map   {}", Printable::path(&outputs.bmap)));
    if let Some(signer) = &signer {
        ui.answer(&format!("  signature   {} by {}", Printable::path(&outputs.signature), signer.fingerprint()));
    }
    ui.answer(&format!("  digest      {}", manifest.image.digest));
    ui.answer(&format!("  size        {}, of which {} carry data", manifest.image.size, manifest.map.mapped_size()));
    ui.answer(&format!(
        "  proven      {} edits; {} traces of the old machine searched for, {} found; {}",
        manifest.edits.len(),
        manifest.traces.searched,
        manifest.traces.found,
        manifest.checks.join("; ")
    ));
    // Whoever reads on only here must not believe that the image is clean.
    let left: usize =
        manifest.findings.iter().filter(|found| found.rule.is_some()).map(|found| found.places.len()).sum();
    if left > 0 {
        let are = if left == 1 { "place holds what stays" } else { "places hold what stays" };
        ui.say(&format!(
            "{left} {are} on every card; `cardsmith plan` says how each is removed or accepted, and `cardsmith audit` counts them"
        ));
    }
    ui.say(&format!("next: cardsmith flash {} --to /dev/sdX", outputs.manifest.display()));
    Ok(Exit::Done)
}
