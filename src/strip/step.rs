//! The steps that strip: for each subject its code, then its rules.

use super::choices::Strip;
use super::proposal::{Owned, own, propose};
use super::subjects::{self, Subject};
use crate::prepare::{Step, StepError, View};

/// Removes what ties an image to the machine it was taken from, by a part of the table.
pub struct StripStep<'r> {
    name: &'static str,
    subjects: &'static [Subject],
    strip: &'r Strip,
}

impl<'r> StripStep<'r> {
    /// What the SSM agent keeps of a registered life.
    pub fn agent(strip: &'r Strip) -> StripStep<'r> {
        StripStep { name: "ssm", subjects: subjects::AGENT, strip }
    }

    /// Everything else that tells one machine from another, and what an image remembers of its life.
    pub fn identity(strip: &'r Strip) -> StripStep<'r> {
        StripStep { name: "identity", subjects: subjects::IDENTITY, strip }
    }
}

impl Step for StripStep<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        if let Some(what) = self.strip.contradiction() {
            return Err(StepError::Refused {
                what: format!("the recipe both keeps and strips {what:?}"),
                next: "take it out of [strip] keep, or out of [strip] also".to_owned(),
            });
        }
        let mut owned = Owned::new();
        for subject in self.subjects {
            // Code reads what the rules remove: where keys are, which networks there are.
            if let Some(code) = subject.code {
                code(view, self.strip)?;
            }
            for rule in subject.rules {
                let found = own(rule, view, &mut owned)?;
                if !rule.by_code {
                    propose(rule, view, self.strip, found)?;
                }
            }
        }
        Ok(())
    }
}
