//! `cardsmith diff`: what differs between two images.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::{Error, Exit, Ui};
use crate::diff::{self, DiffError, Difference, TableDifference};
use crate::golden::editable::{self, EditableImage};
use crate::golden::{Golden, Manifest};
use crate::image::ReadAt;
use crate::printable::Printable;
use crate::source;

/// Show what differs between two images or golden images: every path with mode, owner, size and digest
///
/// Nothing is written, and no content is printed: files are compared byte by byte and shown by digest. Journals are
/// replayed in memory first. Modification times count only with `--times`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cardsmith diff 2025-11-24-raspios-trixie-arm64-lite.img.xz kiosk.img.zst\n  \
                  cardsmith diff last-week.manifest.json kiosk.manifest.json --exit-code\n  \
                  cardsmith diff --json base.img golden.img | jq -r 'select(.event == \"difference\") | .path'")]
pub(super) struct Args {
    /// The first image: .img, .xz, .gz, .zst, .zip, FILE.manifest.json, or a card (/dev/sdX)
    a: PathBuf,
    /// The second image
    b: PathBuf,
    /// A file that differs only in its modification time counts, too
    #[arg(long)]
    times: bool,
    /// Exit with 3 where anything differs, as `git diff --exit-code` does with 1
    #[arg(long)]
    exit_code: bool,
}

/// One of the two, open.
struct Side {
    name: String,
    image: Arc<dyn ReadAt>,
    opened: EditableImage,
    manifest: Option<Manifest>,
}

#[derive(Default)]
struct Count {
    added: u64,
    removed: u64,
    changed: u64,
    outside: u64,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<Exit, Error> {
    let (a, b) = (open(&args.a, ui)?, open(&args.b, ui)?);
    for side in [&a, &b] {
        if let Some(repaired) = &side.opened.repaired {
            ui.progress().note(&format!("{}: repaired in memory before it was compared: {repaired}", side.name));
        }
    }
    let mut count = Count::default();
    // First: another base image or table explains most of what follows.
    for outside in manifests(&a, &b).into_iter().chain(diff::compare_outside_files(&whole(&a), &whole(&b))?) {
        ui.event("image-difference", &outside);
        ui.answer(&outside_line(&outside));
        count.outside += 1;
    }
    let options = diff::Options { times: args.times };
    // Told as they are found: trees of a large image take a while.
    let mut see = |difference: Difference| {
        match difference.change() {
            "added" => count.added += 1,
            "removed" => count.removed += 1,
            _ => count.changed += 1,
        }
        ui.event("difference", &difference);
        ui.answer(&line(&difference));
    };
    let sizes = |of: fn(&EditableImage) -> u64| (of(&a.opened), of(&b.opened));
    let (boot_a, boot_b) = sizes(|opened| opened.boot_partition.range.len.0);
    let (root_a, root_b) = sizes(|opened| opened.root_partition.range.len.0);
    let boots = ((a.name.as_str(), &a.opened.boot as _, boot_a), (b.name.as_str(), &b.opened.boot as _, boot_b));
    let roots = ((a.name.as_str(), &a.opened.root as _, root_a), (b.name.as_str(), &b.opened.root as _, root_b));
    diff::compare_trees(boots.0, boots.1, options, ui.progress(), &mut see)?;
    diff::compare_trees(roots.0, roots.1, options, ui.progress(), &mut see)?;

    let same = count.added + count.removed + count.changed + count.outside == 0;
    let Count { added, removed, changed, outside } = count;
    ui.event(
        "diff",
        &json!({ "a": a.name, "b": b.name, "same": same, "added": added, "removed": removed, "changed": changed,
                 "outside_files": outside }),
    );
    match same {
        true => ui.say("no difference"),
        false => ui.say(&format!("{added} added, {removed} removed, {changed} changed; {outside} outside of files")),
    }
    // As with `git diff`: a difference is an answer, and fails only where a script asks for that.
    Ok(if same || !args.exit_code { Exit::Done } else { Exit::Findings })
}

fn open(path: &Path, ui: &Ui) -> Result<Side, Error> {
    let name = path.display().to_string();
    let (image, manifest) = match path.extension().is_some_and(|ending| ending == "json") {
        true => {
            let golden = Golden::open(path, &ui.cache_dir()?, ui.progress())?;
            (golden.image(), Some(golden.manifest))
        }
        false => {
            let (image, _) = source::open_to_inspect(path, &ui.cache_dir()?, ui.progress())
                .map_err(|error| Error::failed(format!("cannot open {name}")).because(&error))?;
            (image, None)
        }
    };
    // As for editing: this replays journals. The overlay is thrown away.
    let opened = editable::open(image.clone(), &name, None)?;
    Ok(Side { name, image, opened, manifest })
}

fn whole(side: &Side) -> diff::WholeImage<'_> {
    // These two are compared by their files, all others by their bytes.
    let known = [side.opened.boot_partition.number, side.opened.root_partition.number];
    diff::WholeImage { name: &side.name, image: &*side.image, table: &side.opened.table, known }
}

/// What two manifests say of where their images came from.
fn manifests(a: &Side, b: &Side) -> Vec<TableDifference> {
    // Of a plain image nobody knows how it came about.
    let (Some(a), Some(b)) = (&a.manifest, &b.manifest) else { return Vec::new() };
    let facts = |of: &dyn Fn(&Manifest) -> String, what: &str| {
        let (before, after) = (of(a), of(b));
        let difference = TableDifference { what: what.to_owned(), before: Some(before), after: Some(after) };
        (difference.before != difference.after).then_some(difference)
    };
    [
        // Only what went in. What came out is compared byte by byte anyhow.
        facts(&|manifest| manifest.cardsmith.clone(), "cardsmith"),
        facts(&|manifest| manifest.recipe_sha256.to_string(), "recipe"),
        facts(&|manifest| format!("{} sha256 {}", manifest.base.source, manifest.base.sha256), "base image"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const ADDED: anstyle::AnsiColor = anstyle::AnsiColor::Green;
const REMOVED: anstyle::AnsiColor = anstyle::AnsiColor::Red;
const CHANGED: anstyle::AnsiColor = anstyle::AnsiColor::Yellow;

fn line(difference: &Difference) -> String {
    let (mark, colour) = match difference.change() {
        "added" => ('+', ADDED),
        "removed" => ('-', REMOVED),
        _ => ('~', CHANGED),
    };
    let style = colour.on_default();
    format!("{style}{mark} {}:{}{style:#}  {}", difference.volume, difference.path, difference.summary())
}

fn outside_line(outside: &TableDifference) -> String {
    let (mark, colour, text) = match (&outside.before, &outside.after) {
        (Some(before), Some(after)) => ('~', CHANGED, format!("{before} → {after}")),
        (Some(before), None) => ('-', REMOVED, before.clone()),
        (None, after) => ('+', ADDED, after.clone().unwrap_or_default()),
    };
    let (mark, colour) = if outside.what.starts_with("bytes") { ('~', CHANGED) } else { (mark, colour) };
    let style = colour.on_default();
    format!("{style}{mark} {}{style:#}  {}", outside.what, Printable::of(&text))
}

impl From<DiffError> for Error {
    fn from(error: DiffError) -> Error {
        Error::of(Exit::Failed, &error).state("nothing was written").help("what is shown above is only a part")
    }
}
