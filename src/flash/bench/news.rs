//! What a person or a program is told of the slots.

use crate::flash::devices::Device;
use crate::flash::receipt::Receipt;
use crate::flash::slots::Slot;
use crate::ledger::CardReservation;
use crate::progress::{Progress, Task};
use crate::units::ByteSize;

/// What became of a slot.
#[derive(Debug)]
pub enum SlotNews<'a> {
    /// There is no card in it, and one is wanted.
    Empty,
    /// A card was put in.
    Inserted {
        /// The device that it is.
        device: &'a Device,
    },
    /// The card in it is not taken, for as long as this holds.
    Held {
        /// Why, and what to do.
        why: &'a str,
    },
    /// The card in it is not needed, unless one of those that are under way fails.
    Spare,
    /// A card is made.
    Started {
        /// Its name and number.
        card: &'a CardReservation,
    },
    /// A card ended.
    Ended {
        /// How.
        receipt: &'a Receipt,
    },
    /// The card that ended is to be taken out, and the next one to be put in.
    Exchange,
    /// The card was taken out.
    Removed,
    /// No card is taken in this slot any more.
    Closed,
}

/// Who is told of the slots. Called from each slot's own thread.
pub trait BenchView: Send + Sync {
    /// Something became of a slot.
    fn news(&self, slot: &Slot, news: &SlotNews<'_>);

    /// Work begins on the card in a slot.
    fn task(&self, slot: &Slot, label: &str, total: Option<ByteSize>) -> Box<dyn Task>;
}

/// Tells by notes what a person has to do, and leaves everything else to tasks and receipts.
pub struct Notes<'a>(pub &'a dyn Progress);

impl BenchView for Notes<'_> {
    fn news(&self, slot: &Slot, news: &SlotNews<'_>) {
        let name = &slot.name;
        match news {
            SlotNews::Empty => self.0.note(&format!("{name}: put a card in")),
            SlotNews::Exchange => self.0.note(&format!("{name}: take the card out and put the next one in")),
            SlotNews::Held { why } => self.0.warn(&format!("{name}: {why}")),
            SlotNews::Spare => {
                self.0.note(&format!("{name}: this card is needed only if one of those under way fails"));
            }
            SlotNews::Inserted { .. }
            | SlotNews::Started { .. }
            | SlotNews::Ended { .. }
            | SlotNews::Removed
            | SlotNews::Closed => {}
        }
    }

    fn task(&self, _: &Slot, label: &str, total: Option<ByteSize>) -> Box<dyn Task> {
        self.0.task(label, total)
    }
}

/// Tells the view of the tasks in a slot, and everybody of notes and warnings.
pub(super) struct InSlot<'a> {
    pub(super) slot: &'a Slot,
    pub(super) view: &'a dyn BenchView,
    pub(super) rest: &'a dyn Progress,
}

impl Progress for InSlot<'_> {
    fn task(&self, label: &str, total: Option<ByteSize>) -> Box<dyn Task> {
        self.view.task(self.slot, label, total)
    }

    fn note(&self, text: &str) {
        self.rest.note(text);
    }

    fn warn(&self, text: &str) {
        self.rest.warn(text);
    }
}
