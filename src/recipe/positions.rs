//! The texts that a recipe is made of, its own and that of its base: laid end to end, so that one number tells in which
//! file, line and column a value stands.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::Mistake;

/// One or two files.
pub(super) struct RecipeTexts<'t> {
    own: (&'t Path, &'t str),
    base: Option<(PathBuf, String)>,
}

impl<'t> RecipeTexts<'t> {
    /// A recipe by itself.
    pub(super) fn new(path: &'t Path, text: &'t str) -> RecipeTexts<'t> {
        RecipeTexts { own: (path, text), base: None }
    }

    /// With the recipe that it extends.
    pub(super) fn with_base(self, path: PathBuf, text: String) -> RecipeTexts<'t> {
        RecipeTexts { base: Some((path, text)), ..self }
    }

    /// The base's path and text.
    pub(super) fn base(&self) -> Option<(&Path, &str)> {
        self.base.as_ref().map(|(path, text)| (path.as_path(), text.as_str()))
    }

    /// Where the base's text begins.
    pub(super) fn base_start(&self) -> usize {
        self.own.1.len().saturating_add(1)
    }

    /// Whether this place is in the base.
    pub(super) fn is_base(&self, at: usize) -> bool {
        self.base.is_some() && at >= self.base_start()
    }

    fn file(&self, span: Range<usize>) -> (&Path, &str, Range<usize>) {
        match self.base().filter(|_| self.is_base(span.start)) {
            Some((path, text)) => {
                let start = self.base_start();
                (path, text, span.start.saturating_sub(start)..span.end.saturating_sub(start))
            }
            None => (self.own.0, self.own.1, span),
        }
    }

    /// A mistake at `span`, in the file that it belongs to.
    pub(super) fn mistake(&self, span: Range<usize>, what: impl Into<String>, help: impl Into<String>) -> Mistake {
        let (path, text, span) = self.file(span);
        Mistake::at(path, text, span, what, help)
    }

    /// File and line of a place, the line counted from 1.
    pub(super) fn line(&self, span: Range<usize>) -> (&Path, usize) {
        let (path, text, span) = self.file(span);
        let before = text.as_bytes().get(..span.start).unwrap_or_default();
        (path, before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1))
    }
}

/// Finds where in the texts a value stands.
pub(super) struct ValueSpans<'a, 't> {
    pub(super) texts: &'a RecipeTexts<'t>,
    pub(super) document: &'a Spanned<DeTable<'a>>,
    /// What the base's relative paths were put behind, so that they count from the recipe's directory.
    pub(super) prefix: PathBuf,
}

impl ValueSpans<'_, '_> {
    /// The span of the value at `keys` (`["file", "0", "path"]`); of the nearest table above it where it is not there.
    pub(super) fn of(&self, keys: &[&str]) -> Range<usize> {
        self.look(keys).0
    }

    /// The span of the value at `keys`, where exactly that is written down.
    pub(super) fn exactly(&self, keys: &[&str]) -> Option<Range<usize>> {
        Some(self.look(keys)).filter(|(_, exact)| *exact).map(|(span, _)| span)
    }

    fn look(&self, keys: &[&str]) -> (Range<usize>, bool) {
        let mut table = Some(self.document.get_ref());
        let mut array: Option<&[Spanned<DeValue<'_>>]> = None;
        let mut span = 0..0;
        for key in keys {
            let found = match (table, array) {
                (Some(table), _) => table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value),
                (_, Some(array)) => key.parse::<usize>().ok().and_then(|index| array.get(index)),
                _ => None,
            };
            let Some(found) = found else { return (span, false) };
            span = found.span();
            table = found.get_ref().as_table();
            array = found.get_ref().as_array().map(|array| array.as_ref());
        }
        (span, true)
    }
}
