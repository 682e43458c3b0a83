//! The golden image read once for all cards of a batch: the pieces that were read last, shared.
//!
//! Each card asks for the pieces that it writes, in its own order and at its own pace. Cards that run in step find them
//! here, read by whichever came first; one that lags, or begins later, reads the golden image for itself. So no card
//! ever waits for another one, only for a read of the golden image that another one began. A card's own pieces (its
//! name, its activation's code) are never kept here.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::buffer::{Pool, Pooled};
use super::failure::Trouble;
use crate::image::{BlockMap, MappedRange};
use crate::units::{ByteRange, ByteSize};

/// How many pieces are kept besides those that cards hold: 24 MiB, a quarter of a second of one fast card, or of eight.
const KEPT: usize = 6;

/// A piece of an image in memory.
pub(super) type Piece = Arc<Pooled>;

/// What cards of one golden image share while they are written.
#[derive(Default)]
pub struct SharedPieces {
    golden: HashSet<MappedRange>,
    recent: Mutex<VecDeque<Entry>>,
    arrived: Condvar,
    pool: Arc<Pool>,
    /// How many pieces are kept.
    kept: usize,
}

struct Entry {
    which: MappedRange,
    /// `None` while it is being read.
    piece: Option<Piece>,
}

impl SharedPieces {
    /// Nothing yet of the golden image with this map.
    pub fn of(golden: &BlockMap) -> SharedPieces {
        SharedPieces { golden: golden.ranges().iter().copied().collect(), kept: KEPT, ..SharedPieces::default() }
    }

    /// As [`SharedPieces::of`], for so many cards at a time. For a single one nothing is kept: nobody else wants it, and
    /// memory that was just used is still in the processor's caches.
    pub fn for_cards(golden: &BlockMap, cards: usize) -> SharedPieces {
        SharedPieces { kept: if cards > 1 { KEPT } else { 0 }, ..SharedPieces::of(golden) }
    }

    /// How much memory the buffers of all its cards took at most at one time, in bytes.
    pub fn most_held(&self) -> ByteSize {
        ByteSize(self.pool.most_held())
    }

    /// Where buffers come from.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The piece that `which` names: another card's, or read with `load`, for others to find where they can use it.
    pub(super) fn get(
        &self,
        which: MappedRange,
        load: impl FnOnce(&mut [u8]) -> Result<(), Trouble>,
    ) -> Result<Piece, Trouble> {
        if !self.golden.contains(&which) {
            return self.load(which.range, load);
        }
        let mut recent = self.recent();
        loop {
            match recent.iter().find(|entry| entry.which == which) {
                Some(Entry { piece: Some(piece), .. }) => return Ok(piece.clone()),
                Some(Entry { piece: None, .. }) => {
                    recent = self.arrived.wait(recent).unwrap_or_else(PoisonError::into_inner);
                }
                None => break,
            }
        }
        recent.push_back(Entry { which, piece: None });
        drop(recent);
        let reading = Reading { all: self, which };
        let piece = self.load(which.range, load)?;
        let mut recent = self.recent();
        if let Some(entry) = recent.iter_mut().find(|entry| entry.which == which) {
            entry.piece = Some(piece.clone());
        }
        let read = |entry: &Entry| entry.piece.is_some();
        while recent.iter().filter(|entry| read(entry)).count() > self.kept {
            let oldest = recent.iter().position(read);
            oldest.and_then(|oldest| recent.remove(oldest));
        }
        drop(recent);
        drop(reading);
        Ok(piece)
    }

    /// A piece that is for one card only.
    pub(super) fn load(
        &self,
        range: ByteRange,
        load: impl FnOnce(&mut [u8]) -> Result<(), Trouble>,
    ) -> Result<Piece, Trouble> {
        let len = usize::try_from(range.len.0).map_err(std::io::Error::other)?;
        let mut buffer = self.pool.take(len);
        load(&mut buffer)?;
        Ok(Arc::new(buffer))
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A piece that is being read. However that ends, nobody goes on waiting for it: who does not find it then reads it
/// for itself, and has an error of its own.
struct Reading<'a> {
    all: &'a SharedPieces,
    which: MappedRange,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.all.recent().retain(|entry| entry.which != self.which || entry.piece.is_some());
        self.all.arrived.notify_all();
    }
}
