//! Which file uses what of which other file, and the circles in that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::names::items_of;
use super::source::{Place, Tree};

/// One file uses an item that another file defines.
pub struct Arrow {
    pub from: String,
    pub to: String,
    pub name: String,
    pub line: usize,
}

impl fmt::Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} uses {} of {}", self.from, self.line, self.name, self.to)
    }
}

/// All arrows between files, each with the first line where it is.
pub fn arrows(tree: &Tree) -> Vec<Arrow> {
    let mut first: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for (place, path, line) in uses(tree) {
        let from = &tree[place].file;
        for (target, name) in items_of(tree, place, path) {
            let to = &tree[&target].file;
            if to != from {
                let known = first.entry((from.clone(), to.clone(), name)).or_insert(line);
                *known = line.min(*known);
            }
        }
    }
    first.into_iter().map(|((from, to, name), line)| Arrow { from, to, name, line }).collect()
}

/// Every path that a file needs for itself. What it only passes on (`pub use`) makes it depend on nothing.
fn uses(tree: &Tree) -> impl Iterator<Item = (&Place, &[String], usize)> {
    tree.iter().flat_map(|(place, module)| {
        // `use module::*` takes those names that the code then mentions.
        let imports = module.imports.iter().filter(|import| !import.public && import.name != "*");
        let imports = imports.map(move |import| (place, import.path.as_slice(), import.line));
        imports.chain(module.mentions.iter().map(move |mention| (place, mention.path.as_slice(), mention.line)))
    })
}

/// The files that reach each other, in groups.
pub fn circles(arrows: &[Arrow]) -> Vec<BTreeSet<&str>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for arrow in arrows {
        next.entry(&arrow.from).or_default().insert(&arrow.to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|file| (*file, reach(&next, file))).collect();
    let mut circles = BTreeSet::new();
    for (file, there) in &reached {
        let circle: BTreeSet<&str> =
            there.iter().filter(|other| reached.get(*other).is_some_and(|back| back.contains(file))).copied().collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

/// What can be reached from a file by one arrow or more.
fn reach<'a>(next: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = vec![from];
    while let Some(file) = open.pop() {
        for to in next.get(file).into_iter().flatten() {
            if reached.insert(*to) {
                open.push(to);
            }
        }
    }
    reached
}

/// The circles of a crate in words: the files of each, and all arrows between them.
pub fn told_circles(tree: &Tree) -> Vec<String> {
    let arrows = arrows(tree);
    let tell = |circle: &BTreeSet<&str>| {
        let files: Vec<&str> = circle.iter().copied().collect();
        let inside = |arrow: &&Arrow| circle.contains(arrow.from.as_str()) && circle.contains(arrow.to.as_str());
        let lines: Vec<String> = arrows.iter().filter(inside).map(|arrow| format!("\n    {arrow}")).collect();
        format!("a circle of {} files: {}{}", files.len(), files.join(", "), lines.concat())
    };
    circles(&arrows).iter().map(tell).collect()
}
