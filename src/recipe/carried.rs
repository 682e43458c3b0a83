//! The recipe inside a manifest: a stranger's text until it passed every rule that a recipe in a file has to pass.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::check::{self, Place};
use super::literal_secrets;
use super::load::LARGEST;
use super::loaded::LoadedRecipe;
use super::mistake::Mistake;
use super::positions::{RecipeTexts, ValueSpans};
use super::schema::Recipe;
use super::toml_errors;
use crate::digest::Sha256Digest;

/// A recipe and the one that it extends are two files, and a manifest writes every default out.
const LARGEST_CARRIED: u64 = 4 * LARGEST;

/// The mistakes of a recipe that was read from a manifest. Places in them count in the recipe as TOML. Only what went into
/// the golden image is not looked for: it is on the machine that made it.
pub(crate) fn mistakes_of_carried(recipe: &Recipe, manifest: &Path) -> Vec<Mistake> {
    let one = |what: String| {
        vec![Mistake::at(manifest, "", 0..0, what, "make the golden image again, with `cardsmith golden`")]
    };
    let text = match toml::Table::try_from(recipe) {
        Ok(table) => table.to_string(),
        Err(error) => return one(format!("it cannot be written as a recipe: {error}")),
    };
    // Rules look at each entry; a list of millions would keep them busy for hours.
    if text.len() as u64 > LARGEST_CARRIED {
        return one("it is larger than any recipe (over 4 MiB)".to_owned());
    }
    let texts = RecipeTexts::new(manifest, &text);
    let document = match DeTable::parse(&text) {
        Ok(document) => document,
        Err(error) => return vec![toml_errors::explain_syntax(&texts, 0, &error)],
    };
    let mut found = Vec::new();
    literal_secrets::report(document.get_ref(), &mut |span, what, help| found.push(texts.mistake(span, what, help)));
    // Secrets come first, as in a file: no later message may show one.
    if !found.is_empty() {
        return found;
    }
    let loaded = LoadedRecipe {
        recipe: recipe.clone(),
        path: manifest.to_owned(),
        dir: PathBuf::new(),
        digest: Sha256Digest::of(text.as_bytes()),
        base: None,
        outdated: Vec::new(),
    };
    let spans = ValueSpans { texts: &texts, document: &document, prefix: PathBuf::new() };
    check::check(&loaded, &spans, Place::Manifest)
}
