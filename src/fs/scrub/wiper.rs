//! The only place of the scrub that writes: zeros, and only where something else stands.

use std::io;

use crate::fs::FsError;
use crate::image::zeros::all_zeros;
use crate::image::{ReadAt, WriteAt};
use crate::units::{ByteOffset, ByteRange};

/// Punching whole blocks of this size costs an overlay nothing.
const BLOCK: u64 = 4096;
/// The largest read: what a core's own cache holds until it was looked at.
const CHUNK: u64 = 128 << 10;

/// Wipes ranges of a partition.
pub struct Wiper<'a> {
    /// The partition.
    pub window: &'a dyn WriteAt,
    touched: Option<&'a [ByteRange]>,
}

impl<'a> Wiper<'a> {
    /// Wipes in `window`, and only inside `touched` (sorted) where that is given.
    pub fn new(window: &'a dyn WriteAt, touched: Option<&'a [ByteRange]>) -> Wiper<'a> {
        Wiper { window, touched }
    }

    /// The parts of `range` that may be wiped.
    fn allowed(&self, range: ByteRange) -> Vec<ByteRange> {
        let Some(touched) = self.touched else { return vec![range] };
        let from = touched.partition_point(|part| part.end() <= range.start);
        let behind = touched.iter().skip(from).take_while(|part| part.start < range.end());
        behind.filter_map(|part| part.intersect(&range)).collect()
    }

    /// Whether any of `range` may be wiped.
    pub fn touches(&self, range: ByteRange) -> bool {
        !self.allowed(range).is_empty()
    }

    /// Makes `range` read as zeros. Of each range of data only the beginning is read, up to the first byte that is not
    /// zero. Returns how many bytes were punched.
    ///
    /// # Errors
    /// The overlay's.
    pub fn punch(&self, range: ByteRange) -> Result<u64, FsError> {
        let mut wiped = 0;
        for part in self.allowed(range) {
            let mut from = part.start;
            while let Some(data) = self.window.next_data(from).map_err(wiping)?.and_then(|data| data.intersect(&part)) {
                wiped += self.punch_data(data)?;
                from = data.end();
            }
        }
        Ok(wiped)
    }

    fn punch_data(&self, data: ByteRange) -> Result<u64, FsError> {
        let (start, end) = (data.start.0, data.end().0);
        // Whole blocks are punched. The parts at both ends can only be overwritten.
        let first = start.next_multiple_of(BLOCK).min(end);
        let whole_end = (end - end % BLOCK).max(first);
        let mut wiped = 0;
        let whole_start = self.first_data(first, whole_end)?;
        if whole_start < whole_end {
            self.window.punch(ByteRange::new(whole_start, whole_end - whole_start)).map_err(wiping)?;
            wiped += whole_end - whole_start;
        }
        for (from, to) in [(start, first), (whole_end, end)] {
            if from < to && self.zero(ByteRange::new(from, to - from))? {
                wiped += to - from;
            }
        }
        Ok(wiped)
    }

    /// Where between `start` and `end` the first chunk that is not all zeros begins; `end` where there is none. A file
    /// system calls blocks data that were only ever allocated, and to punch those would be a change of nothing.
    fn first_data(&self, start: u64, end: u64) -> Result<u64, FsError> {
        let mut buffer = Vec::new();
        // Little first: where anything stands, it mostly stands at the beginning.
        let (mut at, mut len) = (start, BLOCK);
        while at < end {
            buffer.resize(usize::try_from(len.min(end - at)).unwrap_or(0), 0);
            self.window.read_at(ByteOffset(at), &mut buffer).map_err(wiping)?;
            if !all_zeros(&buffer) {
                return Ok(at);
            }
            at += buffer.len() as u64;
            len = (len * 4).min(CHUNK);
        }
        Ok(end)
    }

    /// Makes a short `range` zeros where it is not; says whether anything stood there.
    ///
    /// # Errors
    /// The overlay's.
    pub fn zero(&self, range: ByteRange) -> Result<bool, FsError> {
        let mut changed = false;
        for part in self.allowed(range) {
            let mut bytes = vec![0; usize::try_from(part.len.0).unwrap_or(0)];
            self.window.read_at(part.start, &mut bytes).map_err(wiping)?;
            // A write of zeros over zeros would be an edit, and every card would have to carry it.
            if !all_zeros(&bytes) {
                bytes.fill(0);
                self.window.write_at(part.start, &bytes).map_err(wiping)?;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Puts `bytes` at `at`.
    ///
    /// # Errors
    /// The overlay's.
    pub fn replace(&self, at: ByteOffset, bytes: &[u8]) -> Result<(), FsError> {
        self.window.write_at(at, bytes).map_err(wiping)
    }

    /// Reads `range`.
    ///
    /// # Errors
    /// The overlay's.
    pub fn read(&self, range: ByteRange) -> Result<Vec<u8>, FsError> {
        let mut bytes = vec![0; usize::try_from(range.len.0).unwrap_or(0)];
        self.window.read_at(range.start, &mut bytes).map_err(wiping)?;
        Ok(bytes)
    }

    /// The partition, for reading.
    pub fn reader(&self) -> &dyn ReadAt {
        self.window
    }
}

fn wiping(source: io::Error) -> FsError {
    FsError::Io { doing: "wipe what was deleted".into(), source }
}
