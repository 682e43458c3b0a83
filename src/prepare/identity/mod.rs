//! The step that removes what tells one machine from another, and what an image remembers of its life.
//!
//! What it does is written in [`RULES`]; the code in this folder does the lines that are more than a path. It never
//! leaves a card without SSH: where host keys go, a unit that makes new ones is enabled.

mod host_keys;
mod logins_and_wifi;
mod logs;
mod machine_id;
mod registering_scripts;
mod rules;
mod swap;

pub use rules::RULES;

use super::{Step, StepError, View};
use crate::recipe::schema::{Keep, Strip};

/// Removes what tells one machine from another, and what an image remembers of its life.
pub struct StripIdentity<'r> {
    strip: &'r Strip,
}

impl<'r> StripIdentity<'r> {
    /// The step, with what the recipe keeps and what it strips too.
    pub fn new(strip: &'r Strip) -> StripIdentity<'r> {
        StripIdentity { strip }
    }
}

impl Step for StripIdentity<'_> {
    fn name(&self) -> &'static str {
        "identity"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        if let Some(what) = self.strip.contradiction() {
            return Err(StepError::Refused {
                what: format!("the recipe both keeps and strips {what:?}"),
                next: "take it out of [strip] keep, or out of [strip] also".to_owned(),
            });
        }
        for rule in RULES.iter().filter(|rule| !rule.kept_by.is_some_and(|keep| self.strip.keeps(keep))) {
            rule.propose(view)?;
        }
        if self.strip.keeps(Keep::MachineId) {
            view.warn(
                "the recipe keeps the machine id: all cards share it, and SSM takes them for clones of one machine",
            );
        } else {
            machine_id::propose(view)?;
        }
        if self.strip.keeps(Keep::HostKeys) {
            view.warn("the recipe keeps the SSH host keys: whoever has one card can pass for all of them");
        } else {
            host_keys::propose(view)?;
        }
        if !self.strip.keeps(Keep::Logs) {
            logs::propose(view)?;
        }
        swap::propose(view)?;
        logins_and_wifi::propose(view, self.strip)?;
        registering_scripts::propose(view)?;
        Ok(())
    }
}
