//! Memory that a device reads from and writes to directly, taken again and again.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memmap2::MmapMut;

use super::chunks::CHUNK;

/// What direct input and output asks of memory addresses: a page covers every device that there is.
pub(super) const PAGE: usize = 4096;

/// Zeroed bytes that begin at a page boundary.
pub(super) struct AlignedBuffer {
    memory: Memory,
    len: usize,
}

enum Memory {
    /// A plain `Vec` a page too long, used from its first page boundary on: its heap block never moves, because nothing
    /// here ever grows it. So no unsafe allocation is needed.
    Heap { bytes: Vec<u8>, start: usize },
    /// Pages of 2 MiB, where the system has some: a direct transfer pins each of its pages, which for pages of 4 KiB takes
    /// a tenth of all the time that a card takes of the processor.
    Mapped(MmapMut),
}

impl Default for AlignedBuffer {
    fn default() -> AlignedBuffer {
        AlignedBuffer { memory: Memory::Heap { bytes: Vec::new(), start: 0 }, len: 0 }
    }
}

impl AlignedBuffer {
    /// `len` bytes of it from here on; `false` where it was made with fewer.
    pub(super) fn set_len(&mut self, len: usize) -> bool {
        let fits = len <= self.capacity();
        if fits {
            self.len = len;
        }
        fits
    }

    /// `len` zeros.
    pub(super) fn zeroed(len: usize) -> AlignedBuffer {
        let bytes = vec![0u8; len.saturating_add(PAGE)];
        let start = bytes.as_ptr().align_offset(PAGE).min(PAGE);
        AlignedBuffer { memory: Memory::Heap { bytes, start }, len }
    }

    /// `len` zeros that are going to be used again and again.
    fn lasting(len: usize) -> AlignedBuffer {
        let Ok(pages) = MmapMut::map_anon(len) else { return AlignedBuffer::zeroed(len) };
        #[cfg(target_os = "linux")]
        let _ = pages.advise(memmap2::Advice::HugePage);
        AlignedBuffer { memory: Memory::Mapped(pages), len }
    }

    fn capacity(&self) -> usize {
        match &self.memory {
            Memory::Heap { bytes, .. } => bytes.len().saturating_sub(PAGE),
            Memory::Mapped(pages) => pages.len(),
        }
    }
}

impl std::ops::Deref for AlignedBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.memory {
            Memory::Heap { bytes, start } => bytes.get(*start..start + self.len),
            Memory::Mapped(pages) => pages.get(..self.len),
        }
        .unwrap_or_default()
    }
}

impl std::ops::DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Heap { bytes, start } => bytes.get_mut(*start..*start + self.len),
            Memory::Mapped(pages) => pages.get_mut(..self.len),
        }
        .unwrap_or_default()
    }
}

/// Buffers of a chunk each that are used again: fresh ones cost as much as filling them.
///
/// Nobody ever waits here for a buffer: a card that stands still holds some, and must not hold up the others with
/// them. What bounds the memory is how many each user holds at a time: see [`super::chunk_cache`] and [`super::request_limits`].
#[derive(Default)]
pub(super) struct Pool {
    free: Mutex<Vec<AlignedBuffer>>,
    /// How many there are, free or taken.
    made: AtomicU64,
}

impl Pool {
    /// A buffer of `len` bytes that hold anything.
    pub(super) fn take(self: &Arc<Pool>, len: usize) -> Pooled {
        let chunk = chunk_length();
        let mut buffer = if len <= chunk {
            // Not within the `else`: the lock must not be held while memory is got.
            let used = self.free().pop();
            used.unwrap_or_else(|| {
                self.made.fetch_add(1, Ordering::Relaxed);
                AlignedBuffer::lasting(chunk)
            })
        } else {
            // A chunk that was widened to large sectors: rare enough to be made as it is needed.
            AlignedBuffer::zeroed(len)
        };
        buffer.set_len(len);
        Pooled { buffer, pool: Some(self.clone()) }
    }

    /// Bytes of all buffers that were ever in use at once.
    pub(super) fn most_held(&self) -> u64 {
        self.made.load(Ordering::Relaxed).saturating_mul(CHUNK)
    }

    fn free(&self) -> MutexGuard<'_, Vec<AlignedBuffer>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn chunk_length() -> usize {
    usize::try_from(CHUNK).unwrap_or(usize::MAX)
}

/// Memory that devices can read from and write to directly. It goes back to where it came from when it is dropped.
pub struct Pooled {
    buffer: AlignedBuffer,
    pool: Option<Arc<Pool>>,
}

impl Pooled {
    /// `len` zeros that belong to no pool.
    pub(super) fn zeroed(len: usize) -> Pooled {
        Pooled { buffer: AlignedBuffer::zeroed(len), pool: None }
    }

    /// `bytes`, in memory that belongs to no pool.
    pub(super) fn copied(bytes: &[u8]) -> Pooled {
        let mut copy = Pooled::zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        copy
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        if let Some(pool) = self.pool.take().filter(|_| buffer.capacity() == chunk_length()) {
            pool.free().push(buffer);
        }
    }
}

/// Some bytes of a buffer that several requests and threads use at a time.
#[derive(Clone)]
pub struct SharedBytes {
    whole: Arc<Pooled>,
    range: Range<usize>,
}

impl SharedBytes {
    /// Those in `range`; no bytes where it leaves the buffer.
    pub(super) fn of(whole: Arc<Pooled>, range: Range<usize>) -> SharedBytes {
        SharedBytes { whole, range }
    }
}

impl std::ops::Deref for SharedBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.whole.get(self.range.clone()).unwrap_or_default()
    }
}

impl std::ops::Deref for Pooled {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.buffer
    }
}

impl std::ops::DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }
}

/// Whether a direct transfer of `bytes` at `at` can be made as it is, for a device of this alignment.
pub(super) fn is_aligned(at: u64, bytes: &[u8], alignment: u64) -> bool {
    at.is_multiple_of(alignment)
        && (bytes.len() as u64).is_multiple_of(alignment)
        && bytes.as_ptr().align_offset(PAGE) == 0
}
