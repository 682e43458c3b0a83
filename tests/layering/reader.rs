//! Reads the words of one file into the modules of the tree. It knows just as much Rust as that takes.

use super::source::{Import, Mention, Place, Tree};
use super::words::Word;

/// Keywords with the name of an item behind them.
const DEFINING: [&str; 7] = ["fn", "struct", "enum", "trait", "type", "const", "static"];

/// What an open bracket belongs to.
enum Scope {
    Module(Place),
    /// The names directly in here are variants, and mention nothing.
    Enum,
    Other,
}

pub struct Reader<'a> {
    words: &'a [Word],
    at: usize,
    file: &'a str,
    scopes: Vec<Scope>,
    /// Whether the next `{` opens an enum.
    enum_ahead: bool,
    tree: &'a mut Tree,
    /// The modules behind `#[cfg(test)] mod name;`.
    for_tests: &'a mut Vec<Place>,
}

impl<'a> Reader<'a> {
    pub fn new(words: &'a [Word], file: &'a str, tree: &'a mut Tree, for_tests: &'a mut Vec<Place>) -> Self {
        Reader { words, at: 0, file, scopes: Vec::new(), enum_ahead: false, tree, for_tests }
    }

    /// Reads the file as the module at `place`.
    pub fn read(mut self, place: Place) {
        self.open_module(place);
        while self.at < self.words.len() {
            self.step();
        }
    }

    /// The word `ahead` places further on; empty behind the end.
    fn peek(&self, ahead: usize) -> &'a str {
        self.words.get(self.at + ahead).map_or("", |word| &word.text)
    }

    fn is_name(&self, ahead: usize) -> bool {
        self.words.get(self.at + ahead).is_some_and(Word::is_name)
    }

    fn before(&self) -> &'a str {
        self.at.checked_sub(1).map_or("", |at| &self.words[at].text)
    }

    fn line(&self) -> usize {
        self.words.get(self.at).map_or(0, |word| word.line)
    }

    fn open_module(&mut self, place: Place) {
        // An inline module can be there twice, each time for another system.
        self.tree.entry(place.clone()).or_default().file = self.file.to_owned();
        self.scopes.push(Scope::Module(place));
    }

    /// The module that we are in.
    fn place(&self) -> Place {
        let innermost = self.scopes.iter().rev().find_map(|scope| match scope {
            Scope::Module(place) => Some(place.clone()),
            Scope::Enum | Scope::Other => None,
        });
        innermost.unwrap_or_default()
    }

    fn step(&mut self) {
        match self.peek(0) {
            "#" if self.is_for_tests() => self.skip_item(),
            "pub" => self.visibility(),
            "use" if self.peek(1) != "<" => self.import(false),
            "mod" if self.is_name(1) => self.module(),
            "{" => {
                self.scopes.push(if self.enum_ahead { Scope::Enum } else { Scope::Other });
                self.enum_ahead = false;
                self.at += 1;
            }
            "(" | "[" => {
                self.scopes.push(Scope::Other);
                self.at += 1;
            }
            "}" | ")" | "]" => {
                self.scopes.pop();
                self.at += 1;
            }
            word if self.is_definition(word) => self.definition(),
            _ if self.is_name(0) => self.mention(),
            _ => self.at += 1,
        }
    }

    /// `#[cfg(test)]`, or `#[cfg(all(test, …))]`.
    fn is_for_tests(&self) -> bool {
        let head: Vec<&str> = (1..6).map(|ahead| self.peek(ahead)).collect();
        head.starts_with(&["[", "cfg", "(", "test"]) || head == ["[", "cfg", "(", "all", "("] && self.peek(6) == "test"
    }

    /// Goes past an attribute and the item that it is for.
    fn skip_item(&mut self) {
        let (mut depth, mut is_use) = (0_usize, false);
        while self.at < self.words.len() {
            match self.peek(0) {
                "{" | "(" | "[" => depth += 1,
                // The end of what the item stands in: a field or a variant without a comma behind it.
                "}" | ")" | "]" if depth == 0 => return,
                "}" | ")" | "]" => depth -= 1,
                "use" if depth == 0 => is_use = true,
                "mod" if depth == 0 && self.peek(2) == ";" => self.for_tests.push(self.child(self.peek(1))),
                _ => {}
            }
            // The braces of a `use` are not its end.
            let ends = matches!(self.peek(0), ";") || self.peek(0) == "}" && !is_use;
            self.at += 1;
            if depth == 0 && ends {
                return;
            }
        }
    }

    fn child(&self, name: &str) -> Place {
        let mut place = self.place();
        place.push(name.to_owned());
        place
    }

    /// `pub`, `pub(crate)`, `pub(in crate::x)`: the path in there is not a use of anything.
    fn visibility(&mut self) {
        self.at += 1;
        if self.peek(0) == "(" && matches!(self.peek(1), "crate" | "super" | "self" | "in") {
            while self.peek(0) != ")" && self.at < self.words.len() {
                self.at += 1;
            }
            self.at += 1;
        }
        if self.peek(0) == "use" {
            self.import(true);
        }
    }

    fn module(&mut self) {
        let place = self.child(self.peek(1));
        if self.peek(2) == "{" {
            self.open_module(place);
        }
        self.at += 3;
    }

    /// `*const T` and `const fn` define nothing by this word.
    fn is_definition(&self, word: &str) -> bool {
        DEFINING.contains(&word)
            && self.before() != "*"
            && self.is_name(1)
            && !["fn", "unsafe", "async", "extern"].contains(&self.peek(1))
    }

    fn definition(&mut self) {
        self.enum_ahead |= self.peek(0) == "enum";
        // What stands in a body or in an `impl` cannot be imported.
        if let Some(Scope::Module(place)) = self.scopes.last() {
            let name = self.peek(1).to_owned();
            self.tree.entry(place.clone()).or_default().items.insert(name);
        }
        self.at += 2;
    }

    fn mention(&mut self) {
        let line = self.line();
        // A field, a method, or the rest of `<T as Trait>::Name`; but not the end of a range.
        let is_range = self.at > 1 && self.words[self.at - 2].text == ".";
        let is_part = self.before() == "::" || self.before() == "." && !is_range;
        let mut path = vec![self.peek(0).to_owned()];
        self.at += 1;
        while self.peek(0) == "::" && self.is_name(1) {
            path.push(self.peek(1).to_owned());
            self.at += 2;
        }
        let is_variant = matches!(self.scopes.last(), Some(Scope::Enum));
        // A lower-case name alone may be a variable or a field; with a bracket behind it, it is a function.
        let is_short = path.len() == 1 && !path[0].starts_with(char::is_uppercase) && self.peek(0) != "(";
        if !is_variant && !is_part && !is_short {
            let place = self.place();
            self.tree.entry(place).or_default().mentions.push(Mention { path, line });
        }
    }

    /// A whole `use …;`.
    fn import(&mut self, public: bool) {
        self.at += 1;
        let mut imports = Vec::new();
        self.use_tree(&[], public, &mut imports);
        // The `use` of a function's body counts for the whole module: names seldom mean two things in one file.
        let place = self.place();
        self.tree.entry(place).or_default().imports.extend(imports);
    }

    /// One branch of a `use`: `a::b`, `a::{…}`, `a::*`, `a as b`.
    fn use_tree(&mut self, stem: &[String], public: bool, imports: &mut Vec<Import>) {
        let (mut path, line) = (stem.to_vec(), self.line());
        while self.is_name(0) || self.peek(0) == "::" {
            if self.peek(0) == "as" {
                break;
            }
            // `a::{self}` is a.
            if self.is_name(0) && (path.is_empty() || self.peek(0) != "self") {
                path.push(self.peek(0).to_owned());
            }
            self.at += 1;
        }
        match self.peek(0) {
            "{" => self.use_group(&path, public, imports),
            "*" => {
                self.at += 1;
                imports.push(Import { path, name: "*".to_owned(), public, line });
            }
            "as" => {
                imports.push(Import { path, name: self.peek(1).to_owned(), public, line });
                self.at += 2;
            }
            _ => {
                let name = path.last().cloned().unwrap_or_default();
                imports.push(Import { path, name, public, line });
            }
        }
    }

    fn use_group(&mut self, stem: &[String], public: bool, imports: &mut Vec<Import>) {
        self.at += 1;
        while self.peek(0) != "}" && self.at < self.words.len() {
            if self.peek(0) == "," {
                self.at += 1;
            } else {
                self.use_tree(stem, public, imports);
            }
        }
        self.at += 1;
    }
}
