//! What the slots held before the bench began. Who puts a card into a slot of a running bench means it. Who exchanged one
//! while a question was on the screen may have meant the other one.

use std::collections::HashMap;
use std::io;

use super::recognise::holds_something;
use crate::flash::devices::{self, Device};
use crate::flash::gate::GateOptions;
use crate::flash::identity::Identity;
use crate::flash::slots::{Slot, SlotPlace};
use crate::storage::Host;
use crate::units::ByteSize;

/// What the slots held when a person was asked about it, or when a run with `--yes` began.
#[derive(Debug, Clone, Default)]
pub struct AtStart {
    /// By the slot's place: the card that may be erased, or none.
    cards: HashMap<SlotPlace, Option<Identity>>,
}

impl AtStart {
    /// Looks, and answers also what a person has to be asked about: what would be erased although nobody put it in for
    /// that. A blank card is not asked about.
    ///
    /// # Errors
    /// As [`devices::list`].
    pub fn look(
        host: &Host,
        slots: &[Slot],
        options: &GateOptions,
        needed: ByteSize,
    ) -> io::Result<(AtStart, Vec<Device>)> {
        let (mut at_start, mut in_use) = (AtStart::default(), Vec::new());
        // Reading makes the kernel ask the reader whether the card is still the same; only then sysfs says which it is.
        let before = devices::list(host)?;
        let used = |slot: &Slot| slot.place.device(&before).is_some_and(|device| holds_something(&device.path));
        let used: Vec<bool> = slots.iter().map(used).collect();
        let now = devices::list(host)?;
        for (slot, used) in slots.iter().zip(used) {
            let here = slot.place.device(&now).filter(|device| device.size.0 > 0);
            // What the gate refuses is not erased, and so nobody is asked about it. Should it be free later, it is not
            // a card that anybody said yes to.
            let taken = here.filter(|device| device.refusal(options.is_fixed_ok(&device.path), Some(needed)).is_none());
            in_use.extend(taken.filter(|_| used).cloned());
            at_start.cards.insert(slot.place.clone(), taken.map(Device::identity));
        }
        Ok((at_start, in_use))
    }

    /// One card that was shown.
    pub(super) fn add(&mut self, slot: &Slot, shown: Identity) {
        self.cards.insert(slot.place.clone(), Some(shown));
    }

    /// For a run that asks nobody: who fills an empty slot after it began means it.
    #[must_use]
    pub fn empty_slots_are_free(mut self) -> AtStart {
        self.cards.retain(|_, card| card.is_some());
        self
    }

    /// What was shown of a slot: nothing is known of it where it is `None`, and there was no card for the taking where
    /// it holds `None`.
    pub(super) fn of(&self, slot: &Slot) -> Option<&Option<Identity>> {
        self.cards.get(&slot.place)
    }
}
