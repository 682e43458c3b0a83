//! Where a finding is.

use std::fmt;

use crate::printable::Printable;

/// A path of the image (`/etc/…`, `boot:/…`), or a region in words. Names are bytes: two places that look alike on a
/// screen need not be one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place(Vec<u8>);

impl Place {
    /// As it is compared.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable::of(&self.0).fmt(f)
    }
}

impl From<&str> for Place {
    fn from(text: &str) -> Place {
        Place(text.as_bytes().to_vec())
    }
}

impl From<String> for Place {
    fn from(text: String) -> Place {
        Place(text.into_bytes())
    }
}

impl From<&[u8]> for Place {
    fn from(path: &[u8]) -> Place {
        Place(path.to_vec())
    }
}

impl From<Vec<u8>> for Place {
    fn from(path: Vec<u8>) -> Place {
        Place(path)
    }
}
