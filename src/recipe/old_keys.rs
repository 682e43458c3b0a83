//! Keys that had another name in an earlier version: still understood, with a warning that says the new one.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::Mistake;
use super::texts::Texts;

/// A section, the old name of one of its keys, and the name of today.
const OLD_KEYS: [(&str, &str, &str); 1] = [("card", "blank", "unused-space")];

/// Gives old keys of `document` their names of today, and tells `warnings` of each.
///
/// Before recipes are merged: a base that still has the old name and a recipe with the new one mean the same setting.
///
/// # Errors
/// A setting under both names: which of the two is meant cannot be told.
pub(super) fn rename(
    document: &mut DeTable<'_>,
    texts: &Texts<'_>,
    warnings: &mut Vec<Mistake>,
) -> Result<(), Mistake> {
    for (section, old, new) in OLD_KEYS {
        let Some(DeValue::Table(table)) = document.get_mut(section).map(Spanned::get_mut) else { continue };
        let Some((key, value)) = table.remove_entry(old) else { continue };
        let what = format!("`{old}` is called `{new}` now");
        let help = format!("write `{new} = …` in [{section}]");
        if table.contains_key(new) {
            let what = format!("`{old}` is the old name of `{new}`, and both are here");
            return Err(texts.mistake(key.span(), what, format!("take `{old}` out")));
        }
        warnings.push(texts.mistake(key.span(), what, help));
        table.insert(Spanned::new(key.span(), new.into()), value);
    }
    Ok(())
}
