//! What a card is written to and read back from.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::buffer::{Pooled, SharedBytes};
use super::request_limits::RequestLimits;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// Something that can be read past every cache of this machine.
pub trait ReadBack: Send + Sync {
    /// How large it is, in bytes.
    fn size(&self) -> ByteSize;

    /// Fills `buf` with what the medium itself holds from `at`, not with what this machine remembers.
    ///
    /// # Errors
    /// Whatever the device reports.
    fn read_back(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()>;

    /// As [`ReadBack::read_back`], into a part of memory that is given away and comes back with the answer: a request that
    /// is given up may still be written to it.
    ///
    /// # Errors
    /// As [`ReadBack::read_back`]. The memory does not come back then.
    fn read_back_into(&self, at: ByteOffset, mut buffer: Pooled, part: Range<usize>) -> io::Result<Pooled> {
        self.read_back(at, buffer.get_mut(part).ok_or(io::ErrorKind::InvalidInput)?)?;
        Ok(buffer)
    }
}

/// A medium that may be written to.
///
/// In this library only what passed the gate is one: [`super::gate::VettedDevice`] and [`super::gate::VettedFile`].
/// The writer takes nothing else. Tests add cards that misbehave.
pub trait Medium: ReadBack {
    /// How people and receipts know it.
    fn record(&self) -> MediumRecord;

    /// What the device writes at least, in bytes (a sector): offsets and lengths are multiples of it.
    fn alignment(&self) -> ByteSize;

    /// How much it takes at once. Whoever wraps a medium passes on what that one says.
    fn limits(&self) -> RequestLimits {
        RequestLimits::default()
    }

    /// Puts `bytes` at `at`. Called by several threads at once, for places that do not overlap.
    ///
    /// # Errors
    /// Whatever the device reports.
    fn write_at(&self, at: ByteOffset, bytes: &[u8]) -> io::Result<()>;

    /// As [`Medium::write_at`], of memory that may be held on to for longer than this call takes: a request that is given
    /// up may still be read from it.
    ///
    /// # Errors
    /// As [`Medium::write_at`].
    fn write_shared(&self, at: ByteOffset, bytes: &SharedBytes) -> io::Result<()> {
        self.write_at(at, bytes)
    }

    /// Returns when the device says that all written bytes are on the medium.
    ///
    /// # Errors
    /// Whatever the device reports; also for writes that failed behind our back.
    fn sync(&self) -> io::Result<()>;

    /// Tells the device that it need not keep a range of bytes.
    ///
    /// # Errors
    /// `Unsupported` where the device has no such thing.
    fn discard(&self, range: ByteRange) -> io::Result<()>;

    /// Whether it is new, so that it reads as zeros wherever nothing was written.
    fn is_fresh(&self) -> bool;

    /// Whether this is still the medium that the gate let through.
    ///
    /// # Errors
    /// In words, what is different.
    fn check_identity(&self) -> Result<(), String>;

    /// What its slot is called at this bench: receipts and messages name the slot so from now on.
    fn name_slot(&mut self, _name: &str) {}

    /// All of it was verified: let go of it. A card image gets its name here and not before.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// A medium as receipts, the ledger and messages name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediumRecord {
    /// Device node or file.
    #[serde(serialize_with = "crate::printable::path_in_json")]
    pub path: PathBuf,
    /// The reader's place (`usb-1-4.2`, `mmc0`), where it is a device in a reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Vendor and model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The card's CID or the reader's serial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Its size in bytes.
    pub size: ByteSize,
}

impl MediumRecord {
    /// `card in slot "usb-1-4.2" (/dev/sdb)`, or `card image kiosk-1.img`.
    pub fn name(&self) -> String {
        match &self.slot {
            Some(slot) => format!("card in slot {slot:?} ({})", self.path.display()),
            None if self.path.starts_with("/dev") => format!("card {}", self.path.display()),
            None => format!("card image {}", self.path.display()),
        }
    }
}
