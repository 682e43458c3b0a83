//! Writing while the golden image is still being decoded.
//!
//! A card's own image cannot be made before the golden one is there, because its file systems lie all over it. But what
//! every card has can be written as it arrives. When it has all arrived, and is what the manifest says, the card's image
//! is made and what differs is written over it. An activation's code comes near a card only then.

use std::collections::HashSet;

use super::card_source::CardSource;
use super::state::Writer;
use super::written::Written;
use crate::flash::chunks::{Chunk, left_over, mapped_chunks, total, widen};
use crate::flash::failure::{CardError, Stage};
use crate::progress::Task;

/// What was written before the card's own image was made.
#[derive(Default)]
pub(super) struct Early {
    chunks: Vec<Chunk>,
    written: Vec<Written>,
}

impl Early {
    /// What of it the card has, too, and what is still to be written of the card's `chunks` (in order).
    pub(super) fn split(self, chunks: Vec<Chunk>, alignment: u64) -> (Vec<Written>, Vec<Chunk>) {
        if self.chunks.is_empty() {
            return (self.written, chunks);
        }
        // By place and digest: a chunk that the card has in the same place with other bytes is written anew.
        let wanted: HashSet<Chunk> = chunks.iter().copied().collect();
        let there: HashSet<Chunk> = self.chunks.iter().copied().collect();
        let kept = self.written.into_iter().filter(|written| wanted.contains(&written.chunk)).collect();
        // The golden image's bytes must not stay where the card's own edits freed a block.
        let mut rest = left_over(&self.chunks, &chunks, alignment);
        rest.extend(chunks.into_iter().filter(|chunk| !there.contains(chunk)));
        rest.sort_by_key(|chunk| chunk.range.start);
        (kept, rest)
    }
}

impl Writer<'_> {
    /// Where the golden image is still being decoded: writes what every card has of it, and has the card's image made.
    pub(super) fn write_early(&mut self, source: &mut CardSource<'_>, task: &mut dyn Task) -> Result<Early, CardError> {
        let CardSource::Streaming { from, made } = source else { return Ok(Early::default()) };
        let mut chunks = mapped_chunks(from.golden);
        // A chunk that fills its sectors only in part shares them with one that may be the card's own: later.
        chunks.retain(|chunk| widen(chunk.range, self.alignment) == chunk.range);
        self.begin_stage(Stage::Write, Some(total(&chunks)), task)?;
        let written = self.write_chunks(from.image, &chunks, task)?;
        // What was written so far was not compared with the manifest as a whole. Only now it is known to be right, and
        // no activation is spent on a golden image that is not.
        from.image.wait().map_err(|error| CardError::Source { what: error.to_string() })?;
        self.begin_stage(Stage::Prepare, None, task)?;
        *made = Some((from.make)().map_err(|what| CardError::Prepare { what })?);
        Ok(Early { chunks, written })
    }
}
