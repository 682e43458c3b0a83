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
