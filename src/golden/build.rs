//! The way from a recipe to a golden image in an overlay: open, plan, and, where that is wanted, apply and prove.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use super::error::GoldenError;
use super::layout::{self, Opened};
use super::manifest::{
    Base, GoldenFile, MANIFEST_VERSION, Manifest, NeedleRecord, PartitionRecord, edit_records, finding_records,
};
use super::map::{gaps_with_data, mapped_runs};
use super::needles::{self, Hit, Needles};
use super::prove::prove;
use super::{Golden, apply};
use crate::fs::clock::Clock;
use crate::fs::scrub::scrub;
use crate::image::source::{self, OpenedSource};
use crate::image::{BlockMap, ByteSize, ReadAt, WriteAt};
use crate::prepare::{self, Plan};
use crate::progress::{Progress, Task};
use crate::recipe::LoadedRecipe;

/// Where things are kept while a golden image is made.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where decoded images are kept.
    pub cache_dir: PathBuf,
    /// The time that edits carry (`SOURCE_DATE_EPOCH`); without it, the newest time that the base image knows.
    pub clock: Option<Clock>,
}

impl Settings {
    /// With the clock that the environment asks for.
    ///
    /// # Errors
    /// Where `SOURCE_DATE_EPOCH` is set and is no number of seconds.
    pub fn from_environment(cache_dir: PathBuf) -> Result<Settings, GoldenError> {
        let clock = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(text) => {
                let seconds = text.trim().parse().map_err(|error| GoldenError::Io {
                    doing: format!("use SOURCE_DATE_EPOCH={text:?}: it must be a number of seconds since 1970"),
                    source: std::io::Error::new(std::io::ErrorKind::InvalidInput, error),
                })?;
                Some(Clock { seconds })
            }
            Err(_) => None,
        };
        Ok(Settings { cache_dir, clock })
    }
}

/// A base image that was opened and planned for; nothing has been changed but repairs inside its overlay.
pub struct Prepared {
    opened: Opened,
    plan: Plan,
    recipe: LoadedRecipe,
    base: Base,
}

/// Opens the recipe's base image and plans what to change.
///
/// # Errors
/// [`GoldenError`].
pub fn prepare(recipe: LoadedRecipe, settings: &Settings, progress: &dyn Progress) -> Result<Prepared, GoldenError> {
    let source = {
        let image = &recipe.recipe.image;
        source::open(&image.source, image.sha256, &recipe.dir, &settings.cache_dir, progress)?
    };
    let OpenedSource { image, digest, format, size, .. } = source;
    let base = Base { source: recipe.recipe.image.source.clone(), sha256: digest, format: format.to_string(), size };
    let opened = layout::open(image, &base.source, settings.clock)?;
    if let Some(repaired) = &opened.repaired {
        progress.note(repaired);
    }
    let plan = prepare::plan(&opened.root, &opened.boot, &recipe, opened.clock)
        .map_err(|(step, source)| GoldenError::Step { step, source })?;
    Ok(Prepared { opened, plan, recipe, base })
}

impl Prepared {
    /// What would be changed, and why.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The base image.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// What was repaired in the overlay before planning, in words.
    pub fn repaired(&self) -> Option<&str> {
        self.opened.repaired.as_deref()
    }

    /// Applies the plan, scrubs, proves, and says in a manifest what came of it. The base image is untouched; what was
    /// made lives in an overlay until somebody writes it out.
    ///
    /// # Errors
    /// [`GoldenError`]; the overlay is then gone.
    pub fn build(self, progress: &dyn Progress) -> Result<Golden, GoldenError> {
        let Prepared { opened, plan, recipe, base } = self;
        if let Some(first) = plan.obstacles().next() {
            let (first, count) = (first.text.clone(), plan.obstacles().count());
            return Err(GoldenError::Obstacles { first, count });
        }
        let io = |source| GoldenError::Io { doing: "read the edited image".to_owned(), source };
        let fs = |doing| move |source| GoldenError::Fs { image: "the edited image".to_owned(), doing, source };

        // Before anything goes: afterwards nobody could say what to look for.
        let needles = needles::collect(&opened.root, &opened.boot, &plan).map_err(fs("read what is to be stripped"))?;
        apply::apply(&plan, &opened.root, &opened.boot)?;

        let mut task = progress.task("scrub", Some(opened.overlay.size()));
        let root = opened.window(&opened.root_partition)?;
        let boot = opened.window(&opened.boot_partition)?;
        let scrubbed_root = scrub(root, task.as_mut()).map_err(fs("scrub the root file system"))?;
        let scrubbed_boot = scrub(boot, task.as_mut()).map_err(fs("scrub the boot file system"))?;
        let gaps = gaps_with_data(&opened).map_err(io)?;
        if recipe.recipe.strip.gaps {
            for gap in &gaps {
                opened.overlay.punch(*gap).map_err(io)?;
            }
        }
        task.done(&format!("{scrubbed_root}; boot: {scrubbed_boot}"));
        if !gaps.is_empty() && !recipe.recipe.strip.gaps {
            let size = ByteSize(gaps.iter().map(|gap| gap.len.0).sum());
            progress.note(&format!(
                "{size} between the partitions hold something, from {}; they stay, unless the recipe says \
                 `[strip] gaps = true`",
                gaps.first().map(|gap| gap.start).unwrap_or_default()
            ));
        }

        let image: Arc<dyn ReadAt> = opened.overlay.clone();
        let runs = mapped_runs(&opened)?;
        let mut searching = progress.task("needles", Some(image.size()));
        let mut digesting = progress.task("digest", Some(image.size()));
        // Three readers of what is finished. None needs another's result, and each could use a core of its own.
        let (checks, hits, map) = thread::scope(|scope| {
            let hits = scope.spawn(|| needles::search(&*opened.overlay, &needles, searching.as_mut()));
            let map = scope.spawn(|| BlockMap::digest(&*opened.overlay, &runs, digesting.as_mut()));
            (prove(&opened, &plan), joined(hits), joined(map))
        });
        let checks = checks?;
        let needles = none_standing(&opened, &needles, hits, searching)?;
        let map = map.map_err(io)?;
        digesting.done("every mapped range has its digest");

        let manifest = Manifest {
            manifest_version: MANIFEST_VERSION,
            cardsmith: env!("CARGO_PKG_VERSION").to_owned(),
            recipe: recipe.recipe.clone(),
            recipe_sha256: recipe.digest,
            base,
            clock: opened.clock.seconds,
            image: GoldenFile {
                file: None,
                file_sha256: None,
                bmap_sha256: None,
                size: image.size(),
                digest: map.fingerprint(),
            },
            partitions: partitions(&opened),
            repaired: opened.repaired.clone(),
            edits: edit_records(&plan),
            findings: finding_records(&plan),
            scrub: serde_json::json!({ "root": scrubbed_root, "boot": scrubbed_boot, "gaps": gaps,
                                       "gaps_wiped": recipe.recipe.strip.gaps }),
            needles,
            checks,
            changed: opened.overlay.differing().map_err(io)?,
            map,
        };
        Ok(Golden { image, manifest, arriving: None })
    }
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn none_standing(
    opened: &Opened,
    needles: &Needles,
    hits: std::io::Result<Vec<Hit<'_>>>,
    task: Box<dyn Task>,
) -> Result<NeedleRecord, GoldenError> {
    let hits = hits.map_err(|source| GoldenError::Io { doing: "search the edited image".to_owned(), source })?;
    let mut standing = Vec::new();
    for hit in &hits {
        let owner = super::owner::owner(opened, hit.at);
        // A sample of a removed log may also stand in a file that is meant to stay; a secret may stand nowhere.
        if hit.needle.scope == needles::Scope::Anywhere || !owner.is_file() {
            standing.push((hit, owner));
        }
    }
    match standing.first() {
        None => {
            task.done(&format!("{} needles searched for, none found", needles.len()));
            Ok(needles.record())
        }
        Some((hit, owner)) => {
            task.failed("found something that was stripped");
            Err(GoldenError::Needles {
                count: standing.len(),
                searched: needles.len(),
                kind: hit.needle.kind,
                origin: hit.needle.origin.clone(),
                at: hit.at,
                owner: owner.to_string(),
            })
        }
    }
}

fn partitions(opened: &Opened) -> Vec<PartitionRecord> {
    let role = |number| match number {
        n if n == opened.boot_partition.number => "boot".to_owned(),
        n if n == opened.root_partition.number => "root".to_owned(),
        _ => "other".to_owned(),
    };
    let partitions = opened.table.partitions.iter();
    partitions.map(|p| PartitionRecord { number: p.number, range: p.range, role: role(p.number) }).collect()
}
