//! The step for what only the operator knows: paths that the recipe wants gone beside everything in the tables.

use super::plan::{Class, Volume};
use super::{Step, StepError, View};
use crate::fs::ImagePath;
use crate::recipe::schema::Strip;

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
        Ok(())
    }
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
