//! What a card is written from: its own image, or a golden image that is still being decoded.

use crate::flash::chunks::CardImage;
use crate::image::{BlockMap, ReadAt};
use crate::source::StreamingImage;
use crate::units::ByteSize;

/// A golden image that is still being decoded, and what makes a card's image of it.
pub struct StreamingCard<'a> {
    /// It waits for what is not there yet.
    pub image: &'a StreamingImage,
    /// The golden image's map.
    pub golden: &'a BlockMap,
    /// Makes the card's image; called once, when all is there.
    pub make: &'a mut dyn FnMut() -> Result<CardImage, String>,
}

/// What a card is written from.
pub(super) enum CardSource<'a> {
    /// Its image is made.
    Made(&'a CardImage),
    /// The golden image is still being decoded, and the card's image is made when that is done.
    Streaming { from: StreamingCard<'a>, made: Option<CardImage> },
}

impl CardSource<'_> {
    /// How large the card's image is, or will be: making it changes no size.
    pub(super) fn size(&self) -> ByteSize {
        match self {
            CardSource::Made(card) => card.image.size(),
            CardSource::Streaming { from, .. } => from.image.size(),
        }
    }

    /// The card's image, once it is made.
    pub(super) fn card(&self) -> Option<&CardImage> {
        match self {
            CardSource::Made(card) => Some(card),
            CardSource::Streaming { made, .. } => made.as_ref(),
        }
    }
}
