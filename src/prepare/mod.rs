//! The steps that turn a base image into a golden one: each reads a [`View`] of the image and proposes edits with
//! reasons to a [`Plan`]. Nothing here writes; [`crate::golden`] applies a plan. Steps know no devices and no AWS.

pub mod agent;
pub mod card;
mod cloud_config;
pub mod files;
pub mod identity;
#[cfg(test)]
pub(crate) mod mem_tree;
pub mod place;
pub mod plan;
pub mod register;
pub mod remove;
pub mod side;
pub mod ssm;
pub mod sudoers;
pub mod view;
#[cfg(test)]
mod view_tests;

pub use place::{Action, Place};
pub use plan::{Change, Class, Content, Edit, Finding, Plan, Reason, Severity, Volume};
pub use side::Side;
pub use view::View;

use crate::fs::{FsError, Tree};
use crate::recipe::LoadedRecipe;

/// Reads an image and proposes edits.
pub trait Step {
    /// The step's name as plans and manifests show it: `ssm`, `identity`, `remove`, `agent`, `register`,
    /// `files`, `sudoers`.
    fn name(&self) -> &'static str;

    /// Adds to `plan` what this step wants changed. Must look at the image only through `view`, which already shows
    /// what earlier steps proposed.
    ///
    /// # Errors
    /// [`StepError`] where the image cannot be prepared as the recipe asks.
    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError>;
}

/// The steps of a recipe, in the order in which they look and propose.
///
/// Stripping comes first, so that it only takes what the base image brought and never what the recipe adds. The recipe's
/// files come before the agent and the registration, which look at them (a proxy for the agent is such a file); the sudo
/// rules are looked at when everything that may bring some is there.
pub fn steps(loaded: &LoadedRecipe) -> Vec<Box<dyn Step + '_>> {
    let recipe = &loaded.recipe;
    let mut steps: Vec<Box<dyn Step + '_>> = vec![
        Box::new(ssm::StripSsm::new(&recipe.strip)),
        Box::new(identity::StripIdentity::new(&recipe.strip)),
        Box::new(remove::RemovePaths::new(&recipe.strip)),
        Box::new(files::AddFiles::new(loaded)),
        Box::new(agent::InstallAgent::new(loaded)),
    ];
    if recipe.activation.is_some() {
        steps.push(Box::new(register::Register));
    }
    steps.push(Box::new(sudoers::HardenSudo::new(&recipe.sudo)));
    steps
}

/// What is stripped, with the step that does it: the tables that documentation is printed from.
pub fn places() -> impl Iterator<Item = (&'static str, &'static Place)> {
    let of = |step: &'static str, table: &'static [Place]| table.iter().map(move |place| (step, place));
    of("ssm", ssm::PLACES).chain(of("identity", identity::PLACES))
}

/// The plan of a recipe for an image: what all of its steps want.
///
/// # Errors
/// The name of the first step that cannot go on, and why; nothing was changed.
pub fn plan(root: &dyn Tree, boot: &dyn Tree, loaded: &LoadedRecipe) -> Result<Plan, (&'static str, StepError)> {
    let mut view = View::new(root, boot);
    for step in steps(loaded) {
        view.enter(step.name());
        step.propose(&mut view).map_err(|error| (step.name(), error))?;
    }
    Ok(view.into_plan())
}

/// Why a step cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The image could not be read.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The image cannot be prepared as the recipe asks; `next` says what a person can do.
    #[error("{what}")]
    Refused {
        /// What is in the way, naming the path in the image.
        what: String,
        /// The next step.
        next: String,
    },
    /// A file on this machine, named by the recipe, cannot be used.
    #[error("{path}: {what}", path = path.display())]
    HostFile {
        /// The file as the recipe names it.
        path: std::path::PathBuf,
        /// What is wrong with it.
        what: String,
        /// The next step.
        next: String,
    },
}
