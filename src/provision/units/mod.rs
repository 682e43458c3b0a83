//! The step that carries out `[[unit]]`: systemd units enabled, disabled or masked, with the links that
//! `systemctl --root` would make or remove. Other steps enable and disable units through [`links`] too.

pub(super) mod install;
pub(super) mod links;
mod presets;

use crate::prepare::{Step, StepError, View};
use crate::recipe::schema::{Recipe, Unit, UnitState};
use links::LinkError;

/// Enables, disables and masks what the recipe lists.
pub struct SetUnits<'r> {
    recipe: &'r Recipe,
}

impl<'r> SetUnits<'r> {
    /// The units of a recipe.
    pub fn new(recipe: &'r Recipe) -> SetUnits<'r> {
        SetUnits { recipe }
    }

    /// Whether cards would never register without this unit.
    fn is_needed(&self, unit: &Unit) -> bool {
        const NEEDED: [&str; 4] = [
            "cardsmith-register.service",
            "cardsmith-install-agent.service",
            "amazon-ssm-agent.service",
            "snap.amazon-ssm-agent.amazon-ssm-agent.service",
        ];
        self.recipe.activation.is_some() && unit.state != UnitState::Enabled && NEEDED.contains(&unit.name.as_str())
    }
}

impl Step for SetUnits<'_> {
    fn name(&self) -> &'static str {
        "units"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        for unit in &self.recipe.units {
            if self.is_needed(unit) {
                view.block(format!(
                    "{} is what registers the cards: with [activation] it cannot be {}",
                    unit.name,
                    if unit.state == UnitState::Masked { "masked" } else { "disabled" }
                ));
                continue;
            }
            let done = match unit.state {
                UnitState::Enabled => links::enable(view, &unit.name, "the recipe, [[unit]]"),
                UnitState::Disabled => links::disable(view, &unit.name, "the recipe, [[unit]]"),
                UnitState::Masked => links::mask(view, &unit.name, "the recipe, [[unit]]"),
            };
            report_failure(view, done)?;
        }
        Ok(())
    }
}

/// What cannot be done to a unit of this image blocks the plan.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn report_failure(view: &mut View<'_>, done: Result<(), LinkError>) -> Result<(), StepError> {
    match done {
        Ok(()) => Ok(()),
        Err(LinkError::Fs(error)) => Err(error.into()),
        Err(LinkError::Cannot(what)) => {
            view.block(what);
            Ok(())
        }
    }
}
