//! What was told of: the table has rules for one program and others that catch what is left, and a file is told of once, by
//! the first.

use std::collections::HashSet;

use super::place::Place;
use super::rule::{Look, Rule};
use crate::strip::{self, Counts};

/// The places that rules of the table told of.
#[derive(Default)]
pub struct Told {
    places: HashSet<Vec<u8>>,
}

impl Told {
    /// Whether a finding says anything new. What stands *in* a file is always news.
    pub fn is_news(&mut self, rule: &Rule, place: &Place) -> bool {
        let Look::Table(row) = rule.look else {
            // Written by hand in the place of a row.
            if strip::rules().any(|row| row.audited_as == rule.id) {
                self.places.insert(place.as_bytes().to_vec());
            }
            return true;
        };
        let by_place = matches!(row.counts, Counts::There | Counts::Filled);
        let place = place.as_bytes();
        let ends = (0..place.len()).filter(|&at| place.get(at) == Some(&b'/'));
        let mut above = ends.filter_map(|end| place.get(..end)).chain([place]);
        if by_place && above.any(|above| self.places.contains(above)) {
            return false;
        }
        self.places.insert(place.to_vec());
        true
    }
}
