//! `cardsmith golden`: the golden image as files.

use std::path::PathBuf;

use serde_json::json;

use super::plan::show;
use super::{Error, Exit, Ui};
use crate::golden::{self, Destination};
use crate::image::{ImageError, Location};
use crate::recipe;

/// Make the golden image of a recipe
///
/// Beside the image appear its block map (.bmap, for bmaptool), its digest (.sha256) and its manifest (.manifest.json):
/// all of them, or none; also in a bucket, where nothing is visible before it is whole. The same recipe and base image give the same bytes on every machine.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cardsmith golden recipes/kiosk.toml --out kiosk.img\n  cardsmith golden recipes/kiosk.toml --out kiosk.img.zst --overwrite\n  cardsmith golden recipes/kiosk.toml --out s3://fleet-images/kiosk/kiosk.img.zst"
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
    /// Refuse to use anything that differs from the recipe's lock file (see `cardsmith recipe lock`)
    #[arg(long)]
    locked: bool,
}

fn usage(error: ImageError) -> Error {
    Error::of(Exit::Usage, &error).state("nothing was written")
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<Exit, Error> {
    let mut loaded = recipe::load(&args.recipe)?;
    if args.locked {
        recipe::check_lock(&mut loaded)?;
    }
    let bucket = Destination::check(&Location::parse(&args.out).map_err(usage)?, args.overwrite)?;
    if bucket.is_none() {
        golden::check_output(&args.out, args.overwrite)?;
    }
    let prepared = golden::prepare(loaded, &ui.settings()?, ui.progress())?;
    ui.say(&show::summary(prepared.plan()));
    for finding in &prepared.plan().findings {
        match finding.severity {
            crate::prepare::Severity::Warning | crate::prepare::Severity::Obstacle => ui.progress().warn(&finding.text),
            crate::prepare::Severity::Note => ui.say(&finding.text),
        }
    }
    let mut made = prepared.build(ui.progress())?;
    let outputs = match &bucket {
        None => made.write(&args.out, args.overwrite, ui.progress())?,
        Some(bucket) => {
            // What was sent already has to be thrown away before the end.
            ui.catch_interrupts()?;
            made.upload(bucket, &ui.cancel(), ui.progress())?
        }
    };
    let manifest = &made.manifest;
    ui.event(
        "golden",
        &json!({
            "image": outputs.image,
            "bmap": outputs.bmap,
            "sha256": outputs.sha256,
            "manifest": outputs.manifest,
            "digest": manifest.image.digest,
            "file_sha256": manifest.image.file_sha256,
            "size": manifest.image.size,
            "mapped": manifest.map.mapped_size(),
            "edits": manifest.edits.len(),
            "needles": { "searched": manifest.needles.searched, "found": manifest.needles.found },
            "checks": manifest.checks,
        }),
    );
    ui.answer(&format!("golden image  {}", outputs.image.display()));
    ui.answer(&format!("  manifest    {}", outputs.manifest.display()));
    ui.answer(&format!("  block map   {}", outputs.bmap.display()));
    ui.answer(&format!("  digest      {}", manifest.image.digest));
    ui.answer(&format!("  size        {}, of which {} carry data", manifest.image.size, manifest.map.mapped_size()));
    ui.answer(&format!(
        "  proven      {} edits; {} traces of the old machine searched for, {} found; {}",
        manifest.edits.len(),
        manifest.needles.searched,
        manifest.needles.found,
        manifest.checks.join("; ")
    ));
    ui.say(&format!("next: cardsmith flash {} --to /dev/sdX", outputs.manifest.display()));
    Ok(Exit::Done)
}
