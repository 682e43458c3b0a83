//! Reads back what was written, and writes again what differs.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use super::requests::{TRIES, length, read_whole};
use super::state::Writer;
use super::written::{Expected, Written};
use crate::flash::buffer::Pooled;
use crate::flash::chunks::{not_golden, read_image};
use crate::flash::failure::{CardError, Stage};
use crate::flash::parallel::in_parallel;
use crate::image::ReadAt;
use crate::progress::Task;
use crate::units::{ByteOffset, ByteSize};

impl Writer<'_> {
    /// Reads everything back; what differs is written and read again. Answers how many chunks that were.
    pub(super) fn verify_body(
        &mut self,
        image: &dyn ReadAt,
        written: &[Written],
        task: &mut dyn Task,
    ) -> Result<u64, CardError> {
        let mut wrong = self.read_back(written, task)?;
        let mut repeated = 0u64;
        for _ in 0..TRIES {
            if wrong.is_empty() {
                return Ok(repeated);
            }
            let bytes = ByteSize(wrong.iter().map(|(chunk, _)| chunk.range.len.0).sum());
            self.begin_stage(Stage::Write, Some(bytes), task)?;
            repeated = repeated.saturating_add(wrong.len() as u64);
            // One at a time, unlike the first time: they are few, and there is nothing to win.
            for (chunk, _) in &wrong {
                self.check_cancelled()?;
                let bytes = self.expected_bytes(image, chunk)?;
                self.put(chunk.range.start, &bytes)?;
            }
            self.sync()?;
            // All of it again, not only these: where addresses are folded, what was written now went over something that
            // was right before. It seldom happens, and a card that says PASS has to hold the image.
            let all = ByteSize(written.iter().map(|chunk| chunk.range.len.0).sum());
            self.begin_stage(Stage::Verify, Some(all), task)?;
            wrong = self.read_back(written, task)?;
        }
        match wrong.first() {
            None => Ok(repeated),
            Some((first, error)) => {
                let (all, bad) = (mebibytes(written.iter()), mebibytes(wrong.iter().map(|(chunk, _)| chunk)));
                let at =
                    error.is_none().then(|| self.first_difference(image, first)).flatten().unwrap_or(first.range.start);
                let what = format!("{bad} of {all} MiB read back different, first at {at}, after {TRIES} tries");
                Err(match wrong.into_iter().find_map(|(_, error)| error) {
                    Some(source) => CardError::Read { what, source },
                    None => CardError::Differs { what },
                })
            }
        }
    }

    /// The chunks that do not read back as written, in order, each with the device's error if there was one. An error
    /// does not end it: how much of a card is bad tells a person whether it is the card or its contact.
    fn read_back(
        &self,
        written: &[Written],
        task: &mut dyn Task,
    ) -> Result<Vec<(Written, Option<io::Error>)>, CardError> {
        let (medium, cancel, pool) = (self.medium, self.cancel, self.cache.pool());
        let mut chunks = written.iter().copied();
        let found = Mutex::new((Vec::new(), 0, task));
        let next = || match cancel.load(Ordering::Relaxed) {
            true => Err(CardError::Cancelled),
            false => Ok(chunks.next()),
        };
        in_parallel(self.limits.in_flight, next, |chunk: Written| {
            let read = read_whole(medium, chunk.range.start, pool.take(length(chunk.range)?));
            let wrong_now = match read {
                Ok(bytes) => (!chunk.expected.is(&bytes)).then_some((chunk, None)),
                Err(error) => Some((chunk, Some(error))),
            };
            // Hashed before this lock is taken, so that the threads hash side by side.
            let (wrong, done, task) = &mut *found.lock().unwrap_or_else(PoisonError::into_inner);
            wrong.extend(wrong_now);
            *done += chunk.range.len.0;
            task.at(ByteSize(*done));
            Ok::<(), CardError>(())
        })?;
        let (mut wrong, ..) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        wrong.sort_by_key(|(chunk, _)| chunk.range.start);
        Ok(wrong)
    }

    /// What the chunk was to be, or an error: writing something else would make verification meaningless.
    fn expected_bytes(&self, image: &dyn ReadAt, chunk: &Written) -> Result<Pooled, CardError> {
        let mut buffer = self.cache.pool().take(length(chunk.range)?);
        match chunk.expected {
            Expected::Zeros => buffer.fill(0),
            Expected::Bytes(_) => read_image(image, chunk.range, &mut buffer)?,
        }
        // Here a golden image that rotted is told from a card that does: the card is not blamed for the image.
        if chunk.expected.is(&buffer) { Ok(buffer) } else { Err(CardError::Source { what: not_golden(chunk.range) }) }
    }

    fn first_difference(&self, image: &dyn ReadAt, chunk: &Written) -> Option<ByteOffset> {
        let wanted = self.expected_bytes(image, chunk).ok()?;
        let mut found = self.cache.pool().take(wanted.len());
        self.medium.read_back(chunk.range.start, &mut found).ok()?;
        let at = wanted.iter().zip(found.iter()).position(|(a, b)| a != b)?;
        chunk.range.start.checked_add(ByteSize(at as u64))
    }
}

/// Rounded up: one byte that differs must not be told as 0 MiB.
fn mebibytes<'w>(chunks: impl Iterator<Item = &'w Written>) -> u64 {
    chunks.map(|chunk| chunk.range.len.0).sum::<u64>().div_ceil(1 << 20)
}
