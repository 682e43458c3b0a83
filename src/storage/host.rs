//! Where the kernel tells about devices, and how one of its small files is read.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// Where the kernel tells about devices. A field and not a constant, so that tests can show a Raspberry Pi's.
#[derive(Debug, Clone)]
pub struct Host {
    pub(crate) sys: PathBuf,
    pub(crate) proc: PathBuf,
    pub(crate) dev: PathBuf,
}

impl Host {
    /// This machine.
    pub fn this() -> Host {
        Host::under(Path::new("/"))
    }

    /// A machine whose `sys`, `proc` and `dev` lie under `root`.
    pub fn under(root: &Path) -> Host {
        Host { sys: root.join("sys"), proc: root.join("proc"), dev: root.join("dev") }
    }
}

/// A device's number, as `stat` and sysfs give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// The driver's number.
    pub major: u32,
    /// The device's number within the driver.
    pub minor: u32,
}

impl DeviceNumber {
    /// From what `stat` calls `st_rdev` or `st_dev`.
    pub fn from_raw(raw: u64) -> DeviceNumber {
        DeviceNumber { major: rustix::fs::major(raw as _), minor: rustix::fs::minor(raw as _) }
    }

    pub(crate) fn parse(text: &str) -> Option<DeviceNumber> {
        let (major, minor) = text.trim().split_once(':')?;
        Some(DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl Serialize for DeviceNumber {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// One attribute, trimmed; `None` where it is absent, empty or unreadable.
pub(crate) fn attribute(dir: &Path, file: &str) -> Option<String> {
    let text = std::fs::read_to_string(dir.join(file)).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
