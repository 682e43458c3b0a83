//! Writing while the golden image is still being decoded.
//!
//! A card's own image cannot be made before the golden one is there, because its file systems lie all over it. But what
//! every card has can be written as it arrives. When it has all arrived, and is what the manifest says, the card's image
//! is made and what differs is written over it. An activation's code comes near a card only then.

use std::collections::HashSet;

use super::body::Written;
use super::card_writer::Writer;
use super::source::Source;
use crate::flash::chunks::{Chunk, left_over, mapped_chunks, widen};
use crate::flash::failure::{Stage, WriteError};
use crate::progress::Task;
use crate::units::ByteSize;

/// What was written before the card's own image was made.
#[derive(Default)]
pub(super) struct Early {
    chunks: Vec<Chunk>,
    written: Vec<Written>,
}

impl Early {
    /// What of it the card has, too, and what is still to be written of the card's `chunks` (in order).
    pub(super) fn and_rest(self, chunks: Vec<Chunk>, block_size: u64) -> (Vec<Written>, Vec<Chunk>) {
        if self.chunks.is_empty() {
            return (self.written, chunks);
        }
        let wanted: HashSet<Chunk> = chunks.iter().copied().collect();
        let there: HashSet<Chunk> = self.chunks.iter().copied().collect();
        let kept = self.written.into_iter().filter(|written| wanted.contains(&written.chunk)).collect();
        let mut rest = left_over(&self.chunks, &chunks, block_size);
        rest.extend(chunks.into_iter().filter(|chunk| !there.contains(chunk)));
        rest.sort_by_key(|chunk| chunk.range.start);
        (kept, rest)
    }
}

impl Writer<'_> {
    /// Where the golden image is still arriving: writes what every card has of it, and has the card's image made.
    pub(super) fn write_early(&mut self, source: &mut Source<'_>, task: &mut dyn Task) -> Result<Early, WriteError> {
        let Source::Streaming { from, made } = source else { return Ok(Early::default()) };
        let mut chunks = mapped_chunks(from.golden);
        // A chunk that fills its sectors only in part shares them with one that may be the card's own: later.
        chunks.retain(|chunk| widen(chunk.range, self.block_size) == chunk.range);
        let total = ByteSize(chunks.iter().map(|chunk| chunk.range.len.0).sum());
        self.enter(Stage::Write, Some(total), task)?;
        let written = self.write_chunks(from.image, &chunks, task)?;
        from.image.wait().map_err(|error| WriteError::Source { what: error.to_string() })?;
        self.enter(Stage::Prepare, None, task)?;
        *made = Some((from.make)().map_err(|what| WriteError::Prepare { what })?);
        Ok(Early { chunks, written })
    }
}
