//! Writes one card so that it boots only when all of it was verified.
//!
//! The order is the point: wipe the first MiB and the last one; write everything else; read all of it back from the
//! medium; only then the first MiB, with the block that holds the partition table as the very last write. Whatever
//! stops this at whatever moment, a Pi finds no partition table. The order itself is in `order.rs`, each step in a file
//! of its own.

mod body;
mod card_source;
mod changed_only;
mod guard;
mod head;
mod order;
mod read_back;
mod requests;
mod state;
mod streaming;
mod unused_space;
mod written;

use super::chunk_cache::ChunkCache;
use super::chunks::CardImage;
use super::failure::CardFailure;
use super::medium::Medium;
use super::options::WriteOptions;
use super::write_report::WriteReport;
use crate::image::BlockMap;
use crate::progress::Task;

use card_source::CardSource;
use state::Writer;

pub use card_source::StreamingCard;
pub use guard::Guard;
pub use requests::TRIES;

/// Writes `card` to `medium` and verifies it.
///
/// # Errors
/// [`CardFailure`], which says what is on the medium now.
pub fn write_card(
    medium: &dyn Medium,
    card: &CardImage,
    options: WriteOptions,
    task: &mut dyn Task,
    guard: Guard<'_>,
) -> Result<WriteReport, CardFailure> {
    write_card_sharing(&ChunkCache::default(), medium, card, options, task, guard)
}

/// As [`write_card`], for one of several cards that share what they read of their golden image.
///
/// # Errors
/// As [`write_card`].
pub fn write_card_sharing(
    cache: &ChunkCache,
    medium: &dyn Medium,
    card: &CardImage,
    options: WriteOptions,
    task: &mut dyn Task,
    guard: Guard<'_>,
) -> Result<WriteReport, CardFailure> {
    Writer::new(cache, medium, guard.cancel).write(&mut CardSource::Made(card), options, task, guard.before_seal)
}

/// As [`write_card_sharing`], while the golden image is still being decoded. Answers the card's own map, too.
///
/// # Errors
/// [`CardFailure`], which says what is on the medium now.
pub fn write_card_streaming(
    cache: &ChunkCache,
    medium: &dyn Medium,
    from: StreamingCard<'_>,
    options: WriteOptions,
    task: &mut dyn Task,
    guard: Guard<'_>,
) -> Result<(WriteReport, BlockMap), CardFailure> {
    let mut source = CardSource::Streaming { from, made: None };
    let report = Writer::new(cache, medium, guard.cancel).write(&mut source, options, task, guard.before_seal)?;
    // A card that was written was made: there is no report without a map.
    let map = source.card().map(|card| card.map.clone()).unwrap_or_default();
    Ok((report, map))
}
