//! A recipe with everything in it that it does not say itself: what it extends, and the defaults; each value with the
//! file and line that it comes from (`recipe check --resolved`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::load::{RecipeError, load_with};
use super::loaded::LoadedRecipe;
use super::positions::ValueSpans;
use crate::printable::Printable;

/// One value of a recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its keys from the top, entries of lists counted from 0: `["file", "0", "path"]`.
    pub keys: Vec<String>,
    /// The value.
    pub value: Value,
    /// The file and the line, counted from 1; `None` for a default.
    pub from: Option<(PathBuf, usize)>,
}

/// A recipe and where its values come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The recipe.
    pub loaded: LoadedRecipe,
    /// Every value, sections behind values.
    pub settings: Vec<Setting>,
    table: Table,
}

/// Reads and checks the recipe at `path`, and finds out where each value comes from.
///
/// # Errors
/// As [`super::load`].
pub fn resolve(path: &Path) -> Result<Resolved, RecipeError> {
    load_with(path, |loaded, spans| {
        // A recipe is plain data: nothing in it cannot be a table.
        let table = Table::try_from(&loaded.recipe).unwrap_or_default();
        let mut settings = Vec::new();
        settings_of(&table, &mut Vec::new(), spans, &mut settings);
        Resolved { loaded, settings, table }
    })
}

fn settings_of(table: &Table, at: &mut Vec<String>, spans: &ValueSpans<'_, '_>, out: &mut Vec<Setting>) {
    for (key, value) in table.iter().filter(|(_, value)| !is_section(value)) {
        at.push(key.clone());
        let keys: Vec<&str> = at.iter().map(String::as_str).collect();
        let from = spans.exactly(&keys).map(|span| spans.texts.line(span));
        let from = from.map(|(path, line)| (path.to_owned(), line));
        out.push(Setting { keys: at.clone(), value: value.clone(), from });
        at.pop();
    }
    for (key, value) in table.iter().filter(|(_, value)| is_section(value)) {
        at.push(key.clone());
        match value {
            Value::Table(table) => settings_of(table, at, spans, out),
            Value::Array(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    at.push(index.to_string());
                    if let Value::Table(table) = entry {
                        settings_of(table, at, spans, out);
                    }
                    at.pop();
                }
            }
            _ => {}
        }
        at.pop();
    }
}

fn is_section(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(entries) => !entries.is_empty() && entries.iter().all(Value::is_table),
        _ => false,
    }
}

impl Resolved {
    /// As a recipe, with a comment behind each value that says where it comes from.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.section(&self.table, &mut Vec::new(), &mut out);
        out
    }

    fn section(&self, table: &Table, at: &mut Vec<String>, out: &mut String) {
        for (key, value) in table.iter().filter(|(_, value)| !is_section(value)) {
            at.push(key.clone());
            let setting = self.settings.iter().find(|setting| setting.keys == *at);
            let from = match setting.and_then(|setting| setting.from.as_ref()) {
                Some((path, line)) => format!("{}:{line}", shown(path)),
                None => "default".to_owned(),
            };
            let _ = writeln!(out, "{} = {value}  # {from}", bare(key));
            at.pop();
        }
        for (key, value) in table.iter().filter(|(_, value)| is_section(value)) {
            at.push(key.clone());
            let header = header(at);
            match value {
                Value::Table(table) => {
                    if table.iter().any(|(_, value)| !is_section(value)) {
                        let _ = writeln!(out, "\n[{header}]");
                    }
                    self.section(table, at, out);
                }
                Value::Array(entries) => {
                    for (index, table) in entries.iter().filter_map(Value::as_table).enumerate() {
                        let _ = writeln!(out, "\n[[{header}]]");
                        at.push(index.to_string());
                        self.section(table, at, out);
                        at.pop();
                    }
                }
                _ => {}
            }
            at.pop();
        }
    }
}

/// A section's name: the places in lists are not part of it.
fn header(keys: &[String]) -> String {
    let words = keys.iter().filter(|key| key.parse::<usize>().is_err());
    words.map(|key| bare(key)).collect::<Vec<_>>().join(".")
}

fn bare(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if is_bare { key.to_owned() } else { Value::String(key.to_owned()).to_string() }
}

/// A path inside a comment must not end the comment.
fn shown(path: &Path) -> String {
    Printable::path(path).to_string()
}
