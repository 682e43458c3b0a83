//! An image with the recipe's edits in its overlay, scrubbed: proven, and then a golden image.

use std::sync::Arc;
use std::thread;

use super::Golden;
use super::apply;
use super::error::GoldenError;
use super::layout::Opened;
use super::manifest::{
    Base, GoldenFile, MANIFEST_VERSION, Manifest, NeedleRecord, PartitionRecord, edit_records, finding_records,
};
use super::map::{gaps_with_data, mapped_runs};
use super::needles::{self, Hit, Needles};
use super::prove::prove;
use crate::fs::scrub::{ScrubReport, scrub};
use crate::image::{BlockMap, Overlay, ReadAt, WriteAt, blockmap};
use crate::prepare::Plan;
use crate::progress::{Progress, Task};
use crate::recipe::LoadedRecipe;
use crate::units::{ByteRange, ByteSize};

/// An edited image, of which nothing was proven yet.
pub(super) struct Edited {
    opened: Opened,
    plan: Plan,
    needles: Needles,
    scrubbed_root: ScrubReport,
    scrubbed_boot: ScrubReport,
    gaps: Vec<ByteRange>,
    /// What carries meaning: the ranges of its block map.
    places: Vec<ByteRange>,
}

/// What was found out about an edited image: it may be used.
pub(super) struct Proof {
    checks: Vec<String>,
    needles: NeedleRecord,
    map: BlockMap,
}

impl Edited {
    /// Applies `plan` and scrubs. What must be gone afterwards is noted before.
    ///
    /// # Errors
    /// [`GoldenError`]; the overlay is then gone.
    pub(super) fn make(
        opened: Opened,
        plan: Plan,
        wipe_gaps: bool,
        progress: &dyn Progress,
    ) -> Result<Edited, GoldenError> {
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
        if wipe_gaps {
            for gap in &gaps {
                opened.overlay.punch(*gap).map_err(io)?;
            }
        }
        task.done(&format!("{scrubbed_root}; boot: {scrubbed_boot}"));
        if !gaps.is_empty() && !wipe_gaps {
            let size = ByteSize(gaps.iter().map(|gap| gap.len.0).sum());
            progress.note(&format!(
                "{size} between the partitions hold something, from {}; they stay, unless the recipe says \
                 `[strip] gaps = true`",
                gaps.first().map(|gap| gap.start).unwrap_or_default()
            ));
        }
        let places = blockmap::cut(&mapped_runs(&opened)?, opened.overlay.size());
        Ok(Edited { opened, plan, needles, scrubbed_root, scrubbed_boot, gaps, places })
    }

    /// Its bytes.
    pub(super) fn image(&self) -> &Arc<Overlay> {
        &self.opened.overlay
    }

    /// What of it carries meaning, as its block map will have it.
    pub(super) fn places(&self) -> &[ByteRange] {
        &self.places
    }

    /// Has it checked by readers that did not write it, searches it for what must be gone, and notes its digests.
    ///
    /// # Errors
    /// [`GoldenError::Check`], [`GoldenError::Needles`], [`GoldenError::Io`].
    pub(super) fn prove(&self, progress: &dyn Progress) -> Result<Proof, GoldenError> {
        let (opened, image) = (&self.opened, &*self.opened.overlay);
        let mut task = progress.task("search", Some(image.size()));
        // Two readers of what is finished. Neither needs the other's result, and each could use a core of its own. What the
        // map does not list is in no file and on no card that is made of this image, so it need not be searched.
        let (checks, map, hits) = thread::scope(|scope| {
            let mut search = needles::Search::of(&self.needles);
            let checks = scope.spawn(|| prove(opened, &self.plan));
            let map = BlockMap::digest_and(image, &self.places, task.as_mut(), &mut |at, bytes| search.feed(at, bytes));
            (checks.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), map, search.hits())
        });
        let checks = checks?;
        let map = map.map_err(|source| GoldenError::Io { doing: "read the edited image".to_owned(), source })?;
        let needles = none_standing(opened, &self.needles, &hits, task)?;
        Ok(Proof { checks, needles, map })
    }

    /// The golden image, and in its manifest what came of `recipe` and `base`.
    ///
    /// # Errors
    /// [`GoldenError::Io`].
    pub(super) fn proven(self, proof: Proof, recipe: &LoadedRecipe, base: Base) -> Result<Golden, GoldenError> {
        let Edited { opened, plan, scrubbed_root, scrubbed_boot, gaps, .. } = self;
        let Proof { checks, needles, map } = proof;
        let io = |source| GoldenError::Io { doing: "read the edited image".to_owned(), source };
        let image: Arc<dyn ReadAt> = opened.overlay.clone();
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
        Ok(Golden::new(image, manifest, None))
    }
}

fn none_standing(
    opened: &Opened,
    needles: &Needles,
    hits: &[Hit<'_>],
    task: Box<dyn Task>,
) -> Result<NeedleRecord, GoldenError> {
    let mut standing = Vec::new();
    for hit in hits {
        let owner = super::owner::owner(opened, hit.at);
        // A sample of a removed log may also stand in a file that is meant to stay; a secret may stand nowhere.
        if hit.needle.scope == needles::Scope::Anywhere || !owner.is_file() {
            standing.push((hit, owner));
        }
    }
    match standing.first() {
        None => {
            task.done(&format!(
                "every mapped range has its digest; {} needles searched for, none found",
                needles.len()
            ));
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
