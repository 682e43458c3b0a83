//! What was told of: the table has rules for one program and others that catch what is left, and a file is told of once, by
//! the first.

use std::collections::HashSet;

use super::rule::{Look, Rule};
use crate::strip::{self, Counts};

/// The places that rules of the table told of.
#[derive(Default)]
pub struct Told {
    places: HashSet<String>,
}

impl Told {
    /// Whether a finding says anything new. What stands *in* a file is always news.
    pub fn is_news(&mut self, rule: &Rule, place: &str) -> bool {
        let Look::Table(row) = rule.look else {
            // Written by hand in the place of a row.
            if strip::rules().any(|row| row.audited_as == rule.id) {
                self.places.insert(place.to_owned());
            }
            return true;
        };
        let by_place = matches!(row.counts, Counts::There | Counts::Filled);
        let mut above = place.match_indices('/').filter_map(|(at, _)| place.get(..at)).chain([place]);
        if by_place && above.any(|above| self.places.contains(above)) {
            return false;
        }
        self.places.insert(place.to_owned());
        true
    }
}
