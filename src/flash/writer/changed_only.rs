//! `--changed-only`: what a card holds already is not written again.
//!
//! For cards that carry an older version of the image. The first MiB is wiped first and written last as ever, so the
//! card boots nothing in between. Every chunk is read past the cache and compared with its digest; what differs is
//! written and read back like on any card. So each byte of the image is read from the medium in this run, after the
//! wiping and the discarding: a chunk that is right then is verified by that, and is not read a second time.
//!
//! Space that the image does not use may hold the old card's secrets, its activation first of all, and a chunk that was
//! in use then may be free today. It gets what the recipe says, and only it: what the map covers is never discarded,
//! because it would be lost. Where the recipe says `discard`, ranges that are too short for a card to give up (it erases
//! some MiB at a time) are made zeros instead.

use std::io;
use std::sync::{Mutex, PoisonError};

use super::requests::{length, read_whole};
use super::state::Writer;
use crate::digest::Sha256Digest;
use crate::flash::chunks::{Chunk, Content, HEAD, part, total, widen};
use crate::flash::failure::{CardError, Stage};
use crate::flash::parallel::in_parallel;
use crate::image::zeros::all_zeros;
use crate::progress::Task;
use crate::units::ByteSize;

impl Writer<'_> {
    /// Those of `chunks` that the medium does not hold yet, and how many bytes it does.
    pub(super) fn find_differing(
        &mut self,
        chunks: Vec<Chunk>,
        task: &mut dyn Task,
    ) -> Result<(Vec<Chunk>, ByteSize), CardError> {
        self.begin_stage(Stage::Compare, Some(total(&chunks)), task)?;
        let mut jobs = chunks.into_iter();
        let next = || self.check_cancelled().map(|()| jobs.next());
        let found = Mutex::new((Vec::new(), 0u64, 0u64, task));
        in_parallel(self.limits.in_flight, next, |chunk: Chunk| {
            // What lies in the first MiB was wiped, and waits in memory until the card is sealed.
            let holds = chunk.range.start.0 >= HEAD && self.already_holds(&chunk)?;
            let (differing, held, done, task) = &mut *found.lock().unwrap_or_else(PoisonError::into_inner);
            match holds {
                true => *held += chunk.range.len.0,
                false => differing.push(chunk),
            }
            *done += chunk.range.len.0;
            task.at(ByteSize(*done));
            Ok::<(), CardError>(())
        })?;
        // Threads finish in any order, and the writer wants them as they lie.
        let (mut differing, held, ..) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        differing.sort_by_key(|chunk| chunk.range.start);
        Ok((differing, ByteSize(held)))
    }

    /// Whether the medium holds this chunk already. Its sectors are read as wholes, and only its own bytes compared:
    /// what lies beside it in a sector is another chunk's, and is compared with that one.
    fn already_holds(&self, chunk: &Chunk) -> Result<bool, CardError> {
        let wide = widen(chunk.range, self.alignment);
        let buffer = self.cache.pool().take(length(wide)?);
        match read_whole(self.medium, wide.start, buffer) {
            Ok(buffer) => {
                let bytes = part(&buffer, wide, chunk.range);
                Ok(match chunk.content {
                    Content::Zeros => all_zeros(bytes),
                    Content::Image(sha256) => Sha256Digest::of(bytes) == sha256,
                })
            }
            Err(source) if source.kind() == io::ErrorKind::TimedOut => {
                let what = format!("reading {} bytes at {}", wide.len.0, wide.start);
                Err(CardError::Read { what, source })
            }
            // Flash that cannot be read can often be written: then it is verified, or fails, like any other.
            Err(_) => Ok(false),
        }
    }
}
