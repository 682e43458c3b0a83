//! What rows of the strip table found, remembered: each row is a rule, and the finder by content leaves out what rows name.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::place::Place;

/// Places, and what there is to say of each.
pub type Told = Rc<[(Place, String)]>;

/// What was found, by the row's id.
#[derive(Default)]
pub struct TellingRows(RefCell<HashMap<&'static str, Told>>);

impl TellingRows {
    /// What this row found, if it looked.
    pub fn get(&self, row: &str) -> Option<Told> {
        self.0.borrow().get(row).cloned()
    }

    /// Remembers what this row found.
    pub fn insert(&self, row: &'static str, told: Told) {
        self.0.borrow_mut().insert(row, told);
    }
}
