//! Keys that had another name once. They are read all the same, so that a recipe in git and a golden image on a server
//! go on working, and whoever loads such a recipe is told what to write instead.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::Mistake;
use super::positions::RecipeTexts;
use super::schema::Recipe;

/// `[card] blank` was taken for "make the card blank", and its `leave` for "leave it blank".
const OLD: &str = "blank";
const NEW: &str = "unused-space";
const OLD_VALUE: &str = "leave";
const NEW_VALUE: &str = "keep";

/// Gives the keys of one file their names of today. Answers what its writer should change.
///
/// Each file by itself, before it is joined with the one that it extends: a base that says `blank` and a recipe that
/// says `unused-space` do not contradict each other, the later one wins as ever.
///
/// # Errors
/// A mistake where one file says the same thing under both names.
pub(super) fn rename_old_keys(table: &mut DeTable<'_>, texts: &RecipeTexts<'_>) -> Result<Vec<Mistake>, Mistake> {
    let Some(card) = table.get_mut("card") else { return Ok(Vec::new()) };
    // Something else than a table is told of by whoever reads the shape.
    let DeValue::Table(card) = card.get_mut() else { return Ok(Vec::new()) };
    let Some((key, mut value)) = card.remove_entry(OLD) else { return Ok(Vec::new()) };
    if card.contains_key(NEW) {
        let what = format!("`{OLD}` is the old name of `{NEW}`, and both are here");
        return Err(texts.mistake(key.span(), what, format!("take `{OLD}` out")));
    }
    if let DeValue::String(text) = value.get_mut()
        && text == OLD_VALUE
    {
        *text = NEW_VALUE.into();
    }
    let what = format!("`[card] {OLD}` is called `{NEW}` now");
    let help = match value.get_ref().as_str() {
        Some(text) => format!("write `{NEW} = {}`", toml::Value::from(text)),
        None => format!("write `{NEW}`"),
    };
    let note = texts.mistake(key.span(), what, help);
    card.insert(Spanned::new(key.span(), NEW.into()), value);
    Ok(vec![note])
}

/// The recipe inside a manifest, which an older cardsmith may have written. Nobody is told: a manifest is not edited.
///
/// # Errors
/// What is wrong with its shape.
pub(crate) fn recipe_of_manifest<'de, D: Deserializer<'de>>(source: D) -> Result<Recipe, D::Error> {
    let mut recipe = serde_json::Value::deserialize(source)?;
    let card = recipe.get_mut("card").and_then(serde_json::Value::as_object_mut);
    // One with both names was written by no cardsmith: it stays as it is, and is refused for the key that is unknown.
    if let Some(card) = card.filter(|card| !card.contains_key(NEW))
        && let Some(value) = card.remove(OLD)
    {
        let value = if value == OLD_VALUE { NEW_VALUE.into() } else { value };
        card.insert(NEW.to_owned(), value);
    }
    Recipe::deserialize(recipe).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::schema::UnusedSpace;

    #[test]
    fn a_recipe_in_an_older_manifest_is_read_and_one_with_both_names_is_not() {
        let read = |card: &str| {
            let text = format!(r#"{{"name":"kiosk","image":{{"source":"base.img"}},"card":{card}}}"#);
            recipe_of_manifest(&mut serde_json::Deserializer::from_str(&text)).map(|recipe| recipe.card.unused_space)
        };
        assert_eq!(read(r#"{"name":"x","blank":"leave"}"#).unwrap(), UnusedSpace::Keep);
        assert_eq!(read(r#"{"name":"x","blank":"zero"}"#).unwrap(), UnusedSpace::Zero);
        assert_eq!(read(r#"{"name":"x","unused-space":"keep"}"#).unwrap(), UnusedSpace::Keep);
        assert!(read(r#"{"name":"x","unused-space":"keep","blank":"zero"}"#).is_err());
        assert!(read(r#"{"name":"x","unused-space":"leave"}"#).is_err());
    }
}
