//! What a bench is to do, and with what.

use std::sync::atomic::AtomicBool;

use super::at_start::AtStart;
use super::news::BenchView;
use crate::flash::batch::FlashJob;
use crate::flash::gate::GateOptions;
use crate::flash::hotplug::Hotplug;
use crate::flash::slots::Slot;
use crate::storage::Host;
use crate::units::ByteSize;

/// What a bench is to do.
pub struct Bench<'a> {
    /// What all cards have in common.
    pub job: &'a FlashJob<'a>,
    /// This machine.
    pub host: &'a Host,
    /// Where cards are put in. A place is looked up anew for each card.
    pub slots: &'a [Slot],
    /// What the slots held when it was shown to a person.
    pub at_start: &'a AtStart,
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
