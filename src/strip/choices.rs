//! The recipe's `[strip]` section: what stays that would go, what goes that would stay, and rules of one's own. Its words
//! are the names of the table, so that a new rule brings its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::Rule;

/// What is stripped, and what stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Strip {
    /// What stays.
    #[serde(default)]
    pub keep: Vec<Keep>,
    /// What goes too, although it stays otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Also>,
    /// More paths of the root file system that go: files, or directories with all that is in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// `true`: bytes between partitions are zeroed too. They are reported either way.
    #[serde(default)]
    pub gaps: bool,
    /// Rules of one's own, beside those of the table.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<OwnRule>,
}

impl Strip {
    /// What the recipe says of a rule, if anything: the first of its names that the recipe has, for its own name says more
    /// than its group's.
    pub fn choice(&self, rule: &Rule) -> Option<Choice> {
        rule.names.iter().find_map(|name| self.choice_of(name))
    }

    /// What the recipe says of a name, if anything.
    pub fn choice_of(&self, name: &str) -> Option<Choice> {
        if self.keep.iter().any(|keep| keep.0 == name) {
            return Some(Choice::Keep);
        }
        self.also.iter().any(|also| also.0 == name).then_some(Choice::Strip)
    }

    /// Whether the recipe says that what has this name stays.
    pub fn keeps(&self, name: &str) -> bool {
        self.choice_of(name) == Some(Choice::Keep)
    }

    /// Whether the recipe says that what has this name goes, although it would stay.
    pub fn strips(&self, name: &str) -> bool {
        self.choice_of(name) == Some(Choice::Strip)
    }

    /// A name that is both kept and stripped.
    pub fn contradiction(&self) -> Option<&'static str> {
        self.keep.iter().map(|keep| keep.0).find(|name| self.also.iter().any(|also| also.0 == *name))
    }
}

/// What a recipe says of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It stays, and that is meant.
    Keep,
    /// It goes, although it would stay.
    Strip,
}

/// A name in `keep`: of a rule, or of a group of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Keep(pub(super) &'static str);

/// A name in `also`: of a rule by which something stays, or of a group of such rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Also(pub(super) &'static str);

/// What happens to what a rule of one's own names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OwnFate {
    /// The file, or the directory with all that is in it, goes.
    Remove,
    /// What is in the directory goes; the directory stays.
    Clear,
    /// The file stays, and loses what it holds.
    Empty,
    /// It stays, and plan, manifest and audit name it.
    Name,
}

/// A rule of one's own: `[[strip.rule]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OwnRule {
    /// Where: `*` stands for any part of one name, `~/` for every home directory, `boot:/` for the boot partition.
    pub path: String,
    /// What it is, in a few words: plans and manifests show it.
    pub what: String,
    /// What happens to it.
    #[serde(default = "remove")]
    pub fate: OwnFate,
}

fn remove() -> OwnFate {
    OwnFate::Remove
}
