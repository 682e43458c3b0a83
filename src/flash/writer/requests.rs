//! Single requests to a medium: a write that is tried again, and a read that fills a whole buffer.

use std::io;
use std::time::Duration;

use crate::flash::buffer::Pooled;
use crate::flash::failure::CardError;
use crate::flash::medium::Medium;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// How often a write that fails, or a chunk that reads back different, is written again. A bad contact
/// comes and goes; a card that still differs after three more writes is not to be trusted.
pub const TRIES: u32 = 3;

/// How long it waits before it tries again: long enough for a contact to settle, short enough that nobody notices.
const BEFORE_RETRY: Duration = Duration::from_millis(10);

/// Puts `bytes` at `at`.
pub(super) fn put(medium: &dyn Medium, at: ByteOffset, bytes: &[u8]) -> Result<(), CardError> {
    let range = ByteRange { start: at, len: ByteSize(bytes.len() as u64) };
    with_retries(range, || medium.write_at(at, bytes))
}

/// A write that fails is tried again: a bad contact comes and goes, and the chunk is verified later in any case.
pub(super) fn with_retries(range: ByteRange, write: impl Fn() -> io::Result<()>) -> Result<(), CardError> {
    let mut tries = 0;
    loop {
        match write() {
            Ok(()) => return Ok(()),
            // A full disk does not get emptier by asking again.
            Err(source) if tries >= TRIES || source.kind() == io::ErrorKind::StorageFull => {
                return Err(CardError::Write {
                    what: format!("writing {} bytes at {}", range.len.0, range.start),
                    source,
                });
            }
            Err(_) => {
                tries += 1;
                std::thread::sleep(BEFORE_RETRY);
            }
        }
    }
}

/// Fills all of `buffer` from `at` on. The buffer is given away for as long as the request takes: one that hangs may
/// still be written to it after nobody waits any more.
pub(super) fn read_whole(medium: &dyn Medium, at: ByteOffset, buffer: Pooled) -> io::Result<Pooled> {
    let all = 0..buffer.len();
    medium.read_back_into(at, buffer, all)
}

/// The length of a range, in memory.
pub(super) fn length(range: ByteRange) -> io::Result<usize> {
    usize::try_from(range.len.0).map_err(io::Error::other)
}
