//! The steps that turn a base image into a golden one: each reads a [`View`] of the image and proposes edits with
//! reasons to a [`Plan`]. Nothing here writes; [`crate::golden`] applies a plan. Steps know no devices and no AWS.

pub mod agent;
pub mod boot_settings;
pub mod card;
mod cloud_config;
pub mod files;
pub mod identity;
pub mod locale;
#[cfg(test)]
pub(crate) mod mem_tree;
pub mod network;
pub mod place;
pub mod plan;
pub mod proxy;
pub mod register;
pub mod remove;
pub mod side;
pub mod ssh;
pub mod ssm;
pub mod sudoers;
pub mod units;
pub mod user;
pub mod view;
#[cfg(test)]
mod view_tests;
pub mod wifi;

pub use place::{Action, Place};
pub use plan::{Change, Class, Content, Edit, Finding, Plan, Reason, Severity, Volume};
pub use side::Side;
pub use view::View;

use crate::fs::{Clock, FsError, Tree};
use crate::recipe::LoadedRecipe;

/// Reads an image and proposes edits.
pub trait Step {
    /// The step's name as plans and manifests show it: `ssm`, `identity`, `remove`, `user`, `files`, `ssh`, `network`, `wifi`,
    /// `locale`, `boot`, `units`, `proxy`, `agent`, `register`, `sudoers`.
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
/// Stripping comes first, so that it only takes what the base image brought and never what the recipe adds. The user is
/// there before files that may belong to it, and files before units that may be among them. Files and proxy come before
/// the agent and the registration, which look at them; the sudo rules are looked at when everybody is there who may use
/// them, and everything that may bring some.
pub fn steps(loaded: &LoadedRecipe) -> Vec<Box<dyn Step + '_>> {
    let recipe = &loaded.recipe;
    let mut steps: Vec<Box<dyn Step + '_>> = vec![
        Box::new(ssm::StripSsm::new(&recipe.strip)),
        Box::new(identity::StripIdentity::new(&recipe.strip)),
        Box::new(remove::RemovePaths::new(&recipe.strip)),
    ];
    if let Some(user) = &recipe.user {
        steps.push(Box::new(user::SetUser::new(loaded, user)));
    }
    steps.push(Box::new(files::AddFiles::new(loaded)));
    if let Some(ssh) = &recipe.ssh {
        steps.push(Box::new(ssh::SetSsh::new(ssh)));
    }
    if let Some(network) = &recipe.network {
        steps.push(Box::new(network::SetNetwork::new(network)));
        if let Some(wifi) = &network.wifi {
            steps.push(Box::new(wifi::SetWifi::new(wifi)));
        }
    }
    if let Some(locale) = &recipe.locale {
        steps.push(Box::new(locale::SetLocale::new(locale)));
    }
    if let Some(boot) = &recipe.boot {
        steps.push(Box::new(boot_settings::SetBoot::new(boot)));
    }
    steps.push(Box::new(units::SetUnits::new(recipe)));
    if let Some(proxy) = &recipe.proxy {
        steps.push(Box::new(proxy::SetProxy::new(recipe, proxy)));
    }
    steps.push(Box::new(agent::InstallAgent::new(loaded)));
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

/// The plan of a recipe for an image: what all of its steps want. `clock` is the time that its edits will carry.
///
/// # Errors
/// The name of the first step that cannot go on, and why; nothing was changed.
pub fn plan(
    root: &dyn Tree,
    boot: &dyn Tree,
    loaded: &LoadedRecipe,
    clock: Clock,
) -> Result<Plan, (&'static str, StepError)> {
    let mut view = View::new(root, boot).at(clock);
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
