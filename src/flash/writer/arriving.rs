//! Writing while the golden image is still being decoded.
//!
//! A card's own image cannot be made before the golden one is there, because its file systems lie all over it. But what
//! every card has can be written as it arrives. When it has all arrived, and is what the manifest says, the card's image
//! is made and what differs is written over it. An activation's code comes near a card only then.

use std::collections::HashSet;

use super::body::Written;
use super::{Guard, Source, WriteReport, Writer};
use crate::flash::failure::{CardFailure, Stage, Trouble};
use crate::flash::medium::Medium;
use crate::flash::options::WriteOptions;
use crate::flash::region::{CardImage, Region, left_over, mapped_regions, widen};
use crate::flash::shared::SharedPieces;
use crate::image::{BlockMap, ReadAt};
use crate::progress::Task;
use crate::source::StreamingImage;
use crate::units::ByteSize;

/// A golden image that is still being decoded, and what makes a card's image of it.
pub struct Arriving<'a> {
    /// It waits for what is not there yet.
    pub image: &'a StreamingImage,
    /// The golden image's map.
    pub golden: &'a BlockMap,
    /// Makes the card's image; called once, when all is there.
    pub make: &'a mut dyn FnMut() -> Result<CardImage, String>,
}

/// As [`super::write_card_of`], while the golden image is still being decoded. Answers the card's own map, too.
///
/// # Errors
/// [`CardFailure`], which says what is on the medium now.
pub fn write_card_arriving(
    pieces: &SharedPieces,
    medium: &dyn Medium,
    from: Arriving<'_>,
    options: WriteOptions,
    task: &mut dyn Task,
    guard: Guard<'_>,
) -> Result<(WriteReport, BlockMap), CardFailure> {
    let mut source = Source::Arriving { from, made: None };
    let report = Writer::new(pieces, medium, guard.cancel).write(&mut source, options, task, guard.before_seal)?;
    let map = source.card().map(|card| card.map.clone()).unwrap_or_default();
    Ok((report, map))
}

impl Source<'_> {
    pub(super) fn size(&self) -> ByteSize {
        match self {
            Source::Made(card) => card.image.size(),
            Source::Arriving { from, .. } => from.image.size(),
        }
    }

    /// The card's image, once it is made.
    pub(super) fn card(&self) -> Option<&CardImage> {
        match self {
            Source::Made(card) => Some(card),
            Source::Arriving { made, .. } => made.as_ref(),
        }
    }
}

/// What was written before the card's own image was made.
#[derive(Default)]
pub(super) struct Early {
    regions: Vec<Region>,
    written: Vec<Written>,
}

impl Early {
    /// What of it the card has, too, and what is still to be written of the card's `regions` (in order).
    pub(super) fn and_rest(self, regions: Vec<Region>, grain: u64) -> (Vec<Written>, Vec<Region>) {
        if self.regions.is_empty() {
            return (self.written, regions);
        }
        let wanted: HashSet<Region> = regions.iter().copied().collect();
        let there: HashSet<Region> = self.regions.iter().copied().collect();
        let kept = self.written.into_iter().filter(|written| wanted.contains(&written.region)).collect();
        let mut rest = left_over(&self.regions, &regions, grain);
        rest.extend(regions.into_iter().filter(|region| !there.contains(region)));
        rest.sort_by_key(|region| region.range.start);
        (kept, rest)
    }
}

impl Writer<'_> {
    /// Where the golden image is still arriving: writes what every card has of it, and has the card's image made.
    pub(super) fn write_early(&mut self, source: &mut Source<'_>, task: &mut dyn Task) -> Result<Early, Trouble> {
        let Source::Arriving { from, made } = source else { return Ok(Early::default()) };
        let mut regions = mapped_regions(from.golden);
        // A piece that fills its sectors only in part shares them with one that may be the card's own: later.
        regions.retain(|region| widen(region.range, self.grain) == region.range);
        let total = ByteSize(regions.iter().map(|region| region.range.len.0).sum());
        self.enter(Stage::Write, Some(total), task)?;
        let written = self.write_regions(from.image, &regions, task)?;
        from.image.wait().map_err(|error| Trouble::Source { what: error.to_string() })?;
        self.enter(Stage::Prepare, None, task)?;
        *made = Some((from.make)().map_err(|what| Trouble::Prepare { what })?);
        Ok(Early { regions, written })
    }
}
