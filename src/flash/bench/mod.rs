//! The bench: goes on with the next card in each slot until as many as were asked for are verified. It decides when a
//! card is begun and which card is refused; how a card is written is [`batch`](super::batch)'s business, and what a person
//! sees of it that of a [`BenchView`]. Nothing is written to what is not in one of its slots and passed the gate.
//!
//! A card that was just written is never written again: another one must have taken its place first. For SD cards in a
//! slot of their own the CID tells, and all that were done are remembered; a USB reader tells only that the medium was
//! exchanged (another `diskseq`), or that it was gone for a while. So before a card is begun, what is on it is compared
//! with what only the finished cards of this batch have. And a card that was exchanged before the bench began, after a
//! person was shown what is in the slots, waits until it was taken out once.

mod at_start;
mod card_count;
mod news;
mod recognise;
mod run;
mod setup;
mod slot_work;

pub use at_start::AtStart;
pub use news::{BenchView, Notes, SlotNews};
pub use recognise::holds_something;
pub use run::flash_many;
pub use setup::Bench;
