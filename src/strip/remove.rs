//! The step for what only the operator knows: paths that the recipe wants gone beside everything in the table, and rules of
//! the recipe's own.

use super::choices::{OwnFate, OwnRule, Strip};
use super::needed::needed_by_system;
use super::proposal;
use crate::fs::ImagePath;
use crate::prepare::{Class, Severity, Step, StepError, View, Volume, pattern};

/// Removes the paths of `[strip] remove` from the root file system, files as well as whole directories.
pub struct RemovePaths<'r> {
    strip: &'r Strip,
}

impl<'r> RemovePaths<'r> {
    /// The paths of this recipe.
    pub fn new(strip: &'r Strip) -> RemovePaths<'r> {
        RemovePaths { strip }
    }
}

impl Step for RemovePaths<'_> {
    fn name(&self) -> &'static str {
        "remove"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        if let Some((path, needed)) = needed_by_system(self.strip) {
            return Err(StepError::Refused {
                what: format!(
                    "the recipe takes {path} out of the image, and with it {needed}, which no system can be without"
                ),
                next: "name what is below it that shall go".to_owned(),
            });
        }
        for text in &self.strip.remove {
            let refused = |what: String| StepError::Refused {
                what,
                next: "name a file or directory inside the image under [strip] remove, such as \"/home/pi/notes\""
                    .to_owned(),
            };
            let path = ImagePath::new(text).map_err(|error| refused(error.to_string()))?;
            if path == ImagePath::root() {
                return Err(refused("[strip] remove names the whole root file system".to_owned()));
            }
            // Treated as an identity, so that what was in it is searched for in the finished image.
            let why = "the recipe wants it gone";
            if !view.remove(Volume::Root, &path, Class::Identity.because(why, "the recipe, [strip] remove"))? {
                view.note(format!("{path} is not in the image: nothing to remove"));
            }
        }
        self.strip.rules.iter().try_for_each(|rule| by_own_rule(view, rule))
    }
}

/// The id under which plans and the audit tell of rules of the recipe's own.
pub const OWN_RULE: &str = "strip-rule";

fn by_own_rule(view: &mut View<'_>, rule: &OwnRule) -> Result<(), StepError> {
    let volume = pattern::volume_of(&rule.path);
    let found = view.find(&rule.path)?;
    // A misspelt path would strip nothing, and nobody would know.
    if found.is_empty() {
        view.note(format!("{} is not in the image: nothing to strip", rule.path));
    }
    let mut named = Vec::new();
    for path in found {
        let why = || Class::Identity.because(rule.what.clone(), "the recipe, [[strip.rule]]");
        match rule.fate {
            OwnFate::Remove => {
                view.remove(volume, &path, why())?;
            }
            OwnFate::Clear => {
                view.remove_contents(volume, &path, why())?;
            }
            OwnFate::Empty => {
                proposal::empty(view, volume, &path, why())?;
            }
            OwnFate::Name => named.push(volume.place(&path)),
        }
    }
    if !named.is_empty() {
        let stay = if named.len() == 1 { "stays" } else { "stay" };
        let text = format!(
            "{stay} and will be on every card: {}; fate = \"remove\" in its [[strip.rule]] removes it, [audit] allow = \
             [\"{OWN_RULE}\"] says that it is meant",
            rule.what
        );
        view.leave(OWN_RULE, Severity::Warning, named, &text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::mem_tree::MemTree;

    fn propose(remove: &[&str]) -> Result<Vec<String>, StepError> {
        let root = MemTree::with(&[("/home/pi/notes/one", "1")]);
        let boot = MemTree::new();
        let strip = Strip { remove: remove.iter().map(ToString::to_string).collect(), ..Strip::default() };
        let mut view = View::new(&root, &boot);
        RemovePaths::new(&strip).propose(&mut view)?;
        Ok(view.into_plan().edits.iter().map(|edit| edit.path.to_string()).collect())
    }

    #[test]
    fn whole_directories_go_and_what_is_not_there_is_only_noted() {
        assert_eq!(propose(&["/home/pi/notes", "/nothing"]).unwrap(), ["/home/pi/notes"]);
    }

    #[test]
    fn the_root_itself_and_ways_out_are_refused() {
        assert!(propose(&["/"]).is_err());
        assert!(propose(&["/home/../etc"]).is_err());
    }
}
