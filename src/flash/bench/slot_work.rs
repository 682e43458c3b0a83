//! One slot: waits for a card, has it made, waits until it was exchanged.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use rustix::fs::OFlags;

use super::card_count::{CardCount, Claim};
use super::news::{InSlot, SlotNews};
use super::recognise;
use super::setup::Bench;
use crate::activation::Activation;
use crate::flash::batch::{CardMaker, FlashJob, MakeError, flash_one};
use crate::flash::chunks::CardImage;
use crate::flash::devices::{self, Device, Transport};
use crate::flash::failure::FailureKind;
use crate::flash::gate;
use crate::flash::identity::{Identity, MediumIdentity};
use crate::flash::medium::Medium;
use crate::flash::slots::{Slot, SlotPlace};
use crate::ledger::CardReservation;
use crate::source::StreamingImage;

pub(super) struct SlotWork<'a> {
    bench: &'a Bench<'a>,
    slot: &'a Slot,
    count: &'a CardCount,
    /// What was shown of this slot before the bench began, until that card was begun or taken out.
    shown: Option<Option<Identity>>,
    /// The card that ended here last, for as long as it may still be in the slot.
    last: Option<Identity>,
    /// The card that is in the slot, as far as anybody was told.
    here: Option<Identity>,
    /// The last thing that was said about it.
    said: Option<String>,
    /// A hindrance that was met once: many go by themselves while a card settles.
    met: Option<String>,
}

/// What looking at a slot came to.
enum Look {
    Wait,
    Begin(Box<dyn Medium>, Box<Device>),
    End,
}

impl<'a> SlotWork<'a> {
    pub(super) fn new(bench: &'a Bench<'a>, slot: &'a Slot, count: &'a CardCount) -> SlotWork<'a> {
        let shown = bench.at_start.of(slot).cloned();
        SlotWork { bench, slot, count, shown, last: None, here: None, said: None, met: None }
    }

    fn tell(&self, news: &SlotNews<'_>) {
        self.bench.view.news(self.slot, news);
    }

    pub(super) fn work(mut self) {
        let mut rung = 0;
        if self.device().is_none() {
            self.tell(&SlotNews::Empty);
        }
        loop {
            match self.look() {
                Look::Wait => self.bench.hotplug.wait(&mut rung),
                Look::End => break,
                Look::Begin(medium, device) => {
                    if !self.make(medium, &device) {
                        break;
                    }
                }
            }
        }
        self.tell(&SlotNews::Closed);
    }

    /// Makes one card, and answers whether the slot goes on.
    fn make(&mut self, mut medium: Box<dyn Medium>, device: &Device) -> bool {
        let Bench { job, view, .. } = self.bench;
        let slot = self.slot;
        if slot.name != device.place() {
            medium.name_slot(&slot.name);
        }
        let progress = InSlot { slot, view: *view, rest: job.progress };
        let maker = Announced { work: self, maker: job.maker };
        let receipt = flash_one(&FlashJob { maker: &maker, progress: &progress, ..**job }, medium);
        self.tell(&SlotNews::Ended { receipt: &receipt });
        let failure = receipt.failure().map(|failure| failure.kind);
        self.count.ended(receipt);
        self.last = Some(device.identity());
        match failure {
            // No card is at fault: the next one would fare no better.
            Some(FailureKind::Preparation | FailureKind::Source | FailureKind::Cancelled) => false,
            // Whoever opens this device next would wait for the kernel, too.
            Some(FailureKind::Hung) => false,
            _ => {
                if self.count.wants_more() && !self.is_over() {
                    self.tell(&SlotNews::Exchange);
                }
                true
            }
        }
    }

    fn is_over(&self) -> bool {
        self.bench.job.cancel.load(Ordering::Relaxed) || self.bench.no_more.load(Ordering::Relaxed)
    }

    fn look(&mut self) -> Look {
        if self.is_over() || self.count.is_done() {
            return Look::End;
        }
        let Some(device) = self.device() else {
            if self.here.take().is_some() {
                self.tell(&SlotNews::Removed);
            }
            (self.last, self.said, self.met) = (None, None, None);
            // From here on whoever puts a card in sees that the bench runs.
            self.shown = None;
            return Look::Wait;
        };
        let identity = device.identity();
        if self.last.as_ref() == Some(&identity) {
            return Look::Wait;
        }
        if self.here.as_ref() != Some(&identity) {
            if self.here.is_some() {
                self.tell(&SlotNews::Removed);
            }
            self.tell(&SlotNews::Inserted { device: &device });
            (self.here, self.said, self.met) = (Some(identity.clone()), None, None);
        }
        match self.judge(&device) {
            Ok(Some(medium)) => {
                (self.last, self.shown) = (None, None);
                Look::Begin(medium, Box::new(device))
            }
            Ok(None) => Look::Wait,
            Err(Refused::Done(card)) => {
                self.say(format!("this card is done already ({card}); put in the next one"));
                self.last = Some(identity);
                Look::Wait
            }
            Err(Refused::Hindered(why)) => {
                // A desktop mounts what is put in, udev looks at it and sets who may open it: the second look counts.
                if self.met.as_ref() == Some(&why) {
                    self.say(why);
                } else {
                    self.met = Some(why);
                }
                Look::Wait
            }
        }
    }

    fn say(&mut self, why: String) {
        if self.said.as_ref() != Some(&why) {
            self.tell(&SlotNews::Held { why: &why });
            self.said = Some(why);
        }
    }

    /// Whether the card in the slot is begun now.
    fn judge(&mut self, device: &Device) -> Result<Option<Box<dyn Medium>>, Refused> {
        if let (Transport::Sd, Some(cid)) = (device.transport, &device.serial) {
            let is_it = |receipt: &crate::flash::Receipt| {
                let same = receipt.failure().is_none() && receipt.medium.serial.as_ref() == Some(cid);
                same.then(|| receipt.card.as_ref().map(|card| card.name.clone()).unwrap_or_default())
            };
            if let Some(card) = self.count.find(is_it) {
                return Err(Refused::Done(card));
            }
        }
        let options = self.bench.options;
        let target = self.target(device);
        if let Some(hindered) = device.refusal(options.is_fixed_ok(target), Some(self.bench.needed)) {
            let next = hindered.next_step(&device.path.display().to_string());
            return Err(Refused::Hindered(format!("{hindered}; {next}")));
        }
        self.check_shown(device)?;
        // Asked again now that the card was seen: one that is put in after "no more" was said is not begun.
        if self.is_over() {
            return Ok(None);
        }
        match self.count.claim() {
            Claim::Yes => {}
            Claim::NotNow => {
                if self.said.as_deref() != Some("") {
                    self.tell(&SlotNews::Spare);
                    self.said = Some(String::new());
                }
                return Ok(None);
            }
            Claim::Never => return Ok(None),
        }
        let judged = self.clear(target, device);
        if judged.is_err() {
            self.count.put_back();
        }
        judged.map(Some)
    }

    fn clear(&self, target: &Path, device: &Device) -> Result<Box<dyn Medium>, Refused> {
        let Bench { host, options, needed, .. } = self.bench;
        // The card that was told of and judged, and no other: between the look and the gate it can be exchanged, and a
        // name can go to another device.
        let seen = MediumIdentity::Device(device.identity());
        let medium = gate::clear_as(host, target, &seen, options, *needed)
            .map_err(|error| Refused::Hindered(format!("{error}; {}", error.next_step())))?;
        let record = medium.record();
        if (&record.slot, &record.path) != (&device.slot, &device.path) {
            return Err(Refused::Hindered("another device came in its place; put the card in again".to_owned()));
        }
        if let Some(card) = recognise::recognise(&*medium, &self.count.verified()) {
            return Err(Refused::Done(card));
        }
        // What was recognised says nothing of a card that came meanwhile.
        match medium.check_identity() {
            Ok(()) => Ok(medium),
            Err(what) => Err(Refused::Hindered(format!("{what}; put the card in again"))),
        }
    }

    /// Whether a card that was in the slot before the bench began is the one that a person was shown. A blank one has
    /// nothing to lose.
    fn check_shown(&self, device: &Device) -> Result<(), Refused> {
        let now = device.identity();
        let was = match &self.shown {
            Some(Some(shown)) if *shown != now => format!("that was {shown}, this is {now}"),
            Some(None) => format!("there was none that could be erased, this is {now}"),
            _ => return Ok(()),
        };
        if !recognise::holds_something(&device.path) {
            return Ok(());
        }
        Err(Refused::Hindered(format!(
            "this is not the card that was shown before the bench began ({was}; compared were {}); nothing was written to \
             it: if it is meant, take it out and put it in again",
            now.compared()
        )))
    }

    /// A device that was named by a path is opened by that path: `--fixed-ok` may name it the same way.
    fn target<'t>(&'t self, device: &'t Device) -> &'t Path {
        match &self.slot.place {
            SlotPlace::Path(path) => path,
            SlotPlace::Port(_) => &device.path,
        }
    }

    /// The device in this slot now, if there is a card in it.
    fn device(&self) -> Option<Device> {
        let list = || devices::list(self.bench.host).ok();
        let here = self.slot.place.device(&list()?)?.clone();
        // Opening it makes the kernel ask the reader whether the medium is still the same. Nothing is read.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let _ = OpenOptions::new().read(true).custom_flags(flags).open(&here.path);
        let device = self.slot.place.device(&list()?)?.clone();
        (device.size.0 > 0).then_some(device)
    }
}

/// Why a card is not begun.
enum Refused {
    /// This batch made it.
    Done(String),
    /// Something is in the way.
    Hindered(String),
}

/// Tells of each card when its image is made: from then on it has a name.
struct Announced<'a> {
    work: &'a SlotWork<'a>,
    maker: &'a dyn CardMaker,
}

impl CardMaker for Announced<'_> {
    fn make(&self, card: &CardReservation, activation: Option<&Activation>) -> Result<CardImage, MakeError> {
        self.work.tell(&SlotNews::Started { card });
        self.maker.make(card, activation)
    }

    fn streaming(&self) -> Option<&StreamingImage> {
        self.maker.streaming()
    }
}
