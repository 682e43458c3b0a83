//! `extends = "base.toml"`: one recipe on top of another. Later wins; lists of things with a name are joined by the name;
//! what only makes sense together is replaced together; paths go on counting from the file that says them.

use std::collections::VecDeque;
use std::path::{Component, Path};

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Lists whose entries have a name, and what names them.
const NAMED_LISTS: [(&str, &[&str]); 3] =
    [("file", &["volume", "path"]), ("unit", &["name"]), ("network.interface", &["name"])];

/// Sections that are another thing as soon as this key is given anew: the digest of the base's image says nothing of
/// the own one, and the role of activations from AWS means nothing for those from a file.
const WHOLE: [(&str, &str); 3] = [("image", "source"), ("agent", "package"), ("activation", "from")];

/// Values that are paths beside the recipe, `[]` for every entry of a list, and whether they may leave its directory
/// with `..`: what goes into the image may not.
const PATHS: [(&str, bool); 5] = [
    ("image.source", true),
    ("activation.path", true),
    ("agent.package", false),
    ("user.authorized-keys", false),
    ("file[].source", false),
];

/// The names of the kinds of reference to a secret.
pub(super) const REFERENCES: [&str; 3] = ["env", "file", "ssm-parameter"];

/// The same table as if its text began at `start`.
pub(super) fn moved<'i>(table: DeTable<'i>, start: usize) -> DeTable<'i> {
    let by = |span: std::ops::Range<usize>| span.start.saturating_add(start)..span.end.saturating_add(start);
    table
        .into_iter()
        .map(|(key, value)| (Spanned::new(by(key.span()), key.into_inner()), moved_value(value, start)))
        .collect()
}

fn moved_value<'i>(value: Spanned<DeValue<'i>>, start: usize) -> Spanned<DeValue<'i>> {
    let span = value.span();
    let inner = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(moved(table, start)),
        DeValue::Array(array) => DeValue::Array(array.into_iter().map(|item| moved_value(item, start)).collect()),
        other => other,
    };
    Spanned::new(span.start.saturating_add(start)..span.end.saturating_add(start), inner)
}

/// `own` on top of `base`.
pub(super) fn merged<'i>(base: DeTable<'i>, own: DeTable<'i>) -> DeTable<'i> {
    merge(base, own, "")
}

fn merge<'i>(mut base: DeTable<'i>, own: DeTable<'i>, at: &str) -> DeTable<'i> {
    for (key, value) in own {
        let path = if at.is_empty() { key.get_ref().to_string() } else { format!("{at}.{}", key.get_ref()) };
        let value = match base.remove_entry(key.get_ref().as_ref()) {
            Some((_, old)) => combined(old, value, &path),
            None => value,
        };
        base.insert(key, value);
    }
    base
}

fn combined<'i>(old: Spanned<DeValue<'i>>, new: Spanned<DeValue<'i>>, path: &str) -> Spanned<DeValue<'i>> {
    let span = new.span();
    let value = match (old.into_inner(), new.into_inner()) {
        (DeValue::Table(old), DeValue::Table(new)) if !is_another(&old, &new, path) => {
            DeValue::Table(merge(old, new, path))
        }
        (DeValue::Array(old), DeValue::Array(new)) => match NAMED_LISTS.iter().find(|(list, _)| *list == path) {
            Some((_, keys)) => DeValue::Array(joined(old, new, keys)),
            None => DeValue::Array(new),
        },
        (_, new) => new,
    };
    Spanned::new(span, value)
}

fn is_another(old: &DeTable<'_>, new: &DeTable<'_>, path: &str) -> bool {
    let text = |table: &DeTable<'_>, key: &str| table.get(key).and_then(|v| v.get_ref().as_str()).map(str::to_owned);
    let is_reference = !new.is_empty() && new.keys().all(|key| REFERENCES.contains(&key.get_ref().as_ref()));
    let whole = WHOLE.iter().find(|(section, _)| *section == path);
    (is_reference && path.contains('.'))
        || whole.is_some_and(|(_, key)| new.contains_key(*key) && text(old, key) != text(new, key))
}

/// The base's list, with the own entries of the same name in place of the base's, and the others behind.
fn joined<'i>(old: DeArray<'i>, new: DeArray<'i>, keys: &[&str]) -> DeArray<'i> {
    let name = |entry: &Spanned<DeValue<'_>>| -> Option<Vec<String>> {
        let table = entry.get_ref().as_table()?;
        let part = |key: &&str| table.get(*key).and_then(|v| v.get_ref().as_str()).unwrap_or_default().to_owned();
        let parts: Vec<String> = keys.iter().map(part).collect();
        // Where nothing is said of the volume it is the root file system.
        Some(parts.into_iter().map(|part| if part == "root" { String::new() } else { part }).collect())
    };
    let mut new: VecDeque<_> = new.into_iter().collect();
    let mut all: Vec<Spanned<DeValue<'i>>> = Vec::new();
    for entry in old {
        let wanted = name(&entry);
        let same = new.iter().position(|own| wanted.is_some() && name(own) == wanted);
        all.push(same.and_then(|index| new.remove(index)).unwrap_or(entry));
    }
    all.extend(new);
    all.into_iter().collect()
}

/// Lets the paths of a base recipe in the directory `prefix` count from where the recipe is that extends it. Calls
/// `outside` for each path that leaves the base's own directory with `..`.
pub(super) fn rebase(table: &mut DeTable<'_>, prefix: &Path, outside: &mut dyn FnMut(std::ops::Range<usize>)) {
    for (path, may_leave) in PATHS {
        let keys: Vec<&str> = path.split('.').collect();
        let fine: &mut dyn FnMut(std::ops::Range<usize>) = &mut |_| {};
        rebase_at(table, &keys, prefix, if may_leave { fine } else { outside });
    }
    rebase_references(table, prefix, outside, true);
}

fn rebase_at(table: &mut DeTable<'_>, keys: &[&str], prefix: &Path, outside: &mut dyn FnMut(std::ops::Range<usize>)) {
    let Some((key, rest)) = keys.split_first() else { return };
    let Some(value) = table.get_mut(key.trim_end_matches("[]")) else { return };
    if rest.is_empty() {
        return rebase_value(value, prefix, outside);
    }
    match value.get_mut() {
        DeValue::Table(table) => rebase_at(table, rest, prefix, outside),
        DeValue::Array(array) if key.ends_with("[]") => {
            for entry in array.iter_mut() {
                if let DeValue::Table(table) = entry.get_mut() {
                    rebase_at(table, rest, prefix, outside);
                }
            }
        }
        _ => {}
    }
}

/// Every `{ file = "…" }`, wherever a secret may be named.
fn rebase_references(
    table: &mut DeTable<'_>,
    prefix: &Path,
    outside: &mut dyn FnMut(std::ops::Range<usize>),
    top: bool,
) {
    if !top && table.len() == 1 && table.get("file").is_some_and(|value| value.get_ref().is_str()) {
        if let Some(value) = table.get_mut("file") {
            rebase_value(value, prefix, outside);
        }
        return;
    }
    for (_, value) in table.iter_mut() {
        if let DeValue::Table(table) = value.get_mut() {
            rebase_references(table, prefix, outside, false);
        }
    }
}

fn rebase_value(value: &mut Spanned<DeValue<'_>>, prefix: &Path, outside: &mut dyn FnMut(std::ops::Range<usize>)) {
    let span = value.span();
    let DeValue::String(text) = value.get_mut() else { return };
    if text.is_empty() || text.contains("://") {
        return;
    }
    if Path::new(text.as_ref()).components().any(|component| component == Component::ParentDir) {
        outside(span);
    }
    if let Some(joined) = prefix.join(text.as_ref()).to_str() {
        *text = joined.to_owned().into();
    }
}
