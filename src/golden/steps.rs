//! The steps of a recipe, and the plan that they make together.

use super::startable;
use crate::fs::{Clock, Tree};
use crate::harden::sudoers;
use crate::prepare::{Plan, Step, StepError, View};
use crate::provision::{agent, boot_settings, files, locale, network, proxy, register, ssh, units, user, wifi};
use crate::recipe::LoadedRecipe;
use crate::strip::{FindSecrets, RemovePaths, StripLinks, StripStep};

/// The steps of a recipe, in the order in which they look and propose.
///
/// Stripping comes first, so that it only takes what the base image brought and never what the recipe adds. The user is
/// there before files that may belong to it, and files before units that may be among them. Files and proxy come before
/// the agent and the registration, which look at them; the sudo rules are looked at when everybody is there who may use
/// them, and everything that may bring some.
pub fn steps(loaded: &LoadedRecipe) -> Vec<Box<dyn Step + '_>> {
    let recipe = &loaded.recipe;
    let mut steps: Vec<Box<dyn Step + '_>> = vec![
        Box::new(StripStep::agent(&recipe.strip)),
        Box::new(StripStep::identity(&recipe.strip)),
        Box::new(RemovePaths::new(&recipe.strip)),
        // Behind all that strip: what they named may have other names.
        Box::new(StripLinks::new(&recipe.strip)),
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
    // Cards that do not register get no unit that would try.
    if recipe.activation.is_some() {
        steps.push(Box::new(register::Register));
    }
    steps.push(Box::new(sudoers::HardenSudo::new(&recipe.sudo)));
    // Looks at what all others made of the image, and changes nothing.
    steps.push(Box::new(FindSecrets::new(&recipe.strip)));
    steps
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
        // A step sees what those before it proposed; that is what the order above is about.
        step.propose(&mut view).map_err(|error| (step.name(), error))?;
    }
    view.enter("start");
    startable::judge(&mut view, root, boot).map_err(|error| ("start", StepError::from(error)))?;
    Ok(view.into_plan())
}
