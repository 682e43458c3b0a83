//! All traces of one image, each once.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::super::manifest::TraceRecord;
use crate::digest::Sha256Digest;

/// Where a trace must not be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Nowhere: it is a secret or an identity, wherever it stands.
    Anywhere,
    /// Not in what is left of removed files. A file that stays may hold the same bytes (a log quotes a public text).
    Residue,
}

/// One byte string that must be gone. It has no `Debug`: what it holds is secret.
pub struct Trace {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// What it is, for people: "private key", "instance id", "sample of a removed file".
    pub kind: &'static str,
    /// The path that it was taken from.
    pub origin: String,
    /// Where it must not be.
    pub scope: Scope,
}

/// All traces of one image, each byte string once.
#[derive(Default)]
pub struct Traces {
    all: BTreeMap<Sha256Digest, Trace>,
    /// How often one was not taken, because there was no more room.
    left_out: usize,
}

impl Traces {
    /// Shorter strings would be found by chance.
    pub const SHORTEST: usize = 10;

    /// So many are kept: the manifest names each of them, and must stay a file that can be read. What is left out beyond
    /// counts, for an image of which not everything was searched is not proven.
    pub const MOST: usize = 500_000;

    /// Adds one, unless it is too short, too plain to mean anything, or already there.
    pub fn add(&mut self, bytes: &[u8], kind: &'static str, origin: &str, scope: Scope) {
        // Short or monotonous strings are found by chance, and would make a clean image fail.
        if bytes.len() < Self::SHORTEST || !is_telling(bytes) {
            return;
        }
        let key = Sha256Digest::of(bytes);
        let has_room = self.all.len() < Self::MOST;
        let trace = Trace { bytes: Zeroizing::new(bytes.to_vec()), kind, origin: origin.to_owned(), scope };
        // The stricter scope wins where a string was seen twice.
        match self.all.get_mut(&key) {
            Some(there) if there.scope > scope => *there = trace,
            Some(_) => {}
            None if !has_room => self.left_out = self.left_out.saturating_add(1),
            None => {
                self.all.insert(key, trace);
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// How many there were beyond [`Traces::MOST`]: nothing can be proven where there are any.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The traces, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = &Trace> {
        self.all.values()
    }

    /// What the manifest says of a search that found nothing.
    pub fn record(&self) -> TraceRecord {
        let mut kinds = BTreeMap::new();
        for trace in self.iter() {
            *kinds.entry(trace.kind.to_owned()).or_insert(0) += 1;
        }
        // None by construction: with a single hit there is no golden image, and so no record.
        TraceRecord { searched: self.len() as u64, found: 0, kinds, digests: self.all.keys().copied().collect() }
    }
}

/// Whether a byte string is distinctive enough to search for: runs of one letter and padding are not.
fn is_telling(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    for &b in bytes {
        if let Some(slot) = seen.get_mut(usize::from(b)) {
            *slot = true;
        }
    }
    // An id or a key of ten bytes has more than six different ones, padding has fewer.
    seen.iter().filter(|&&s| s).count() >= 6
}
