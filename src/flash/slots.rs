//! Slots: a place at the bench, and what it is called.

use std::fmt;
use std::path::PathBuf;

use super::devices::Device;

/// The longest name of a slot, in characters: it has to fit a line beside everything else.
const LONGEST_NAME: usize = 32;

/// Where a slot is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SlotPlace {
    /// A port, as [`Device::slot`] has it: `usb-1-4.2`, `usb-1-4.2.lun1`, `mmc0`. Whatever device is found there.
    Port(String),
    /// A path below `/dev`, for what hangs on no port: `/dev/disk/by-path/…`.
    Path(PathBuf),
}

impl SlotPlace {
    /// From the text in a bench file. `1-4.2` means `usb-1-4.2`.
    ///
    /// # Errors
    /// In words, what a place looks like.
    pub fn parse(text: &str) -> Result<SlotPlace, &'static str> {
        const LIKE: &str = "a place looks like `usb-1-4.2`, `mmc0` or `/dev/disk/by-path/…`";
        if text.starts_with("/dev/") {
            return Ok(SlotPlace::Path(PathBuf::from(text)));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if text.is_empty() || !text.chars().all(plain) {
            return Err(LIKE);
        }
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let usb = |port: &str| {
            let port = port.split_once(".lun").map_or(port, |(port, unit)| if digits(unit) { port } else { "" });
            port.split_once('-').is_some_and(|(bus, ports)| digits(bus) && ports.split('.').all(digits))
        };
        match text.strip_prefix("usb-") {
            Some(port) if usb(port) => Ok(SlotPlace::Port(text.to_owned())),
            None if usb(text) => Ok(SlotPlace::Port(format!("usb-{text}"))),
            None if text.strip_prefix("mmc").is_some_and(digits) => Ok(SlotPlace::Port(text.to_owned())),
            _ => Err(LIKE),
        }
    }

    /// Where `device` is: its port, or its path where it hangs on none.
    pub fn of(device: &Device) -> SlotPlace {
        match &device.slot {
            Some(port) => SlotPlace::Port(port.clone()),
            None => SlotPlace::Path(device.path.clone()),
        }
    }

    /// The device that is there now. Where two answer to one port, none does: nothing is written on a guess.
    pub fn device<'d>(&self, devices: &'d [Device]) -> Option<&'d Device> {
        let real = match self {
            SlotPlace::Port(_) => None,
            SlotPlace::Path(path) => Some(std::fs::canonicalize(path).ok()?),
        };
        let mut here = devices.iter().filter(|device| match (self, &real) {
            (SlotPlace::Port(port), _) => device.slot.as_ref() == Some(port),
            (SlotPlace::Path(_), real) => real.as_ref() == Some(&device.path),
        });
        let device = here.next()?;
        here.next().is_none().then_some(device)
    }
}

impl fmt::Display for SlotPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SlotPlace::Port(port) => f.write_str(port),
            SlotPlace::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// One place at the bench and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name: `left-2`.
    pub name: String,
    /// Where it is.
    pub place: SlotPlace,
}

/// Why a text is no name for a slot; `None` where it is one.
pub fn bad_name(name: &str) -> Option<&'static str> {
    // Names stand in a table on a terminal, in receipts and in file names of receipts.
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ' | '#' | '/');
    if name.trim().is_empty() || name.trim() != name {
        Some("a name is needed, without blanks around it")
    } else if name.chars().count() > LONGEST_NAME {
        Some("a name has at most 32 characters")
    } else if !name.chars().all(plain) {
        Some("a name is made of letters, digits, blanks and - _ . # /")
    } else {
        None
    }
}
