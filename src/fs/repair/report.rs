//! What a repair did.

use std::fmt;

/// What was repaired, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairReport {
    /// One line for each thing that was done.
    pub done: Vec<String>,
    /// Who did it.
    pub by: &'static str,
}

impl fmt::Display for RepairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (by {})", self.done.join("; "), self.by)
    }
}
