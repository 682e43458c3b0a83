//! Tables of rules: what is stripped from an image is data, one line per path, and the table is the documentation.

use serde::Serialize;

use super::pattern;
use super::plan::{Class, Volume};
use super::view::View;
use crate::fs::{FsError, ImagePath};
use crate::recipe::schema::Keep;

/// What happens to what a rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The file, or the directory with all that is in it, goes.
    Remove,
    /// What is in the directory goes; the directory stays with its mode and owner.
    Clear,
    /// The file stays with its mode and owner, and loses what it holds.
    Empty,
    /// It stays. In the table so that nobody has to wonder.
    Keep,
    /// It stays, but a person should know: every card will have it.
    Warn,
    /// A part of it goes; the step's own code says which.
    #[serde(rename = "part")]
    StepDecides,
}

/// One line of a table.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PathRule {
    /// Where: a pattern as in [`super::pattern`].
    pub path: &'static str,
    /// What it is, as a sentence for a person.
    pub what: &'static str,
    /// What sort of thing it is.
    pub class: Class,
    /// What happens to it.
    pub action: Action,
    /// The name in `[strip] keep` that saves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_by: Option<Keep>,
    /// Where the fact comes from.
    pub source: &'static str,
}

impl PathRule {
    /// A line of a table.
    pub const fn new(
        path: &'static str,
        what: &'static str,
        class: Class,
        action: Action,
        source: &'static str,
    ) -> PathRule {
        PathRule { path, what, class, action, kept_by: None, source }
    }

    /// The same, saved by this name in `[strip] keep`.
    pub const fn unless(self, keep: Keep) -> PathRule {
        PathRule { kept_by: Some(keep), ..self }
    }

    /// Which file system it is in.
    pub fn volume(&self) -> Volume {
        pattern::volume_of(self.path)
    }

    /// Proposes what this line says. Returns what it was proposed for; nothing for lines that stay.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub fn propose(&self, view: &mut View<'_>) -> Result<Vec<ImagePath>, FsError> {
        let found = view.find(self.path)?;
        let volume = self.volume();
        let mut edited = Vec::new();
        for path in found {
            let done = match self.action {
                Action::Remove => view.remove(volume, &path, self.class.because(self.what, self.source))?,
                Action::Clear => view.remove_contents(volume, &path, self.class.because(self.what, self.source))? > 0,
                Action::Empty => view.empty(volume, &path, self.class.because(self.what, self.source))?,
                // The public half of a key is no secret, and one line for both is enough.
                Action::Warn if path.as_bytes().ends_with(b".pub") => false,
                Action::Warn => {
                    view.warn(format!("{path} stays and will be on every card: {}", self.what));
                    false
                }
                Action::Keep | Action::StepDecides => false,
            };
            if done {
                edited.push(path);
            }
        }
        Ok(edited)
    }
}
