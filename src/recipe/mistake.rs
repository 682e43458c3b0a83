//! One mistake in a recipe: where it is, the offending line with a caret, what is wrong and what would be right.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::secret_patterns;
use crate::printable::is_harmless;

/// Widest line that an excerpt shows, in characters.
const WIDEST: usize = 100;

/// One mistake. Its `Display` is `file:line:column: what is wrong`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The recipe.
    pub path: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// The offending line with a caret under it; values that look like secrets are masked.
    pub excerpt: String,
    /// What would be right.
    pub help: String,
}

impl Mistake {
    /// A mistake at `span` (bytes) of `text`.
    pub(crate) fn at(
        path: &Path,
        text: &str,
        span: Range<usize>,
        what: impl Into<String>,
        help: impl Into<String>,
    ) -> Mistake {
        let start = floor(text, span.start);
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = before.matches('\n').count() + 1;
        let column = text.get(line_start..start).unwrap_or_default().chars().count() + 1;
        let content = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let spanned = text.get(start..floor(text, span.end).max(start)).unwrap_or_default();
        let width = spanned.lines().next().unwrap_or_default().chars().count();
        Mistake {
            path: path.to_owned(),
            line,
            column,
            what: what.into(),
            excerpt: excerpt(line, column, width, content),
            help: help.into(),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.path.display(), self.line, self.column, self.what)
    }
}

/// The last character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

fn excerpt(line: usize, column: usize, width: usize, content: &str) -> String {
    // The carets count characters, so each that must not reach a terminal becomes one blank rather than its number.
    let shown = secret_patterns::masked(content);
    let shown: Vec<char> = shown.chars().map(|c| if is_harmless(c) { c } else { ' ' }).collect();
    let at = column.saturating_sub(1).min(shown.len());
    let from = at.saturating_sub(WIDEST / 2).min(shown.len().saturating_sub(WIDEST));
    let part: String = shown.iter().skip(from).take(WIDEST).collect();
    let room = part.chars().count().saturating_sub(at - from).max(1);
    let carets = "^".repeat(width.clamp(1, room));
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    format!("{number} | {part}\n{margin} | {}{carets}", " ".repeat(at - from))
}

/// The one of `allowed` that `found` was probably meant to be.
pub(crate) fn closest<'a>(found: &str, allowed: &[&'a str]) -> Option<&'a str> {
    let best = allowed.iter().map(|word| (distance(found, word), *word)).min()?;
    let tolerated = (found.chars().count() / 3).max(1);
    (best.0 <= tolerated).then_some(best.1)
}

/// Levenshtein's edit distance, with case and `_`/`-` not counting.
fn distance(a: &str, b: &str) -> usize {
    let plain = |text: &str| -> Vec<char> { text.to_lowercase().replace('_', "-").chars().take(100).collect() };
    let (a, b) = (plain(a), plain(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = replaced.min(*cell + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_under_the_mistake_also_behind_wide_and_odd_characters() {
        let text = "a = 1\n\tünknown = \"x\"\r\nb = 2\n";
        let at = text.find("ünknown").unwrap();
        let mistake = Mistake::at(Path::new("r.toml"), text, at..at + "ünknown".len(), "unknown key", "");
        assert_eq!(mistake.to_string(), "r.toml:2:2: unknown key");
        assert_eq!(mistake.excerpt, "2 |  ünknown = \"x\"\n  |  ^^^^^^^");
        let end = Mistake::at(Path::new("r.toml"), text, text.len()..text.len() + 9, "cut off", "");
        assert_eq!((end.line, end.column), (4, 1));
        let long = format!("x = \"{}\"", "y".repeat(5000));
        assert!(Mistake::at(Path::new("r"), &long, 4..5000, "long", "").excerpt.len() < 300);
    }

    #[test]
    fn the_word_that_was_meant_is_found() {
        assert_eq!(closest("regoin", &["region", "role", "from"]), Some("region"));
        assert_eq!(closest("ssm_user", &["ssm-user", "nopasswd"]), Some("ssm-user"));
        assert_eq!(closest("zebra", &["region", "role"]), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
