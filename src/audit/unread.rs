//! What the rules did not read whole: "nothing found" says nothing of it, so one rule says what it was.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Places of which a part was not read, and why.
#[derive(Default)]
pub struct Unread {
    places: RefCell<BTreeMap<Vec<u8>, String>>,
}

impl Unread {
    /// Notes that something at `place` was not read.
    pub fn note(&self, place: impl Into<Vec<u8>>, why: String) {
        let place = place.into();
        self.places.borrow_mut().entry(place).or_insert(why);
    }

    /// Everything that was noted so far.
    pub fn noted(&self) -> BTreeMap<Vec<u8>, String> {
        self.places.borrow().clone()
    }
}
