//! The words that `[strip] keep` and `also` may have: the names of the table.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::choices::{Also, Keep};
use super::finder::SECRETS_IN_FILES;
use super::rule::{Fate, Rule};
use super::subjects::rules;

impl Keep {
    /// Every name that `keep` may have, sorted.
    pub fn names() -> Vec<&'static str> {
        names(|rule| rule.fate != Fate::Wanted, &[SECRETS_IN_FILES])
    }

    /// The name, if there is one like it.
    pub fn named(name: &str) -> Option<Keep> {
        Keep::names().into_iter().find(|known| *known == name).map(Keep)
    }
}

impl Also {
    /// Every name that `also` may have, sorted.
    pub fn names() -> Vec<&'static str> {
        names(|rule| matches!(rule.fate, Fate::Stays | Fate::Named), &[])
    }

    /// The name, if there is one like it.
    pub fn named(name: &str) -> Option<Also> {
        Also::names().into_iter().find(|known| *known == name).map(Also)
    }
}

fn names(of: impl Fn(&Rule) -> bool, more: &[&'static str]) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = rules().filter(|rule| of(rule)).flat_map(|rule| rule.names).copied().collect();
    names.extend(more);
    names.sort_unstable();
    names.dedup();
    names
}

/// Takes a name of the table out of a recipe. It is a visitor, so that the reader of the recipe knows where a wrong one is.
struct Known(Vec<&'static str>);

impl Visitor<'_> for Known {
    type Value = &'static str;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a name of what is stripped")
    }

    fn visit_str<E: de::Error>(self, said: &str) -> Result<&'static str, E> {
        self.0.iter().find(|name| **name == said).copied().ok_or_else(|| {
            let known: Vec<String> = self.0.iter().map(|name| format!("`{name}`")).collect();
            // It goes without being asked for.
            if Keep::named(said).is_some() {
                return E::custom(format!("`{said}` goes by itself, and has no place in `also`; only `keep` knows it"));
            }
            E::custom(format!("unknown variant `{said}`, expected one of {}", known.join(", ")))
        })
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Keep, D::Error> {
        deserializer.deserialize_str(Known(Keep::names())).map(Keep)
    }
}

impl<'de> Deserialize<'de> for Also {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Also, D::Error> {
        deserializer.deserialize_str(Known(Also::names())).map(Also)
    }
}

impl JsonSchema for Keep {
    fn schema_name() -> Cow<'static, str> {
        "Keep".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": Keep::names(), "description": "What stays although it would go, or \
            is meant to stay." })
    }
}

impl JsonSchema for Also {
    fn schema_name() -> Cow<'static, str> {
        "Also".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": Also::names(), "description": "What goes although it would stay." })
    }
}
