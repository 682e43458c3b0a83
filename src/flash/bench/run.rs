//! Runs a bench: one thread for each slot, and one that listens for cards.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::at_start::AtStart;
use super::card_count::CardCount;
use super::news::Notes;
use super::setup::Bench;
use super::slot_work::SlotWork;
use crate::flash::batch::{BatchOutcome, FlashJob};
use crate::flash::gate::{GateOptions, ShownTarget};
use crate::flash::hotplug::Hotplug;
use crate::flash::identity::MediumIdentity;
use crate::flash::slots::{Slot, SlotPlace};
use crate::storage::Host;
use crate::units::ByteSize;

impl Bench<'_> {
    /// Makes the cards. Returns when there are enough, when every slot gave up, or when it was told to stop.
    ///
    /// A card that fails does not count. A slot gives up where no card is at fault: the next one would fare no better.
    pub fn run(&self) -> BatchOutcome {
        let count = CardCount::new(self.count);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            // Without messages it is looked more often; that is all.
            let _ =
                thread::Builder::new().name("hotplug".to_owned()).spawn_scoped(scope, || self.hotplug.listen(&over));
            // A scope within the scope: the listener is told that it is over only when the last slot ended.
            thread::scope(|scope| {
                for slot in self.slots {
                    let count = &count;
                    let work = move || SlotWork::new(self, slot, count).work();
                    if let Err(error) = thread::Builder::new().name("slot".to_owned()).spawn_scoped(scope, work) {
                        self.job.progress.warn(&format!("{} is not used: {error}", slot.name));
                    }
                }
            });
            over.store(true, Ordering::Relaxed);
        });
        BatchOutcome { receipts: count.into_receipts() }
    }
}

/// Makes `count` verified cards in the slots of `targets`, which are devices. A card that fails does not count.
///
/// The first card of each slot is the one that was shown; every card passes the gate on its own. A target is looked up anew
/// each time, so that a link below `/dev/disk/by-path` names the slot and not the card.
pub fn flash_many(
    job: &FlashJob<'_>,
    host: &Host,
    targets: &[ShownTarget],
    options: &GateOptions,
    needed: ByteSize,
    count: usize,
) -> BatchOutcome {
    let mut at_start = AtStart::default();
    let mut slots = Vec::new();
    for target in targets {
        let name = target.record.slot.clone().unwrap_or_else(|| target.record.path.display().to_string());
        let slot = Slot { name, place: SlotPlace::Path(target.path.clone()) };
        if let MediumIdentity::Device(shown) = &target.identity {
            at_start.add(&slot, shown.clone());
        }
        slots.push(slot);
    }
    let (view, no_more, hotplug) = (Notes(job.progress), AtomicBool::new(false), Hotplug::new());
    let (count, view, no_more, hotplug, at_start) = (Some(count), &view, &no_more, &hotplug, &at_start);
    Bench { job, host, slots: &slots, at_start, options, needed, count, view, no_more, hotplug }.run()
}
