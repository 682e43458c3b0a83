//! Bench mode: goes on with the next card in each slot until as many as were asked for are done.
//!
//! A card that was just written is never written again: another one must have taken its place first. For SD cards in a
//! slot of their own the CID tells, and all that were done are remembered; a USB reader tells only that the medium was
//! exchanged (another `diskseq`), or that it was gone for a while.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;

use super::batch::{BatchOutcome, FlashJob, flash_one};
use super::devices::{self, Device, Host, Identity, Transport};
use super::failure::FailureKind;
use super::gate::{self, GateOptions};
use crate::image::ByteSize;

/// How often a slot is looked at. A person needs a second to change a card.
const LOOK: Duration = Duration::from_millis(250);

/// What is left to do, for all slots together.
struct Tally {
    /// Cards that no slot has begun yet.
    open: usize,
    /// CIDs of SD cards that are done.
    done: BTreeSet<String>,
    receipts: Vec<super::Receipt>,
}

/// Makes `count` verified cards in the slots of `targets`, which are devices. A card that fails does not count.
///
/// Every target passed the gate before ([`gate::clear_all`]) and was let go of; it passes it again for every card. A
/// target is looked up anew each time, so that a link below `/dev/disk/by-path` names the slot and not the card.
pub fn flash_many(
    job: &FlashJob<'_>,
    host: &Host,
    targets: &[PathBuf],
    options: &GateOptions,
    needed: ByteSize,
    count: usize,
) -> BatchOutcome {
    let tally = Mutex::new(Tally { open: count, done: BTreeSet::new(), receipts: Vec::new() });
    thread::scope(|scope| {
        for target in targets {
            let slot = Slot { job, host, target, options, needed, tally: &tally };
            if let Err(error) = thread::Builder::new().name("slot".to_owned()).spawn_scoped(scope, move || slot.work())
            {
                job.progress.warn(&format!("{} is not used: {error}", target.display()));
            }
        }
    });
    BatchOutcome { receipts: tally.into_inner().unwrap_or_else(PoisonError::into_inner).receipts }
}

struct Slot<'a> {
    job: &'a FlashJob<'a>,
    host: &'a Host,
    target: &'a Path,
    options: &'a GateOptions,
    needed: ByteSize,
    tally: &'a Mutex<Tally>,
}

impl Slot<'_> {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut last: Option<Identity> = None;
        let name = self.look().map_or_else(|| self.target.display().to_string(), |device| device.place());
        loop {
            if !self.claim() {
                return;
            }
            if last.is_some() {
                self.job.progress.note(&format!("{name}: take the card out and put the next one in"));
            }
            let Some(device) = self.next_card(last.take(), &name) else {
                self.tally().open += 1;
                return;
            };
            let medium = match gate::clear(self.host, self.target, self.options, self.needed) {
                Ok(medium) => medium,
                Err(error) => {
                    self.job.progress.warn(&format!("{name}: {error}; {}", error.next_step()));
                    self.tally().open += 1;
                    last = Some(device.identity());
                    continue;
                }
            };
            let receipt = flash_one(self.job, medium);
            let failure = receipt.failure().map(|failure| failure.kind);
            let mut tally = self.tally();
            tally.receipts.push(receipt);
            match failure {
                // No card is at fault: the next one would fare no better.
                Some(FailureKind::Preparation | FailureKind::Source | FailureKind::Cancelled) => {
                    tally.open += 1;
                    return;
                }
                Some(_) => tally.open += 1,
                None => {
                    if let (Transport::Sd, Some(cid)) = (device.transport, &device.serial) {
                        tally.done.insert(cid.clone());
                    }
                }
            }
            drop(tally);
            last = Some(device.identity());
        }
    }

    /// Takes one of the open cards. A slot whose card fails puts it back and goes on with it itself.
    fn claim(&self) -> bool {
        let mut tally = self.tally();
        if tally.open == 0 || self.job.cancel.load(Ordering::Relaxed) {
            return false;
        }
        tally.open -= 1;
        true
    }

    /// Waits until a card is in the slot that was not there before. `None` when cancelled.
    fn next_card(&self, last: Option<Identity>, name: &str) -> Option<Device> {
        let mut was_gone = last.is_none();
        let mut told: Option<String> = None;
        if last.is_none() && self.look().is_none_or(|device| device.size.0 == 0) {
            self.job.progress.note(&format!("{name}: put a card in"));
        }
        loop {
            if self.job.cancel.load(Ordering::Relaxed) {
                return None;
            }
            match self.look() {
                None => was_gone = true,
                Some(device) if device.size.0 == 0 => was_gone = true,
                Some(device) => {
                    let exchanged = was_gone || last.as_ref().is_some_and(|last| *last != device.identity());
                    let done = device.transport == Transport::Sd
                        && device.serial.as_ref().is_some_and(|cid| self.tally().done.contains(cid));
                    let fixed_ok = self.options.says_again(self.target);
                    let hindered = device.obstacle(fixed_ok, Some(self.needed));
                    let why = match (exchanged, done, hindered) {
                        (true, false, None) => return Some(device),
                        (true, true, _) => Some("this card is done already; put in the next one".to_owned()),
                        // Desktops mount what is put in: that is said, and waited for.
                        (true, false, Some(hindered)) => {
                            Some(format!("{hindered}; {}", hindered.next_step(&device.path.display().to_string())))
                        }
                        (false, ..) => None,
                    };
                    if why.is_some() && why != told {
                        self.job.progress.warn(&format!("{name}: {}", why.as_deref().unwrap_or_default()));
                        told = why;
                    }
                }
            }
            thread::sleep(LOOK);
        }
    }

    /// The device in this slot now.
    fn look(&self) -> Option<Device> {
        // Opening it makes the kernel ask the reader whether the medium is still the same. Nothing is read.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let _ = OpenOptions::new().read(true).custom_flags(flags).open(self.target);
        let real = std::fs::canonicalize(self.target).ok()?;
        devices::list(self.host).ok()?.into_iter().find(|device| device.path == real)
    }
}
