//! Needles: byte strings that must be nowhere in the finished image. They are collected before anything is stripped,
//! searched for in the finished image, and forgotten; only their digests are kept.

mod collect;
mod extract;
mod grams;
mod search;

pub use collect::collect;
pub use search::{Hit, Search};

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::manifest::NeedleRecord;
use crate::digest::Sha256Digest;

/// Where a needle must not be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Nowhere: it is a secret or an identity, wherever it stands.
    Anywhere,
    /// Not in what is left of removed files. A file that stays may hold the same bytes (a log quotes a public text).
    Residue,
}

/// One byte string that must be gone. It has no `Debug`: what it holds is secret.
pub struct Needle {
    bytes: Zeroizing<Vec<u8>>,
    /// What it is, for people: "private key", "instance id", "sample of a removed file".
    pub kind: &'static str,
    /// The path that it was taken from.
    pub origin: String,
    /// Where it must not be.
    pub scope: Scope,
}

/// All needles of one image, each byte string once.
#[derive(Default)]
pub struct Needles {
    all: BTreeMap<Sha256Digest, Needle>,
}

impl Needles {
    /// Shorter strings would be found by chance.
    pub const SHORTEST: usize = 10;

    /// No image has more secrets than this; beyond it, something is wrong with the image and more would only cost time.
    const MOST: usize = 20_000;

    /// Adds one, unless it is too short, too plain to mean anything, or already there.
    pub fn add(&mut self, bytes: &[u8], kind: &'static str, origin: &str, scope: Scope) {
        if bytes.len() < Self::SHORTEST || !extract::is_telling(bytes) || self.all.len() >= Self::MOST {
            return;
        }
        let key = Sha256Digest::of(bytes);
        let needle = Needle { bytes: Zeroizing::new(bytes.to_vec()), kind, origin: origin.to_owned(), scope };
        // The stricter scope wins where a string was seen twice.
        match self.all.get_mut(&key) {
            Some(there) if there.scope > scope => *there = needle,
            Some(_) => {}
            None => {
                self.all.insert(key, needle);
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The needles, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = &Needle> {
        self.all.values()
    }

    /// What the manifest says of a search that found nothing.
    pub fn record(&self) -> NeedleRecord {
        let mut kinds = BTreeMap::new();
        for needle in self.iter() {
            *kinds.entry(needle.kind.to_owned()).or_insert(0) += 1;
        }
        NeedleRecord { searched: self.len() as u64, found: 0, kinds, digests: self.all.keys().copied().collect() }
    }
}
