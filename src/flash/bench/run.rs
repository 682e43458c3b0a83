//! Runs a bench: one thread for each slot, and one that listens for cards.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::card_count::CardCount;
use super::news::Notes;
use super::setup::Bench;
use super::slot_work::SlotWork;
use crate::flash::batch::{BatchOutcome, FlashJob};
use crate::flash::devices;
use crate::flash::gate::GateOptions;
use crate::flash::hotplug::Hotplug;
use crate::flash::slots::{Slot, SlotPlace};
use crate::flash::sysfs::Host;
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
/// Every target passed the gate before ([`crate::flash::gate::clear_all`]) and was let go of; it passes it again for every
/// card.
/// A target is looked up anew each time, so that a link below `/dev/disk/by-path` names the slot and not the card.
pub fn flash_many(
    job: &FlashJob<'_>,
    host: &Host,
    targets: &[PathBuf],
    options: &GateOptions,
    needed: ByteSize,
    count: usize,
) -> BatchOutcome {
    let devices = devices::list(host).unwrap_or_default();
    let slot = |target: &PathBuf| {
        let place = SlotPlace::Path(target.clone());
        let name = place.device(&devices).map_or_else(|| target.display().to_string(), |device| device.place());
        Slot { name, place }
    };
    let slots: Vec<Slot> = targets.iter().map(slot).collect();
    let (view, no_more, hotplug) = (Notes(job.progress), AtomicBool::new(false), Hotplug::new());
    let (count, view, no_more, hotplug) = (Some(count), &view, &no_more, &hotplug);
    Bench { job, host, slots: &slots, options, needed, count, view, no_more, hotplug }.run()
}
