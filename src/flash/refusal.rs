//! Why a device cannot be written to, and what a person can do about it. `devices` shows it, the gate enforces it.

use std::fmt;

use serde::Serialize;

use super::devices::Device;
use super::in_use::Use;
use crate::units::ByteSize;

/// The largest card that SDXC allows, and the largest disk whose end an MBR can name. What is larger is no card, or a
/// card that lies.
pub const LARGEST_CARD: ByteSize = ByteSize(2 << 40);

/// One reason against writing to a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refusal {
    /// The running system lies on it.
    System {
        /// What of it: `/`, `/boot/firmware`, `swap`.
        what: Vec<String>,
    },
    /// Something on it is mounted.
    Mounted {
        /// Where.
        at: Vec<String>,
    },
    /// Another device is built on it.
    Held {
        /// Which.
        by: Vec<String>,
    },
    /// A loop device is attached to it, or to a file on it.
    Looped {
        /// Which, and to what: `/dev/loop3 (/media/pi/base.img)`.
        by: Vec<String>,
    },
    /// A CD, DVD or floppy drive.
    Optical,
    /// A reader without a card.
    NoMedium,
    /// Writing is switched off.
    ReadOnly,
    /// Not made to be taken out.
    Fixed,
    /// Larger than any card: somebody's disk in a USB case.
    TooLarge {
        /// What it offers.
        size: ByteSize,
    },
    /// Smaller than the image.
    TooSmall {
        /// What it offers.
        size: ByteSize,
        /// What the image needs.
        needed: ByteSize,
    },
}

impl Device {
    /// Why this device cannot be written to, worst reason first; `None` where it can. `fixed_ok`: its path was given
    /// again with `--fixed-ok`. `needed`: how large the image is, where that is known.
    pub fn refusal(&self, fixed_ok: bool, needed: Option<ByteSize>) -> Option<Refusal> {
        Refusal::of(self, fixed_ok, needed)
    }
}

impl Refusal {
    fn of(device: &Device, fixed_ok: bool, needed: Option<ByteSize>) -> Option<Refusal> {
        let texts = |pick: fn(&Use) -> Option<String>| device.uses.iter().filter_map(pick).collect::<Vec<_>>();
        let what = texts(|a_use| match a_use {
            Use::System { what } => Some(what.clone()),
            _ => None,
        });
        let at = texts(|a_use| match a_use {
            Use::Mounted { at } => Some(at.display().to_string()),
            _ => None,
        });
        let by = texts(|a_use| match a_use {
            Use::Holder { device } => Some(device.clone()),
            _ => None,
        });
        if !what.is_empty() {
            return Some(Refusal::System { what });
        }
        if !at.is_empty() {
            return Some(Refusal::Mounted { at });
        }
        if !by.is_empty() {
            return Some(Refusal::Held { by });
        }
        let loops = texts(|a_use| match a_use {
            Use::Loop { device, file } => Some(format!("{} ({})", device.display(), file.display())),
            _ => None,
        });
        if !loops.is_empty() {
            return Some(Refusal::Looped { by: loops });
        }
        if device.optical {
            return Some(Refusal::Optical);
        }
        if device.size.0 == 0 {
            return Some(Refusal::NoMedium);
        }
        if device.read_only {
            return Some(Refusal::ReadOnly);
        }
        if !device.removable && !fixed_ok {
            return Some(Refusal::Fixed);
        }
        if device.size > LARGEST_CARD && !fixed_ok {
            return Some(Refusal::TooLarge { size: device.size });
        }
        needed.filter(|needed| *needed > device.size).map(|needed| Refusal::TooSmall { size: device.size, needed })
    }

    /// What a person can do about it.
    pub fn next_step(&self, device: &str) -> String {
        match self {
            Refusal::System { .. } => {
                "this disk is never written to; `cardsmith devices` shows which can be".to_owned()
            }
            Refusal::Mounted { at } => {
                format!("make sure that this is the card you mean, then `umount {}`", at.join(" "))
            }
            Refusal::Held { by } => {
                format!("close {} first (LVM, RAID, encryption or btrfs), if this is the card you mean", by.join(", "))
            }
            Refusal::Looped { .. } => {
                "look whose it is with `losetup --list`; if this is the card you mean, detach the \
                                       loop device first: `losetup -d`"
                    .to_owned()
            }
            Refusal::Optical => "put the card into a card reader; `cardsmith devices` shows which are there".to_owned(),
            Refusal::NoMedium => "put a card in and run the command again".to_owned(),
            Refusal::ReadOnly => {
                "slide the lock on the SD adapter up, put the card back in and run the command again; a card \
                                   that stays read-only is worn out"
                    .to_owned()
            }
            Refusal::Fixed => format!(
                "look at it twice with `cardsmith devices`; if it really is the one, give its path again: `--fixed-ok {device}`"
            ),
            Refusal::TooLarge { .. } => format!(
                "look whose disk it is with `cardsmith devices`; if it really is the one, give its path again: `--fixed-ok {device}`"
            ),
            Refusal::TooSmall { .. } => "use a larger card".to_owned(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::System { what } => write!(f, "the running system lies on it ({})", what.join(", ")),
            Refusal::Mounted { at } => write!(f, "it is mounted at {}", at.join(", ")),
            Refusal::Held { by } => write!(f, "it is a part of {}", by.join(", ")),
            Refusal::Looped { by } => {
                write!(f, "a loop device is attached to it or to a file on it: {}", by.join(", "))
            }
            Refusal::Optical => write!(f, "it is a disc or floppy drive"),
            Refusal::NoMedium => write!(f, "there is no card in it"),
            Refusal::ReadOnly => write!(f, "it is read-only"),
            Refusal::Fixed => write!(f, "it is a fixed disk, not a removable card"),
            Refusal::TooLarge { size } => write!(f, "it is larger than any card: it holds {size}"),
            Refusal::TooSmall { size, needed } => {
                write!(
                    f,
                    "it is too small: it holds {size} ({} bytes), the image needs {needed} ({} bytes)",
                    size.0, needed.0
                )
            }
        }
    }
}
