//! Directories that were read, remembered: hundreds of rules ask for thousands of paths, most of which are not there, and the
//! reader checks a directory's sum each time that it is gone through.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::path_stat::PathStat;

/// Names and what is there, sorted by name.
pub type Listing = Rc<[(Vec<u8>, PathStat)]>;

/// So many names are remembered, which is some 100 MB; what is beyond is read again each time.
const MOST: usize = 1_000_000;

/// The directories that were read.
#[derive(Default)]
pub struct Listings {
    known: RefCell<HashMap<Vec<u8>, Listing>>,
    names: Cell<usize>,
}

impl Listings {
    /// What was read of a directory, if it was.
    pub fn get(&self, directory: &[u8]) -> Option<Listing> {
        self.known.borrow().get(directory).cloned()
    }

    /// Remembers it, while there is room.
    pub fn insert(&self, directory: &[u8], listing: &Listing) {
        // An empty one takes room, too.
        self.names.set(self.names.get().saturating_add(listing.len() + 1));
        if self.names.get() <= MOST {
            self.known.borrow_mut().insert(directory.to_vec(), listing.clone());
        }
    }
}
