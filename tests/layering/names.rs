//! Finds what a path means: the file that defines the item, behind all imports and re-exports.

use std::collections::BTreeSet;

use super::source::{Import, Place, Tree};

/// What a path can lead to.
enum Found {
    Module(Place),
    Item(Item),
}

/// An item: the module that defines it, and its name there.
pub type Item = (Place, String);

/// The items behind one path: a name can be a type here and a function there.
///
/// A path that leads to a module uses nothing yet: what is used is what the code then takes out of it.
pub fn items_of(tree: &Tree, from: &Place, path: &[String]) -> BTreeSet<Item> {
    let found = Names { tree, trail: Vec::new() }.resolve(from, path);
    let items = found.into_iter().filter_map(|found| match found {
        Found::Item(item) => Some(item),
        Found::Module(_) => None,
    });
    items.collect()
}

struct Names<'a> {
    tree: &'a Tree,
    /// The imports that we are just following: `pub use sweep::sweep` would ask for itself for ever.
    trail: Vec<*const Import>,
}

impl Names<'_> {
    fn resolve(&mut self, from: &Place, path: &[String]) -> Vec<Found> {
        let Some((first, rest)) = path.split_first() else { return Vec::new() };
        let mut found = match first.as_str() {
            "crate" => vec![Found::Module(Place::new())],
            "self" => vec![Found::Module(from.clone())],
            "super" => vec![Found::Module(parent(from))],
            _ => self.lookup(from, first),
        };
        for name in rest {
            // In front of `::`, a module goes before a function of the same name.
            if found.iter().any(|found| matches!(found, Found::Module(_))) {
                found.retain(|found| matches!(found, Found::Module(_)));
            }
            found = found.into_iter().flat_map(|found| self.step(found, name)).collect();
        }
        found
    }

    fn step(&mut self, found: Found, name: &str) -> Vec<Found> {
        let place = match found {
            Found::Module(place) => place,
            // A variant or an associated item is where its type is.
            Found::Item(item) => return vec![Found::Item(item)],
        };
        if name == "super" {
            return vec![Found::Module(parent(&place))];
        }
        let hits = self.lookup(&place, name);
        // A macro of that module makes what is not to be seen there.
        if hits.is_empty() { vec![Found::Item((place, name.to_owned()))] } else { hits }
    }

    /// What a name means in a module; nothing for names from other crates.
    fn lookup(&mut self, place: &Place, name: &str) -> Vec<Found> {
        let tree = self.tree;
        let Some(module) = tree.get(place) else { return Vec::new() };
        let mut found = Vec::new();
        if module.items.contains(name) {
            found.push(Found::Item((place.clone(), name.to_owned())));
        }
        let child: Place = place.iter().cloned().chain([name.to_owned()]).collect();
        if tree.contains_key(&child) {
            found.push(Found::Module(child));
        }
        for import in module.imports.iter().filter(|import| import.name == name) {
            found.extend(self.follow(place, import));
        }
        if found.is_empty() {
            for import in module.imports.iter().filter(|import| import.name == "*") {
                found.extend(self.look_through(place, import, name));
            }
        }
        found
    }

    fn follow(&mut self, place: &Place, import: &Import) -> Vec<Found> {
        if self.trail.contains(&std::ptr::from_ref(import)) {
            return Vec::new();
        }
        self.trail.push(import);
        let found = self.resolve(place, &import.path);
        self.trail.pop();
        found
    }

    /// A name that comes in by `use module::*`.
    fn look_through(&mut self, place: &Place, import: &Import, name: &str) -> Vec<Found> {
        let modules = self.follow(place, import);
        self.trail.push(import);
        let found = modules.iter().flat_map(|found| match found {
            Found::Module(module) => self.lookup(module, name),
            Found::Item(_) => Vec::new(),
        });
        let found = found.collect();
        self.trail.pop();
        found
    }
}

fn parent(place: &Place) -> Place {
    place.split_last().map(|(_, parent)| parent.to_vec()).unwrap_or_default()
}
