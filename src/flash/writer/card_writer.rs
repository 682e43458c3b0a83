//! What all stages of writing one card share: the medium, the first MiB that waits, where it stands, and its requests.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::report::StageDuration;
use crate::flash::buffer::{AlignedBuffer, Pooled};
use crate::flash::chunks::HEAD;
use crate::flash::failure::{Stage, WriteError};
use crate::flash::limits::RequestLimits;
use crate::flash::medium::Medium;
use crate::flash::shared_chunks::SharedChunks;
use crate::progress::Task;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// How often a chunk that reads back different is written again.
pub const TRIES: u32 = 3;

/// One card on its way.
pub(super) struct Writer<'a> {
    pub(super) shared: &'a SharedChunks,
    pub(super) medium: &'a dyn Medium,
    pub(super) cancel: &'a AtomicBool,
    pub(super) block_size: u64,
    pub(super) limits: RequestLimits,
    pub(super) stage: Stage,
    pub(super) since: Instant,
    pub(super) durations: Vec<StageDuration>,
    /// The first MiB as it will be.
    pub(super) head: AlignedBuffer,
    pub(super) touched: bool,
    /// The first MiB was seen to be zero, and is not written before sealing.
    pub(super) erased: bool,
    pub(super) sealing: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(shared: &'a SharedChunks, medium: &'a dyn Medium, cancel: &'a AtomicBool) -> Writer<'a> {
        let head = usize::try_from(HEAD.min(medium.size().0)).unwrap_or(0);
        Writer {
            shared,
            medium,
            cancel,
            block_size: medium.block_size().0.max(1),
            limits: medium.limits(),
            stage: Stage::Erase,
            since: Instant::now(),
            durations: Vec::new(),
            head: AlignedBuffer::zeroed(head),
            touched: false,
            erased: false,
            sealing: false,
        }
    }

    pub(super) fn enter(
        &mut self,
        stage: Stage,
        total: Option<ByteSize>,
        task: &mut dyn Task,
    ) -> Result<(), WriteError> {
        self.leave();
        self.stage = stage;
        task.stage(&stage.to_string(), total);
        self.go_on()
    }

    pub(super) fn leave(&mut self) {
        let milliseconds = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.durations.iter_mut().find(|known| known.stage == self.stage) {
            Some(known) => known.milliseconds = known.milliseconds.saturating_add(milliseconds),
            None => self.durations.push(StageDuration { stage: self.stage, milliseconds }),
        }
        self.since = Instant::now();
    }

    pub(super) fn go_on(&self) -> Result<(), WriteError> {
        if self.cancel.load(Ordering::Relaxed) { Err(WriteError::Cancelled) } else { Ok(()) }
    }

    pub(super) fn put(&self, at: ByteOffset, bytes: &[u8]) -> Result<(), WriteError> {
        put(self.medium, at, bytes)
    }

    pub(super) fn sync(&self) -> Result<(), WriteError> {
        let what = "the device could not bring what was written onto the card".to_owned();
        self.medium.sync().map_err(|source| WriteError::Write { what, source })
    }

    pub(super) fn unchanged(&self) -> Result<(), WriteError> {
        self.medium.check_identity().map_err(|what| WriteError::Exchanged { what })
    }
}

/// Fills all of `buffer` from `at` on.
pub(super) fn read_whole(medium: &dyn Medium, at: ByteOffset, buffer: Pooled) -> io::Result<Pooled> {
    let all = 0..buffer.len();
    medium.read_back_into(at, buffer, all)
}

/// Puts `bytes` at `at`.
pub(super) fn put(medium: &dyn Medium, at: ByteOffset, bytes: &[u8]) -> Result<(), WriteError> {
    let range = ByteRange { start: at, len: ByteSize(bytes.len() as u64) };
    tried_again(range, || medium.write_at(at, bytes))
}

/// A write that fails is tried again: a bad contact comes and goes, and the chunk is verified later in any case.
pub(super) fn tried_again(range: ByteRange, write: impl Fn() -> io::Result<()>) -> Result<(), WriteError> {
    let mut tries = 0;
    loop {
        match write() {
            Ok(()) => return Ok(()),
            // A full disk or a missing device does not get better by asking again.
            Err(source) if tries >= TRIES || source.kind() == io::ErrorKind::StorageFull => {
                return Err(WriteError::Write {
                    what: format!("writing {} bytes at {}", range.len.0, range.start),
                    source,
                });
            }
            Err(_) => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}
