//! What files and devices of this machine lie on: partitions, disks, mounts, loop devices, as sysfs and procfs tell it.
//! It answers which two names are one thing, and what else a write would reach. It writes nothing itself.

mod backing;
mod host;
mod ioctl;
mod map;
mod mounts;
mod place;

pub(crate) use host::attribute;
pub use host::{DeviceNumber, Host};
pub(crate) use ioctl::{discard, diskseq};
pub(crate) use map::{Below, Looped, StorageMap, names_in};
pub(crate) use mounts::swaps;
pub use place::Place;
