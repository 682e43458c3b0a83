//! The golden image read once for all cards of a batch: the chunks that were read last, shared.
//!
//! Each card asks for the chunks that it writes, in its own order and at its own pace. Cards that run in step find them
//! here, read by whichever came first; one that lags, or begins later, reads the golden image for itself. So no card
//! ever waits for another one, only for a read of the golden image that another one began. A card's own chunks (its
//! name, its activation's code) are never kept here.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::buffer::{Pool, Pooled};
use super::failure::CardError;
use crate::image::{BlockMap, MappedRange};
use crate::units::{ByteRange, ByteSize};

/// How many chunks are kept besides those that cards hold: 24 MiB, a quarter of a second of one fast card, or of eight.
const KEPT: usize = 6;

/// A chunk of an image in memory.
pub(super) type ChunkBytes = Arc<Pooled>;

/// What cards of one golden image share while they are written.
#[derive(Default)]
pub struct ChunkCache {
    golden: HashSet<MappedRange>,
    recent: Mutex<VecDeque<Entry>>,
    arrived: Condvar,
    pool: Arc<Pool>,
    /// How many chunks are kept.
    kept: usize,
}

struct Entry {
    which: MappedRange,
    /// `None` while it is being read.
    chunk: Option<ChunkBytes>,
}

impl ChunkCache {
    /// Nothing yet of the golden image with this map.
    pub fn of(golden: &BlockMap) -> ChunkCache {
        ChunkCache { golden: golden.ranges().iter().copied().collect(), kept: KEPT, ..ChunkCache::default() }
    }

    /// As [`ChunkCache::of`], for so many cards at a time. For a single one nothing is kept: nobody else wants it, and
    /// memory that was just used is still in the processor's caches.
    pub fn for_cards(golden: &BlockMap, cards: usize) -> ChunkCache {
        ChunkCache { kept: if cards > 1 { KEPT } else { 0 }, ..ChunkCache::of(golden) }
    }

    /// How much memory the buffers of all its cards took at most at one time, in bytes.
    pub fn most_held(&self) -> ByteSize {
        ByteSize(self.pool.most_held())
    }

    /// Where buffers come from.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The chunk that `which` names: another card's, or read with `load`, for others to find where they can use it.
    pub(super) fn get(
        &self,
        which: MappedRange,
        load: impl FnOnce(&mut [u8]) -> Result<(), CardError>,
    ) -> Result<ChunkBytes, CardError> {
        if !self.golden.contains(&which) {
            return self.load(which.range, load);
        }
        let mut recent = self.recent();
        loop {
            match recent.iter().find(|entry| entry.which == which) {
                Some(Entry { chunk: Some(chunk), .. }) => return Ok(chunk.clone()),
                Some(Entry { chunk: None, .. }) => {
                    recent = self.arrived.wait(recent).unwrap_or_else(PoisonError::into_inner);
                }
                None => break,
            }
        }
        recent.push_back(Entry { which, chunk: None });
        drop(recent);
        let reading = Reading { all: self, which };
        let chunk = self.load(which.range, load)?;
        let mut recent = self.recent();
        if let Some(entry) = recent.iter_mut().find(|entry| entry.which == which) {
            entry.chunk = Some(chunk.clone());
        }
        let read = |entry: &Entry| entry.chunk.is_some();
        while recent.iter().filter(|entry| read(entry)).count() > self.kept {
            let oldest = recent.iter().position(read);
            oldest.and_then(|oldest| recent.remove(oldest));
        }
        drop(recent);
        drop(reading);
        Ok(chunk)
    }

    /// A chunk that is for one card only.
    pub(super) fn load(
        &self,
        range: ByteRange,
        load: impl FnOnce(&mut [u8]) -> Result<(), CardError>,
    ) -> Result<ChunkBytes, CardError> {
        let len = usize::try_from(range.len.0).map_err(std::io::Error::other)?;
        let mut buffer = self.pool.take(len);
        load(&mut buffer)?;
        Ok(Arc::new(buffer))
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A chunk that is being read. However that ends, nobody goes on waiting for it: who does not find it then reads it
/// for itself, and has an error of its own.
struct Reading<'a> {
    all: &'a ChunkCache,
    which: MappedRange,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.all.recent().retain(|entry| entry.which != self.which || entry.chunk.is_some());
        self.all.arrived.notify_all();
    }
}
