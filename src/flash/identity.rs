//! Which medium it is. A path names a place, and what is in it can be exchanged; what a person said yes to is a medium.

use std::fmt;

use serde::Serialize;

use crate::storage::{DeviceNumber, Place};
use crate::units::ByteSize;

/// What tells one medium from another one of the same size in the same reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// See [`Device::number`](super::devices::Device::number).
    pub number: DeviceNumber,
    /// See [`Device::size`](super::devices::Device::size).
    pub size: ByteSize,
    /// See [`Device::serial`](super::devices::Device::serial).
    pub serial: Option<String>,
    /// See [`Device::diskseq`](super::devices::Device::diskseq).
    pub diskseq: Option<u64>,
    /// See [`Device::node_inode`](super::devices::Device::node_inode).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_inode: Option<u64>,
}

impl Identity {
    /// What is compared, for people: not every kernel can tell that a medium was exchanged.
    pub fn compared(&self) -> &'static str {
        match (self.diskseq, &self.serial) {
            (Some(_), _) => "the kernel's number of the medium, size and serial",
            (None, Some(_)) => "size, serial and device node; this kernel does not number media",
            (None, None) => {
                "size and device node; this kernel does not number media, and the device tells no serial: a card of the \
                 same size would not be noticed"
            }
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.size, self.size.0)?;
        if let Some(serial) = &self.serial {
            write!(f, ", serial {serial}")?;
        }
        match self.diskseq {
            Some(number) => write!(f, ", medium number {number}"),
            None => write!(f, ", device {}", self.number),
        }
    }
}

/// Which medium a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediumIdentity {
    /// The medium in a device.
    Device(Identity),
    /// A card image: the file that has its name, if there is one.
    File(Option<Place>),
}

impl MediumIdentity {
    /// As [`Identity::compared`].
    pub fn compared(&self) -> &'static str {
        match self {
            MediumIdentity::Device(identity) => identity.compared(),
            MediumIdentity::File(_) => "file system and inode",
        }
    }
}

impl fmt::Display for MediumIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MediumIdentity::Device(identity) => identity.fmt(f),
            MediumIdentity::File(None) => f.write_str("no file"),
            MediumIdentity::File(Some(Place::File { device, inode })) => write!(f, "file {inode} on device {device}"),
            MediumIdentity::File(Some(Place::Device(number))) => write!(f, "device {number}"),
        }
    }
}
