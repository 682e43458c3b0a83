//! The architecture holds: rooms import only what `src/rooms.txt` lets them, and no files use each other in a circle.
//!
//! Code for tests alone (`#[cfg(test)]`) is exempt, and so are `lib.rs` and `main.rs`, which are no rooms.

mod files;
mod names;
mod reader;
mod rooms;
mod snippets;
mod source;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn the_crate() -> source::Tree {
    source::read(&source::files_under(&src(), "src"))
}

#[test]
fn rooms_import_only_what_the_table_lets_them() {
    let tree = the_crate();
    let table = fs::read_to_string(src().join("rooms.txt")).unwrap();
    let wrong = rooms::disagreements(&table, &tree);
    assert!(
        wrong.is_empty(),
        "{}\n\nThe table as src is, for the case that this is as it should be:\n\n{}",
        wrong.join("\n"),
        rooms::ready_table(&table, &tree)
    );
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let circles = files::told_circles(&the_crate());
    assert!(circles.is_empty(), "{} circles\n\n{}", circles.len(), circles.join("\n\n"));
}

/// What the audit may take from the strip room: facts, by name. Whatever decides by them, it writes itself.
const FACTS: [&str; 26] = [
    "Counts",
    "LOOKED_IN",
    "MOST",
    "FORMS",
    "Fate",
    "Form",
    "MADE_BY",
    "MARKS",
    "NAMED_IN",
    "OWN_RULE",
    "PAGES",
    "PLACEHOLDERS",
    "Rule",
    "SECRETS_IN_FILES",
    "SMALLEST",
    "Severity",
    "USUAL",
    "USUAL_NAMES",
    "find",
    "forms",
    "rules",
    "scope",
    "self",
    "swap",
    "strip",
    "Choice",
];

#[test]
fn the_audit_takes_facts_from_the_strip_room_and_no_code() {
    let mut wrong = Vec::new();
    for file in source::files_under(&src().join("audit"), "src/audit") {
        let (name, text) = (&file.0, &file.1);
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for rest in line.split("strip::").skip(1) {
                let words =
                    rest.split(|c: char| !(c.is_alphanumeric() || "_{}, :".contains(c))).next().unwrap_or_default();
                let first = match rest.strip_prefix('{') {
                    Some(_) => {
                        words.split(['{', '}', ',', ':', ' ']).filter(|word| !word.is_empty()).collect::<Vec<_>>()
                    }
                    None => words.split([':', ' ', ',', '{', '}']).filter(|word| !word.is_empty()).take(1).collect(),
                };
                for word in first.into_iter().filter(|word| !FACTS.contains(word)) {
                    wrong.push(format!("{name}:{}: {word}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "no fact, or one that is not listed above:\n{}", wrong.join("\n"));
}
