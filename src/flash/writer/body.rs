//! Everything but the first MiB: written in order with several requests under way, then read back and compared.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::card_writer::{TRIES, Writer, read_whole, tried_again};
use crate::digest::Sha256Digest;
use crate::flash::buffer::{Pooled, SharedBytes};
use crate::flash::chunks::{Chunk, Content, HEAD, not_golden, part, place, read_image, widen};
use crate::flash::failure::{Stage, WriteError};
use crate::flash::parallel_requests::run_requests;
use crate::flash::shared_chunks::ChunkBytes;
use crate::image::zeros::all_zeros;
use crate::image::{MappedRange, ReadAt};
use crate::progress::Task;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// One run that was written: where on the medium, and what must be read back.
#[derive(Clone, Copy)]
pub(super) struct Written {
    /// What it was written for.
    pub(super) chunk: Chunk,
    range: ByteRange,
    expected: Expected,
}

#[derive(Clone, Copy, PartialEq)]
enum Expected {
    Zeros,
    Bytes(Sha256Digest),
}

impl Expected {
    fn is(self, bytes: &[u8]) -> bool {
        match self {
            Expected::Zeros => all_zeros(bytes),
            Expected::Bytes(sha256) => Sha256Digest::of(bytes) == sha256,
        }
    }
}

/// What is being written: a loaded, and how much of it the lanes already took.
struct Cutting {
    loaded: Option<ChunkBytes>,
    /// Where the loaded lies, with the sectors around it.
    wide: ByteRange,
    /// What of it is still to be written.
    rest: ByteRange,
    /// Bytes of the chunk that count as done with the last part.
    counts: u64,
}

/// One request.
struct Request {
    loaded: Option<ChunkBytes>,
    wide: ByteRange,
    range: ByteRange,
    counts: u64,
}

impl Writer<'_> {
    /// Writes all chunks but the head, which goes to memory, and answers what was written.
    ///
    /// A whole loaded is not hashed on its way to the card. What is read back must have the digest that the manifest
    /// promises, so a golden image that rotted is found all the same, before the card is sealed; and hashing every
    /// byte twice would be the most expensive thing that is done here.
    pub(super) fn write_chunks(
        &mut self,
        image: &dyn ReadAt,
        chunks: &[Chunk],
        task: &mut dyn Task,
    ) -> Result<Vec<Written>, WriteError> {
        let (block_size, medium, cancel, shared) = (self.block_size, self.medium, self.cancel, self.shared);
        let limits = self.limits;
        let request = (limits.request - limits.request % block_size).max(block_size);
        let zeros = Arc::new(Pooled::zeroed(usize::try_from(request).map_err(io::Error::other)?));
        let head = &mut self.head;
        let mut written = Vec::with_capacity(chunks.len());
        let mut chunks = chunks.iter();
        let mut cutting: Option<Cutting> = None;
        let done = Mutex::new((0, task));
        let tell = |bytes: u64| {
            let (done, task) = &mut *done.lock().unwrap_or_else(PoisonError::into_inner);
            *done += bytes;
            task.at(ByteSize(*done));
        };

        let next = || {
            loop {
                if cancel.load(Ordering::Relaxed) {
                    return Err(WriteError::Cancelled);
                }
                if let Some(from) = &mut cutting {
                    let len = from.rest.len.0.min(request);
                    let range = ByteRange::new(from.rest.start.0, len);
                    from.rest = ByteRange::new(range.end().0, from.rest.len.0 - len);
                    let last = from.rest.is_empty();
                    let counts = if last { from.counts } else { len.min(from.counts) };
                    from.counts -= counts;
                    let (loaded, wide) = (from.loaded.clone(), from.wide);
                    if last {
                        cutting = None;
                    }
                    return Ok(Some(Request { loaded, wide, range, counts }));
                }
                let Some(chunk) = chunks.next() else { return Ok(None) };
                let wide = widen(chunk.range, block_size);
                let loaded = match chunk.content {
                    Content::Zeros => None,
                    Content::Image(sha256) => {
                        let which = MappedRange { range: chunk.range, sha256 };
                        let load = |buffer: &mut [u8]| read_image(image, wide, buffer);
                        Some(match wide == chunk.range {
                            true => shared.get(which, load)?,
                            false => shared.load(wide, load)?,
                        })
                    }
                };
                let withheld = wide.intersect(&ByteRange::new(0, HEAD));
                let behind = withheld.map_or(wide.start, |withheld| withheld.end());
                let rest = ByteRange::new(behind.0, wide.end().0 - behind.0);
                let expected = match (chunk.content, &loaded) {
                    (Content::Image(sha256), Some(_)) if rest == chunk.range => Expected::Bytes(sha256),
                    (Content::Image(sha256), Some(loaded)) => {
                        // What is cut or widened is not read back as the manifest knows it: it is compared now.
                        if Sha256Digest::of(part(loaded, wide, chunk.range)) != sha256 {
                            return Err(WriteError::Source { what: not_golden(chunk.range) });
                        }
                        Expected::Bytes(Sha256Digest::of(part(loaded, wide, rest)))
                    }
                    _ => Expected::Zeros,
                };
                if let Some(withheld) = withheld {
                    copy_into(head, withheld, loaded.as_ref().map(|loaded| part(loaded, wide, withheld)));
                }
                if rest.is_empty() {
                    tell(chunk.range.len.0);
                } else {
                    written.push(Written { chunk: *chunk, range: rest, expected });
                    cutting = Some(Cutting { loaded, wide, rest, counts: chunk.range.len.0 });
                }
            }
        };
        run_requests(limits.in_flight, next, |request: Request| {
            let bytes = match request.loaded {
                Some(loaded) => SharedBytes::of(loaded, place(request.wide, request.range)),
                None => SharedBytes::of(zeros.clone(), 0..length(request.range)?),
            };
            tried_again(request.range, || medium.write_shared(request.range.start, &bytes))?;
            tell(request.counts);
            Ok(())
        })?;
        Ok(written)
    }

    /// Reads everything back; what differs is written and read again. Answers how many chunks that were.
    pub(super) fn verify_body(
        &mut self,
        image: &dyn ReadAt,
        written: &[Written],
        task: &mut dyn Task,
    ) -> Result<u64, WriteError> {
        let mut wrong = self.read_back(written, task)?;
        let mut repeated = 0u64;
        for _ in 0..TRIES {
            if wrong.is_empty() {
                return Ok(repeated);
            }
            let bytes = ByteSize(wrong.iter().map(|(chunk, _)| chunk.range.len.0).sum());
            self.enter(Stage::Write, Some(bytes), task)?;
            repeated = repeated.saturating_add(wrong.len() as u64);
            for (chunk, _) in &wrong {
                self.go_on()?;
                let bytes = self.fill_again(image, chunk)?;
                self.put(chunk.range.start, &bytes)?;
            }
            self.sync()?;
            self.enter(Stage::Verify, Some(bytes), task)?;
            let again: Vec<Written> = wrong.iter().map(|(chunk, _)| *chunk).collect();
            wrong = self.read_back(&again, task)?;
        }
        match wrong.first() {
            None => Ok(repeated),
            Some((first, error)) => {
                let (all, bad) = (mebibytes(written.iter()), mebibytes(wrong.iter().map(|(chunk, _)| chunk)));
                let at =
                    error.is_none().then(|| self.first_difference(image, first)).flatten().unwrap_or(first.range.start);
                let what = format!("{bad} of {all} MiB read back different, first at {at}, after {TRIES} tries");
                Err(match wrong.into_iter().find_map(|(_, error)| error) {
                    Some(source) => WriteError::Read { what, source },
                    None => WriteError::Differs { what },
                })
            }
        }
    }

    /// The chunks that do not read back as written, in order, each with the device's error if there was one.
    fn read_back(
        &self,
        written: &[Written],
        task: &mut dyn Task,
    ) -> Result<Vec<(Written, Option<io::Error>)>, WriteError> {
        let (medium, cancel, pool) = (self.medium, self.cancel, self.shared.pool());
        let mut chunks = written.iter().copied();
        let found = Mutex::new((Vec::new(), 0, task));
        let next = || match cancel.load(Ordering::Relaxed) {
            true => Err(WriteError::Cancelled),
            false => Ok(chunks.next()),
        };
        run_requests(self.limits.in_flight, next, |chunk: Written| {
            let read = read_whole(medium, chunk.range.start, pool.take(length(chunk.range)?));
            let wrong_now = match read {
                Ok(bytes) => (!chunk.expected.is(&bytes)).then_some((chunk, None)),
                Err(error) => Some((chunk, Some(error))),
            };
            let (wrong, done, task) = &mut *found.lock().unwrap_or_else(PoisonError::into_inner);
            wrong.extend(wrong_now);
            *done += chunk.range.len.0;
            task.at(ByteSize(*done));
            Ok::<(), WriteError>(())
        })?;
        let (mut wrong, ..) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        wrong.sort_by_key(|(chunk, _)| chunk.range.start);
        Ok(wrong)
    }

    /// What the chunk was to be, or an error: writing something else would make verification meaningless.
    fn fill_again(&self, image: &dyn ReadAt, chunk: &Written) -> Result<Pooled, WriteError> {
        let mut buffer = self.shared.pool().take(length(chunk.range)?);
        match chunk.expected {
            Expected::Zeros => buffer.fill(0),
            Expected::Bytes(_) => read_image(image, chunk.range, &mut buffer)?,
        }
        if chunk.expected.is(&buffer) { Ok(buffer) } else { Err(WriteError::Source { what: not_golden(chunk.range) }) }
    }

    fn first_difference(&self, image: &dyn ReadAt, chunk: &Written) -> Option<ByteOffset> {
        let wanted = self.fill_again(image, chunk).ok()?;
        let mut found = self.shared.pool().take(wanted.len());
        self.medium.read_back(chunk.range.start, &mut found).ok()?;
        let at = wanted.iter().zip(found.iter()).position(|(a, b)| a != b)?;
        chunk.range.start.checked_add(ByteSize(at as u64))
    }
}

fn length(range: ByteRange) -> io::Result<usize> {
    usize::try_from(range.len.0).map_err(io::Error::other)
}

/// Puts a part of the first MiB where it waits; zeros where there are no bytes.
fn copy_into(head: &mut [u8], range: ByteRange, bytes: Option<&[u8]>) {
    let place = |at: ByteOffset| usize::try_from(at.0).unwrap_or(usize::MAX).min(head.len());
    let (from, to) = (place(range.start), place(range.end()));
    let Some(head) = head.get_mut(from..to) else { return };
    match bytes {
        Some(bytes) => head.iter_mut().zip(bytes).for_each(|(to, &byte)| *to = byte),
        None => head.fill(0),
    }
}

fn mebibytes<'w>(chunks: impl Iterator<Item = &'w Written>) -> u64 {
    chunks.map(|chunk| chunk.range.len.0).sum::<u64>().div_ceil(1 << 20)
}
