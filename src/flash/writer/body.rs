//! Everything but the first MiB: cut into requests and written in order, with several of them under way.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::requests::{length, with_retries};
use super::state::Writer;
use super::written::{Expected, Written};
use crate::digest::Sha256Digest;
use crate::flash::buffer::{Pooled, SharedBytes};
use crate::flash::chunk_cache::{ChunkBytes, ChunkCache};
use crate::flash::chunks::{Chunk, Content, HEAD, not_golden, part, place, read_image, widen};
use crate::flash::failure::CardError;
use crate::flash::parallel::in_parallel;
use crate::image::{MappedRange, ReadAt};
use crate::progress::Task;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// A chunk that is being cut into requests.
struct Cutting {
    /// Its bytes, with those of the sectors around it; `None` where it is zeros.
    bytes: Option<ChunkBytes>,
    /// Where the chunk lies, with the sectors around it.
    wide: ByteRange,
    /// What of it is still to be written.
    rest: ByteRange,
    /// Bytes of the chunk that are not counted as done yet.
    counts: u64,
}

/// One write that is sent to the device.
struct Request {
    bytes: Option<ChunkBytes>,
    wide: ByteRange,
    range: ByteRange,
    /// How many bytes count as done with it.
    counts: u64,
}

/// Cuts chunks into requests, one after the other, and keeps back what belongs to the first MiB.
struct Cutter<'a> {
    image: &'a dyn ReadAt,
    chunks: std::slice::Iter<'a, Chunk>,
    cache: &'a ChunkCache,
    /// The first MiB as it will be.
    head: &'a mut [u8],
    alignment: u64,
    /// The longest request, in bytes; whole sectors.
    longest: u64,
    cutting: Option<Cutting>,
    written: Vec<Written>,
}

/// What comes next.
enum Next {
    Write(Request),
    /// So many bytes are done without a request.
    Withheld(u64),
    End,
}

impl Cutter<'_> {
    fn next(&mut self) -> Result<Next, CardError> {
        if let Some(cutting) = &mut self.cutting {
            let len = cutting.rest.len.0.min(self.longest);
            let range = ByteRange::new(cutting.rest.start.0, len);
            cutting.rest = ByteRange::new(range.end().0, cutting.rest.len.0 - len);
            let last = cutting.rest.is_empty();
            // What was withheld or added around the chunk must not make the sum differ from the total: the last request
            // counts for whatever is left.
            let counts = if last { cutting.counts } else { len.min(cutting.counts) };
            cutting.counts -= counts;
            let (bytes, wide) = (cutting.bytes.clone(), cutting.wide);
            if last {
                self.cutting = None;
            }
            return Ok(Next::Write(Request { bytes, wide, range, counts }));
        }
        match self.chunks.next() {
            Some(chunk) => self.begin(*chunk),
            None => Ok(Next::End),
        }
    }

    /// Reads a chunk, puts its part of the first MiB aside and gets the rest ready to be cut.
    fn begin(&mut self, chunk: Chunk) -> Result<Next, CardError> {
        // A direct write moves whole sectors. What the image has around the chunk goes with it: completing the sector
        // from the card instead would take a read for each write.
        let wide = widen(chunk.range, self.alignment);
        let bytes = match chunk.content {
            Content::Zeros => None,
            Content::Image(sha256) => {
                let which = MappedRange { range: chunk.range, sha256 };
                let load = |buffer: &mut [u8]| read_image(self.image, wide, buffer);
                // The cache knows chunks by their digest, which says nothing of the bytes around them.
                Some(match wide == chunk.range {
                    true => self.cache.get(which, load)?,
                    false => self.cache.load(wide, load)?,
                })
            }
        };
        let withheld = wide.intersect(&ByteRange::new(0, HEAD));
        let behind = withheld.map_or(wide.start, |withheld| withheld.end());
        let rest = ByteRange::new(behind.0, wide.end().0 - behind.0);
        let expected = match (chunk.content, &bytes) {
            (Content::Image(sha256), Some(_)) if rest == chunk.range => Expected::Bytes(sha256),
            (Content::Image(sha256), Some(bytes)) => {
                // What is cut or widened is not read back as the manifest knows it: it is compared now.
                if Sha256Digest::of(part(bytes, wide, chunk.range)) != sha256 {
                    return Err(CardError::Source { what: not_golden(chunk.range) });
                }
                Expected::Bytes(Sha256Digest::of(part(bytes, wide, rest)))
            }
            _ => Expected::Zeros,
        };
        if let Some(withheld) = withheld {
            copy_into(self.head, withheld, bytes.as_ref().map(|bytes| part(bytes, wide, withheld)));
        }
        if rest.is_empty() {
            return Ok(Next::Withheld(chunk.range.len.0));
        }
        self.written.push(Written { chunk, range: rest, expected });
        self.cutting = Some(Cutting { bytes, wide, rest, counts: chunk.range.len.0 });
        self.next()
    }
}

impl Writer<'_> {
    /// Writes all chunks but the head, which goes to memory, and answers what was written.
    ///
    /// A whole chunk is not hashed on its way to the card. What is read back must have the digest that the manifest
    /// promises, so a golden image that rotted is found all the same, before the card is sealed; and hashing every
    /// byte twice would be the most expensive thing that is done here.
    pub(super) fn write_chunks(
        &mut self,
        image: &dyn ReadAt,
        chunks: &[Chunk],
        task: &mut dyn Task,
    ) -> Result<Vec<Written>, CardError> {
        let (medium, cancel, limits) = (self.medium, self.cancel, self.limits);
        // Whole sectors, and at least one, whatever the driver says.
        let longest = (limits.request - limits.request % self.alignment).max(self.alignment);
        // One buffer for all zeros: whatever is written of it, it is never longer than a request.
        let zeros = Arc::new(Pooled::zeroed(usize::try_from(longest).map_err(io::Error::other)?));
        let mut cutter = Cutter {
            image,
            chunks: chunks.iter(),
            cache: self.cache,
            head: &mut self.head,
            alignment: self.alignment,
            longest,
            cutting: None,
            written: Vec::with_capacity(chunks.len()),
        };
        let done = Mutex::new((0, task));
        let count = |bytes: u64| {
            let (done, task) = &mut *done.lock().unwrap_or_else(PoisonError::into_inner);
            *done += bytes;
            task.at(ByteSize(*done));
        };
        let next = || {
            loop {
                if cancel.load(Ordering::Relaxed) {
                    return Err(CardError::Cancelled);
                }
                match cutter.next()? {
                    Next::Write(request) => return Ok(Some(request)),
                    Next::Withheld(bytes) => count(bytes),
                    Next::End => return Ok(None),
                }
            }
        };
        in_parallel(limits.in_flight, next, |request: Request| {
            let bytes = match request.bytes {
                Some(bytes) => SharedBytes::of(bytes, place(request.wide, request.range)),
                None => SharedBytes::of(zeros.clone(), 0..length(request.range)?),
            };
            with_retries(request.range, || medium.write_shared(request.range.start, &bytes))?;
            // Only now: a bar that runs ahead of the card would stand at 100 % for the longest time of all.
            count(request.counts);
            Ok(())
        })?;
        Ok(cutter.written)
    }
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
