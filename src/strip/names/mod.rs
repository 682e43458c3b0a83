//! Files that hold the name of the old machine: the locks of browsers, which keep kiosks black when the name changes, go;
//! every other file that holds the name as a word is said once.

mod rules;

pub use rules::RULES;

use crate::fs::{FsError, ImagePath, Tree};
use crate::prepare::SETTINGS_LIMIT;

/// The machine's name, if it has one of its own (hostname(5)).
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn host_name(root: &dyn Tree) -> Result<Option<String>, FsError> {
    let path = root.resolve(&ImagePath::new("/etc/hostname")?)?;
    let text = root.text(&path, SETTINGS_LIMIT)?.unwrap_or_default();
    let name = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(name.filter(|name| !super::rule::USUAL_NAMES.contains(name)).map(str::to_owned))
}

/// Whether a text has this word, in a line that is no comment.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let (text, word) = (text.to_ascii_lowercase(), word.to_ascii_lowercase());
    text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])).any(|line| {
        line.match_indices(&word).any(|(at, _)| {
            let before = line.get(..at).and_then(|rest| rest.chars().next_back());
            let behind = line.get(at + word.len()..).and_then(|rest| rest.chars().next());
            !before.is_some_and(part) && !behind.is_some_and(part)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::has_word;

    #[test]
    fn a_name_is_a_word_of_its_own() {
        assert!(has_word("host-name=Kiosk-7\n", "kiosk-7"));
        assert!(has_word("a kiosk-7.local b", "kiosk-7"));
        assert!(!has_word("kiosk-77\n", "kiosk-7"));
        assert!(!has_word("# kiosk-7\n", "kiosk-7"));
    }
}
