//! One file or device, whatever it is called: by a link, through a bind mount, as `/dev/fd/3`.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::host::DeviceNumber;

/// One file or device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A file, a directory or a pipe.
    File {
        /// The file system that it is in (`st_dev`).
        device: DeviceNumber,
        /// Its number there (`st_ino`).
        inode: u64,
    },
    /// A block device, whatever node leads to it.
    Device(DeviceNumber),
}

impl Place {
    /// Where a path leads now, through all links.
    ///
    /// # Errors
    /// What the system reports; `NotFound` where there is nothing.
    pub fn of(path: &Path) -> io::Result<Place> {
        std::fs::metadata(path).map(|about| Place::from(&about))
    }
}

impl From<&Metadata> for Place {
    fn from(about: &Metadata) -> Place {
        match about.file_type().is_block_device() {
            true => Place::Device(DeviceNumber::from_raw(about.rdev())),
            false => Place::File { device: DeviceNumber::from_raw(about.dev()), inode: about.ino() },
        }
    }
}
