//! What is known while a card is written: where it goes, in which stage it is, and what was done to its first MiB.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::requests;
use crate::flash::buffer::AlignedBuffer;
use crate::flash::chunk_cache::ChunkCache;
use crate::flash::chunks::HEAD;
use crate::flash::failure::{CardError, Stage};
use crate::flash::medium::Medium;
use crate::flash::request_limits::RequestLimits;
use crate::flash::write_report::StageDuration;
use crate::progress::Task;
use crate::units::{ByteOffset, ByteSize};

/// One card that is being written.
pub(super) struct Writer<'a> {
    pub(super) cache: &'a ChunkCache,
    pub(super) medium: &'a dyn Medium,
    pub(super) cancel: &'a AtomicBool,
    pub(super) alignment: u64,
    pub(super) limits: RequestLimits,
    pub(super) stage: Stage,
    since: Instant,
    durations: Vec<StageDuration>,
    /// The first MiB as it will be. It waits here, because nothing of it may reach the card before the rest is verified.
    pub(super) head: AlignedBuffer,
    /// Something was written, or at least tried to be.
    pub(super) touched: bool,
    /// The first MiB was seen to be zero, and is not written before sealing.
    pub(super) erased: bool,
    /// The first MiB is being written: from here on the card may boot.
    pub(super) sealing: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(cache: &'a ChunkCache, medium: &'a dyn Medium, cancel: &'a AtomicBool) -> Writer<'a> {
        // A medium smaller than a MiB is all head: only tests and tiny card images have one.
        let head = usize::try_from(HEAD.min(medium.size().0)).unwrap_or(0);
        Writer {
            cache,
            medium,
            cancel,
            // It is divided by.
            alignment: medium.alignment().0.max(1),
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

    /// The next stage begins, unless somebody wants to stop: between two stages is the cheapest place for it.
    pub(super) fn begin_stage(
        &mut self,
        stage: Stage,
        total: Option<ByteSize>,
        task: &mut dyn Task,
    ) -> Result<(), CardError> {
        self.end_stage();
        self.stage = stage;
        task.stage(&stage.to_string(), total);
        self.check_cancelled()
    }

    /// Books the time of the stage that ends. Stages come again (a repeated write, a second prepare), and count once.
    fn end_stage(&mut self) {
        let milliseconds = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.durations.iter_mut().find(|known| known.stage == self.stage) {
            Some(known) => known.milliseconds = known.milliseconds.saturating_add(milliseconds),
            None => self.durations.push(StageDuration { stage: self.stage, milliseconds }),
        }
        self.since = Instant::now();
    }

    /// The last stage ends: how long each one took.
    pub(super) fn take_durations(&mut self) -> Vec<StageDuration> {
        self.end_stage();
        std::mem::take(&mut self.durations)
    }

    pub(super) fn check_cancelled(&self) -> Result<(), CardError> {
        if self.cancel.load(Ordering::Relaxed) { Err(CardError::Cancelled) } else { Ok(()) }
    }

    pub(super) fn put(&self, at: ByteOffset, bytes: &[u8]) -> Result<(), CardError> {
        requests::put(self.medium, at, bytes)
    }

    pub(super) fn sync(&self) -> Result<(), CardError> {
        let what = "the device could not bring what was written onto the card".to_owned();
        self.medium.sync().map_err(|source| CardError::Write { what, source })
    }

    /// Whether the card that passed the gate is still the one that is there.
    pub(super) fn check_identity(&self) -> Result<(), CardError> {
        self.medium.check_identity().map_err(|what| CardError::Exchanged { what })
    }
}
