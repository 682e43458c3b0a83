//! What a rule of the table is. It holds facts and no code: the steps, the search for traces, the audit, `inspect`, the
//! recipe's words and the documentation each make of it what they need.

use serde::Serialize;

use crate::prepare::Class;

/// What happens to what a rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The file, or the directory with all that is in it, goes.
    Removed,
    /// What is in the directory goes; the directory stays with its mode and owner.
    Cleared,
    /// The file stays with its mode and owner, and loses what it holds.
    Emptied,
    /// A part of it goes: the code beside the rule says which.
    Part,
    /// It stays and is named, until the recipe says whether it goes (`also`) or is meant (`keep`).
    Stays,
    /// It stays and is named: settings among which something stands that is not for every card. A person takes it out, or
    /// the recipe says that it is meant (`keep`).
    Named,
    /// It belongs to the image. In the table so that nobody has to wonder.
    Wanted,
}

impl Fate {
    /// For a table: what happens, in a word or two.
    pub fn words(self) -> &'static str {
        match self {
            Fate::Removed => "goes",
            Fate::Cleared => "is cleared",
            Fate::Emptied => "loses its content",
            Fate::Part => "partly",
            Fate::Stays => "stays, and is named; goes with `also`",
            Fate::Named => "stays, and is named",
            Fate::Wanted => "stays",
        }
    }
}

/// How serious it is to find something on an image that cards are made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; does not make an image dirty.
    Note,
    /// Should not be on an image that many cards are made from.
    Warning,
    /// Cards made from it would share an identity or a secret, would not come up, or anybody could become root.
    Error,
}

/// When what is at a place counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// A file that holds something, or a directory with such a file in it.
    Filled,
    /// Whatever is there, also an empty file or a symlink that leads nowhere.
    There,
    /// A file whose text one of these regular expressions (of `regex-lite`) finds something in. Without regard to case,
    /// and `^` and `$` mean lines.
    Text(&'static [&'static str]),
    /// A file whose text holds the machine's name (`/etc/hostname`) as a word, outside comments; unless it is one of
    /// [`USUAL_NAMES`].
    HostName,
}

/// Names that systems come with: whoever has one of them has no name.
pub const USUAL_NAMES: [&str; 4] = ["raspberrypi", "localhost", "debian", "ubuntu"];

/// What an example of a rule is, for the test that goes through the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Example {
    /// A file with this content, at every place of the rule.
    File(&'static [u8]),
    /// A file in the directory that the rule names: its path below it, and its content.
    Inside(&'static str, &'static [u8]),
    /// A symlink to this target.
    Link(&'static str),
}

/// One rule: everything that is known of one thing that an image may carry from its life.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Stable: scripts and recipes name it, and so does the audit.
    pub id: &'static str,
    /// What it is and what it does on many cards, as a fragment for a person.
    pub what: &'static str,
    /// What sort of thing it is.
    pub class: Class,
    /// Where, as [patterns](crate::prepare::pattern).
    pub places: &'static [&'static str],
    /// When it counts.
    pub counts: Counts,
    /// What happens to it.
    pub fate: Fate,
    /// How serious the audit finds it; `None` where it is right, or where a rule that is written by hand says more.
    pub severity: Option<Severity>,
    /// The id under which the audit tells of it: its own, or that of the rule that is written by hand.
    pub audited_as: &'static str,
    /// The code beside the rule does what the fate says: a step does not do it by itself.
    pub by_code: bool,
    /// Its names in `[strip] keep` and `also`: its own, then those of groups.
    pub names: &'static [&'static str],
    /// How it comes back on a new card.
    pub back: &'static str,
    /// Where the facts come from.
    pub source: &'static str,
    /// What it may look like.
    pub example: Example,
}

impl Rule {
    /// Whether `name` in `keep` or `also` means this rule.
    pub fn is_named(&self, name: &str) -> bool {
        self.names.contains(&name)
    }
}

/// A rule that has no example yet, and so is none.
pub struct Draft(Rule);

/// Begins a rule. Only [`Draft::example`] and its siblings make it one, so that no rule is without.
pub const fn rule(id: &'static str, what: &'static str, class: Class) -> Draft {
    Draft(Rule {
        id,
        what,
        class,
        places: &[],
        counts: Counts::Filled,
        fate: Fate::Wanted,
        severity: None,
        audited_as: id,
        by_code: false,
        names: &[],
        back: "",
        source: "",
        example: Example::Link(""),
    })
}

impl Draft {
    /// Where it is.
    pub const fn at(self, places: &'static [&'static str]) -> Draft {
        Draft(Rule { places, ..self.0 })
    }

    /// Counts whatever is there, also an empty file or a link.
    pub const fn there(self) -> Draft {
        Draft(Rule { counts: Counts::There, ..self.0 })
    }

    /// Counts only where one of these expressions finds something in the text.
    pub const fn with_text(self, expressions: &'static [&'static str]) -> Draft {
        Draft(Rule { counts: Counts::Text(expressions), ..self.0 })
    }

    const fn fated(self, fate: Fate, severity: Option<Severity>) -> Draft {
        Draft(Rule { fate, severity, ..self.0 })
    }

    /// [`Fate::Removed`].
    pub const fn removed(self, severity: Severity) -> Draft {
        self.fated(Fate::Removed, Some(severity))
    }

    /// [`Fate::Cleared`].
    pub const fn cleared(self, severity: Severity) -> Draft {
        self.fated(Fate::Cleared, Some(severity))
    }

    /// [`Fate::Emptied`].
    pub const fn emptied(self, severity: Severity) -> Draft {
        self.fated(Fate::Emptied, Some(severity))
    }

    /// [`Fate::Part`].
    pub const fn part(self, severity: Severity) -> Draft {
        self.fated(Fate::Part, Some(severity)).by_code()
    }

    /// The code beside the rule does what its fate says.
    pub const fn by_code(self) -> Draft {
        Draft(Rule { by_code: true, ..self.0 })
    }

    /// [`Fate::Stays`].
    pub const fn stays(self, severity: Severity) -> Draft {
        self.fated(Fate::Stays, Some(severity))
    }

    /// [`Fate::Named`].
    pub const fn named_only(self) -> Draft {
        self.fated(Fate::Named, Some(Severity::Warning))
    }

    /// Counts where a text holds the machine's name: worth knowing, for cards get names of their own.
    pub const fn with_host_name(self) -> Draft {
        Draft(Rule { counts: Counts::HostName, ..self.fated(Fate::Named, Some(Severity::Note)).0 })
    }

    /// [`Fate::Wanted`].
    pub const fn wanted(self) -> Draft {
        self.fated(Fate::Wanted, None)
    }

    /// The audit tells of it by a rule that is written by hand, which sees more than a place.
    pub const fn audited_as(self, id: &'static str) -> Draft {
        Draft(Rule { severity: None, audited_as: id, ..self.0 })
    }

    /// Its names in `[strip] keep` and `also`.
    pub const fn named(self, names: &'static [&'static str]) -> Draft {
        Draft(Rule { names, ..self.0 })
    }

    /// How it comes back on a new card.
    pub const fn back(self, back: &'static str) -> Draft {
        Draft(Rule { back, ..self.0 })
    }

    /// Where the facts come from.
    pub const fn source(self, source: &'static str) -> Draft {
        Draft(Rule { source, ..self.0 })
    }

    /// A file that it may be.
    pub const fn example(self, content: &'static str) -> Rule {
        Rule { example: Example::File(content.as_bytes()), ..self.0 }
    }

    /// A file that it may be, which is no text.
    pub const fn example_bytes(self, content: &'static [u8]) -> Rule {
        Rule { example: Example::File(content), ..self.0 }
    }

    /// A file in the directory that it is.
    pub const fn example_in(self, below: &'static str, content: &'static str) -> Rule {
        Rule { example: Example::Inside(below, content.as_bytes()), ..self.0 }
    }

    /// A symlink that it may be.
    pub const fn example_link(self, target: &'static str) -> Rule {
        Rule { example: Example::Link(target), ..self.0 }
    }
}
