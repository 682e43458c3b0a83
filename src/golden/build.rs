//! The way from a recipe to a golden image: open, plan, and, where that is wanted, edit, prove, and write.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::editable::{self, EditableImage};
use super::error::GoldenError;
use super::image::Golden;
use super::manifest::Base;
use super::outputs::{Extras, Outputs, check_outputs};
use super::reads::reads_for;
use super::unproven::UnprovenImage;
use super::write::Written;
use crate::fs::clock::Clock;
use crate::image::{ReadAt, Stoppable};
use crate::prepare::Plan;
use crate::progress::Progress;
use crate::recipe::LoadedRecipe;
use crate::source;
use crate::source::OpenedBase;
use crate::source::{Format, LargestImage, PublishedDigest, SourceSpec};
use crate::units::ByteSize;

/// Where things are kept while a golden image is made.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where decoded images are kept.
    pub cache_dir: PathBuf,
    /// The time that edits carry (`SOURCE_DATE_EPOCH`); without it, the newest time that the base image knows.
    pub clock: Option<Clock>,
    /// The largest base image that is of use, where somebody knows that: the card's size. `None`: as much as is decoded.
    pub largest: Option<LargestImage>,
}

impl Settings {
    /// With the clock that the environment asks for.
    ///
    /// # Errors
    /// Where `SOURCE_DATE_EPOCH` is set and is no number of seconds.
    pub fn from_environment(cache_dir: PathBuf) -> Result<Settings, GoldenError> {
        let clock = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(text) => {
                // Another time in its place would give other bytes, and nobody would know why.
                let seconds = text.trim().parse().map_err(|error| GoldenError::Io {
                    doing: format!("use SOURCE_DATE_EPOCH={text:?}: it must be a number of seconds since 1970"),
                    source: std::io::Error::new(std::io::ErrorKind::InvalidInput, error),
                })?;
                Some(Clock { seconds })
            }
            Err(_) => None,
        };
        Ok(Settings { cache_dir, clock, largest: None })
    }
}

/// A base image that was opened and planned for; nothing has been changed but repairs inside its overlay.
pub struct Prepared {
    opened: EditableImage,
    plan: Plan,
    recipe: LoadedRecipe,
    base: UncheckedBase,
}

/// The base image, while it is not known yet whether it is the right one.
struct UncheckedBase {
    source: String,
    published: PublishedDigest,
    format: Format,
    size: ByteSize,
}

impl UncheckedBase {
    fn wait(self) -> Result<Base, GoldenError> {
        let UncheckedBase { source, published, format, size } = self;
        Ok(Base { source, sha256: published.wait()?, format: format.to_string(), size })
    }
}

/// Opens the recipe's base image and plans what to change.
///
/// # Errors
/// [`GoldenError`].
pub fn prepare(recipe: LoadedRecipe, settings: &Settings, progress: &dyn Progress) -> Result<Prepared, GoldenError> {
    let (source, sha256) = (recipe.recipe.image.source.clone(), recipe.recipe.image.sha256);
    let mut spec = SourceSpec::from_recipe(&source, &recipe.dir, sha256)?;
    if let Some(largest) = settings.largest {
        spec = spec.at_most(largest);
    }
    let OpenedBase { image, published, format } = source::open_base(&spec, &settings.cache_dir, progress)?;
    let size = image.size();
    match open_and_plan(image, &source, &recipe, settings, progress) {
        Ok((opened, plan)) => {
            Ok(Prepared { opened, plan, recipe, base: UncheckedBase { source, published, format, size } })
        }
        // That it is another image than the one that was meant explains whatever is wrong with it.
        Err(error) => Err(sha256.and_then(|_| published.wait().err()).map_or(error, GoldenError::from)),
    }
}

fn open_and_plan(
    image: Arc<dyn ReadAt>,
    name: &str,
    recipe: &LoadedRecipe,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<(EditableImage, Plan), GoldenError> {
    let opened = editable::open(image, name, settings.clock)?;
    if let Some(repaired) = &opened.repaired {
        progress.note(repaired);
    }
    let plan = super::steps::plan(&opened.root, &opened.boot, recipe, opened.clock)
        .map_err(|(step, source)| GoldenError::Step { step, source })?;
    Ok((opened, plan))
}

impl Prepared {
    /// What would be changed, and why. Whether it is for the right image is not known yet.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What was repaired in the overlay before planning, in words.
    pub fn repaired(&self) -> Option<&str> {
        self.opened.repaired.as_deref()
    }

    /// The plan, and the base image that it is for, whose digest was compared with the recipe's.
    ///
    /// # Errors
    /// [`GoldenError::Source`] where it is another image.
    pub fn into_plan(self) -> Result<(Plan, Base), GoldenError> {
        Ok((self.plan, self.base.wait()?))
    }

    /// Applies the plan, scrubs, proves, and says in a manifest what came of it. The base image is untouched; what was
    /// made lives in an overlay until somebody writes it out.
    ///
    /// # Errors
    /// [`GoldenError`]; the overlay is then gone.
    pub fn build(self, progress: &dyn Progress) -> Result<Golden, GoldenError> {
        let Prepared { opened, plan, recipe, base } = self;
        let edited = edit(opened, plan, &recipe, progress)?;
        let proof = edited.prove(progress)?;
        // Last: the digest of the base image is computed while it is edited and proven.
        edited.into_golden(proof, &recipe, base.wait()?)
    }

    /// As [`Prepared::build`] and then [`Golden::write_with`], which is quicker: the image is written while it is proven.
    /// The files appear when it was.
    ///
    /// # Errors
    /// As those two; no file appears then.
    pub fn build_to(
        self,
        image: &Path,
        overwrite: bool,
        extras: &Extras<'_>,
        progress: &dyn Progress,
    ) -> Result<(Golden, Outputs), GoldenError> {
        // Before the work: minutes would be lost to a name that is taken.
        let mut inputs = reads_for(&self.recipe);
        if let Some(signer) = extras.signer {
            inputs.add(signer.path(), "the key that signs");
        }
        let (outputs, format) = check_outputs(image, extras, overwrite, &inputs)?;
        let Prepared { opened, plan, recipe, base } = self;
        let edited = edit(opened, plan, &recipe, progress)?;

        // The overlay does not change any more, so one thread may write it out while others prove it.
        let useless = Arc::<AtomicBool>::default();
        let readable = Stoppable::new(edited.image().clone(), useless.clone());
        let (proven, written) = thread::scope(|scope| {
            let writing = scope.spawn(|| Written::write(&readable, edited.places(), &outputs.image, format, progress));
            let proven = edited.prove(progress).and_then(|proof| Ok((proof, base.wait()?)));
            // Packing can take minutes more, and there is nothing to pack.
            useless.store(proven.is_err(), Ordering::Relaxed);
            // A panic of the writer is a bug, and goes on as the panic that it was.
            (proven, writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        // The proof has the first word: why it is no golden image matters more than how its writer was stopped.
        let (proof, base) = proven?;
        let mut golden = edited.into_golden(proof, &recipe, base)?;
        golden.publish(written?, &outputs, extras)?;
        Ok((golden, outputs))
    }
}

fn edit(
    opened: EditableImage,
    plan: Plan,
    recipe: &LoadedRecipe,
    progress: &dyn Progress,
) -> Result<UnprovenImage, GoldenError> {
    // `plan` shows obstacles and goes on. Here they end it, before anything is changed.
    if let Some(first) = plan.blockers().next() {
        let (first, count) = (first.text.clone(), plan.blockers().count());
        return Err(GoldenError::Obstacles { first, count });
    }
    UnprovenImage::edit(opened, plan, recipe.recipe.strip.gaps, progress)
}
