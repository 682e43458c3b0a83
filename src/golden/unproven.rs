//! An image with the recipe's edits in its overlay, scrubbed: proven, and then a golden image.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::thread;

use super::apply;
use super::editable::EditableImage;
use super::error::GoldenError;
use super::image::{Golden, GoldenImage};
use super::manifest::{Base, GoldenFile, MANIFEST_VERSION, Manifest, PartitionRecord, TraceRecord};
use super::map::{gaps_with_data, mapped_runs};
use super::owner::Owners;
use super::prove::prove;
use super::records::{edit_records, finding_records};
use super::startable::{self, Part};
use super::traces::{self, Traces};
use crate::fs::scrub::{ScrubReport, scrub};
use crate::image::{BlockMap, Overlay, ReadAt, WriteAt, blockmap};
use crate::prepare::Plan;
use crate::progress::{Progress, Task};
use crate::recipe::LoadedRecipe;
use crate::units::{ByteRange, ByteSize};

/// An edited image, of which nothing was proven yet.
pub(super) struct UnprovenImage {
    opened: EditableImage,
    plan: Plan,
    traces: Traces,
    /// What the base image had of what a card needs to start.
    startable: BTreeSet<Part>,
    scrubbed_root: ScrubReport,
    scrubbed_boot: ScrubReport,
    gaps: Vec<ByteRange>,
    /// What carries meaning: the ranges of its block map.
    places: Vec<ByteRange>,
}

/// What was found out about an edited image: it may be used.
pub(super) struct Proof {
    checks: Vec<String>,
    traces: TraceRecord,
    map: BlockMap,
}

impl UnprovenImage {
    /// Applies `plan` and scrubs. What must be gone afterwards is noted before.
    ///
    /// # Errors
    /// [`GoldenError`]; the overlay is then gone.
    pub(super) fn edit(
        opened: EditableImage,
        plan: Plan,
        wipe_gaps: bool,
        progress: &dyn Progress,
    ) -> Result<UnprovenImage, GoldenError> {
        let io = |source| GoldenError::Io { doing: "read the edited image".to_owned(), source };
        let fs = |doing| move |source| GoldenError::Fs { image: "the edited image".to_owned(), doing, source };

        // Before anything goes: afterwards nobody could say what to look for.
        let traces = traces::collect(&opened.root, &opened.boot, &plan).map_err(fs("read what is to be stripped"))?;
        if traces.left_out() > 0 {
            return Err(GoldenError::TooManyTraces { left_out: traces.left_out() });
        }
        let startable = startable::parts(&opened.root, &opened.boot).map_err(fs("read what starts it"))?;
        apply::apply(&plan, &opened.root, &opened.boot)?;

        let mut task = progress.task("scrub", Some(opened.overlay.size()));
        let root = opened.window(&opened.root_partition)?;
        let boot = opened.window(&opened.boot_partition)?;
        let scrubbed_root = scrub(root, task.as_mut()).map_err(fs("scrub the root file system"))?;
        let scrubbed_boot = scrub(boot, task.as_mut()).map_err(fs("scrub the boot file system"))?;
        // Looked for even where they stay: the person should know what is given away.
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
        // Cut once, for the writer and for the proof: both must go by the same ranges.
        let places = blockmap::cut(&mapped_runs(&opened)?, opened.overlay.size());
        Ok(UnprovenImage { opened, plan, traces, startable, scrubbed_root, scrubbed_boot, gaps, places })
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
    /// [`GoldenError::Check`], [`GoldenError::TracesLeft`], [`GoldenError::Io`].
    pub(super) fn prove(&self, progress: &dyn Progress) -> Result<Proof, GoldenError> {
        let (opened, image) = (&self.opened, &*self.opened.overlay);
        let mut task = progress.task("search", Some(image.size()));
        // Two readers of what is finished. Neither needs the other's result, and each could use a core of its own. What the
        // map does not list is in no file and on no card that is made of this image, so it need not be searched.
        let (checks, map, found) = thread::scope(|scope| {
            let mut search = traces::Search::of(&self.traces);
            let checks = scope.spawn(|| prove(opened, &self.plan, &self.startable));
            let map = BlockMap::digest_and(image, &self.places, task.as_mut(), &mut |at, bytes| search.feed(at, bytes));
            (checks.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), map, search.found())
        });
        let checks = checks?;
        let map = map.map_err(|source| GoldenError::Io { doing: "read the edited image".to_owned(), source })?;
        let traces = check_traces(opened, &self.traces, &found, task)?;
        Ok(Proof { checks, traces, map })
    }

    /// The golden image, and in its manifest what came of `recipe` and `base`.
    ///
    /// # Errors
    /// [`GoldenError::Io`].
    pub(super) fn into_golden(self, proof: Proof, recipe: &LoadedRecipe, base: Base) -> Result<Golden, GoldenError> {
        let UnprovenImage { opened, plan, scrubbed_root, scrubbed_boot, gaps, .. } = self;
        let Proof { checks, traces, map } = proof;
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
                // Filled in when it is written. An image that goes straight onto cards has no file.
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
            traces,
            checks,
            // What differs, not what was written: a block that got its old bytes again does not count.
            changed: opened.overlay.differing().map_err(io)?,
            map,
        };
        Ok(Golden::new(GoldenImage::Whole(image), manifest))
    }
}

fn check_traces(
    opened: &EditableImage,
    traces: &Traces,
    found: &traces::Found<'_>,
    task: Box<dyn Task>,
) -> Result<TraceRecord, GoldenError> {
    let mut left = Vec::new();
    if !found.hits.is_empty() {
        let owners = Owners::of(opened);
        // A sample of a removed log may also stand in a file that is meant to stay; a secret may stand nowhere.
        let hits = found.hits.iter().map(|hit| (hit, owners.at(hit.at)));
        left.extend(hits.filter(|(hit, owner)| hit.trace.scope == traces::Scope::Anywhere || !owner.is_file()));
    }
    match left.first() {
        None if found.not_kept > 0 => {
            task.failed("found too much of what was stripped to look at it all");
            Err(GoldenError::TooManyHits { not_kept: found.not_kept })
        }
        None => {
            task.done(&format!("every mapped range has its digest; {} traces searched for, none found", traces.len()));
            Ok(traces.record())
        }
        Some((hit, owner)) => {
            task.failed("found something that was stripped");
            let which: HashSet<*const traces::Trace> =
                left.iter().map(|(hit, _)| std::ptr::from_ref(hit.trace)).collect();
            Err(GoldenError::TracesLeft {
                count: which.len(),
                places: (left.len() as u64).saturating_add(found.again),
                searched: traces.len(),
                kind: hit.trace.kind,
                origin: hit.trace.origin.clone(),
                at: hit.at,
                owner: owner.to_string(),
            })
        }
    }
}

fn partitions(opened: &EditableImage) -> Vec<PartitionRecord> {
    let role = |number| match number {
        n if n == opened.boot_partition.number => "boot".to_owned(),
        n if n == opened.root_partition.number => "root".to_owned(),
        _ => "other".to_owned(),
    };
    let partitions = opened.table.partitions.iter();
    partitions.map(|p| PartitionRecord { number: p.number, range: p.range, role: role(p.number) }).collect()
}
