//! What steps say without changing anything, and what they did not read.

use super::View;
use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::plan::{Finding, Severity, Volume};
use crate::units::ByteSize;

/// So much is read of a file of settings; they have a few KiB. A larger one is no file of settings, and is never passed
/// over in silence.
pub const SETTINGS_LIMIT: u64 = 1 << 20;

impl View<'_> {
    /// Says something without changing anything.
    pub fn note(&mut self, text: impl Into<String>) {
        self.say(Severity::Note, text.into());
    }

    /// Says something that a person should look at.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.say(Severity::Warning, text.into());
    }

    /// Says what a rule of the strip table found and leaves, and where: the first few places begin the text, and the
    /// finding has them all.
    pub fn leave(&mut self, rule: &'static str, severity: Severity, places: Vec<String>, text: &str) {
        self.tell(Some(rule), severity, places, text);
    }

    /// As [`View::leave`], of what is no single rule's.
    pub fn leave_places(&mut self, severity: Severity, places: Vec<String>, text: &str) {
        self.tell(None, severity, places, text);
    }

    fn tell(&mut self, rule: Option<&'static str>, severity: Severity, places: Vec<String>, text: &str) {
        /// So many places are named in one line for a person.
        const MOST_NAMED: usize = 5;
        let mut shown: Vec<&str> = places.iter().take(MOST_NAMED).map(String::as_str).collect();
        let more = places.len().checked_sub(MOST_NAMED).filter(|more| *more > 0).map(|more| format!("{more} more"));
        shown.extend(more.as_deref());
        let text = format!("{} {text}", shown.join(", "));
        self.proposed.plan.findings.push(Finding { step: self.step, rule, severity, text, places });
    }

    /// Says that something the recipe asks for cannot be done on this image: plans show it, golden images are not made.
    pub fn block(&mut self, text: impl Into<String>) {
        self.say(Severity::Blocker, text.into());
    }

    fn say(&mut self, severity: Severity, text: String) {
        self.proposed.plan.findings.push(Finding { step: self.step, rule: None, severity, text, places: Vec::new() });
    }

    /// What a file holds that may name something, links followed; `None` where there is no regular file, or links lead in
    /// a circle. One that is larger than [`SETTINGS_LIMIT`] is not read, and the plan warns of that.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub fn read_settings(&self, volume: Volume, path: &ImagePath) -> Result<Option<Vec<u8>>, FsError> {
        let tree = self.tree(volume);
        let file = match tree.resolve(path) {
            Ok(file) => file,
            Err(FsError::LinkLoop { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match tree.stat(&file)?.filter(|stat| stat.kind == FileKind::File) {
            Some(stat) if stat.size > SETTINGS_LIMIT => {
                let place = volume.place(&file);
                let text =
                    format!("{place} was not read: it has {}, more than such a file should have", ByteSize(stat.size));
                self.unread.borrow_mut().insert((self.step, text));
                Ok(None)
            }
            Some(_) => tree.read(&file, SETTINGS_LIMIT).map(Some),
            None => Ok(None),
        }
    }
}
