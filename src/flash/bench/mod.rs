//! The bench: goes on with the next card in each slot until as many as were asked for are verified. It decides when a
//! card is begun and which card is refused; how a card is written is [`batch`](super::batch)'s business, and what a person
//! sees of it that of a [`BenchView`]. Nothing is written to what is not in one of its slots and passed the gate.
//!
//! A card that was just written is never written again: another one must have taken its place first. For SD cards in a
//! slot of their own the CID tells, and all that were done are remembered; a USB reader tells only that the medium was
//! exchanged (another `diskseq`), or that it was gone for a while. So before a card is begun, what is on it is compared
//! with what only the finished cards of this batch have.

mod done;
mod slot;
mod tally;
mod view;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::batch::{BatchOutcome, FlashJob};
use super::devices::{self, Host};
use super::gate::GateOptions;
use super::hotplug::Hotplug;
use super::slots::{Slot, SlotPlace};
use crate::units::ByteSize;

pub use done::holds_something;
pub use view::{BenchView, Notes, SlotNews};

use tally::Tally;

/// What a bench is to do.
pub struct Bench<'a> {
    /// What all cards have in common.
    pub job: &'a FlashJob<'a>,
    /// This machine.
    pub host: &'a Host,
    /// Where cards are put in. A place is looked up anew for each card.
    pub slots: &'a [Slot],
    /// What was said about the devices.
    pub options: &'a GateOptions,
    /// How large a card has to be, in bytes.
    pub needed: ByteSize,
    /// How many verified cards are wanted; as many as come where it is `None`.
    pub count: Option<usize>,
    /// Who is told.
    pub view: &'a dyn BenchView,
    /// Set from outside: no card is begun any more, and those that are under way are finished.
    pub no_more: &'a AtomicBool,
    /// Where it is heard from that a card was put in.
    pub hotplug: &'a Hotplug,
}

impl Bench<'_> {
    /// Makes the cards. Returns when there are enough, when every slot gave up, or when it was told to stop.
    ///
    /// A card that fails does not count. A slot gives up where no card is at fault: the next one would fare no better.
    pub fn run(&self) -> BatchOutcome {
        let tally = Tally::new(self.count);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            // Without messages it is looked more often; that is all.
            let _ =
                thread::Builder::new().name("hotplug".to_owned()).spawn_scoped(scope, || self.hotplug.listen(&over));
            thread::scope(|scope| {
                for slot in self.slots {
                    let tally = &tally;
                    let work = move || slot::SlotWork::new(self, slot, tally).work();
                    if let Err(error) = thread::Builder::new().name("slot".to_owned()).spawn_scoped(scope, work) {
                        self.job.progress.warn(&format!("{} is not used: {error}", slot.name));
                    }
                }
            });
            over.store(true, Ordering::Relaxed);
        });
        BatchOutcome { receipts: tally.into_receipts() }
    }
}

/// Makes `count` verified cards in the slots of `targets`, which are devices. A card that fails does not count.
///
/// Every target passed the gate before ([`super::gate::clear_all`]) and was let go of; it passes it again for every card.
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
