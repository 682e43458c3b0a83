//! What each module of the crate defines, imports and mentions. Code for tests alone is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::reader::Reader;
use super::words::words;

/// A module's place under the crate's root: `["image", "bytes"]`.
pub type Place = Vec<String>;

/// All modules of a crate, inline ones too.
pub type Tree = BTreeMap<Place, Module>;

/// A source file: its path as messages show it, and its text.
pub type File = (String, String);

#[derive(Default)]
pub struct Module {
    pub file: String,
    pub items: BTreeSet<String>,
    pub imports: Vec<Import>,
    pub mentions: Vec<Mention>,
}

/// One name that a `use` brings in.
pub struct Import {
    pub path: Vec<String>,
    /// The name in this module; `*` for everything.
    pub name: String,
    /// Whether it is passed on: `pub use`, `pub(crate) use`.
    pub public: bool,
    pub line: usize,
}

/// A path in code.
pub struct Mention {
    pub path: Vec<String>,
    pub line: usize,
}

/// Every .rs file of a folder and below it, in order.
pub fn files_under(folder: &Path, shown: &str) -> Vec<File> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let shown = format!("{shown}/{}", path.file_name().unwrap().display());
        if path.is_dir() {
            files.extend(files_under(&path, &shown));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push((shown, fs::read_to_string(&path).unwrap()));
        }
    }
    files.sort();
    files
}

/// Reads all files of a crate. `main.rs` is another crate's root, and nobody can import from it.
pub fn read(files: &[File]) -> Tree {
    let mut tree = Tree::from([(Place::new(), Module::default())]);
    let mut for_tests = Vec::new();
    for (file, text) in files.iter().filter(|(file, _)| file != "src/main.rs") {
        let words = words(text);
        Reader::new(&words, file, &mut tree, &mut for_tests).read(place_of(file));
    }
    tree.retain(|place, _| !for_tests.iter().any(|test: &Place| place.starts_with(test)));
    tree
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are the module a::b.
fn place_of(file: &str) -> Place {
    let bare = file.trim_start_matches("src/").trim_end_matches(".rs");
    let bare = if bare == "lib" { "" } else { bare.trim_end_matches("/mod") };
    bare.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
