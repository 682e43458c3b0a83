//! The safety gate: what may be written to. The writer accepts nothing that did not come from here. Why a device is
//! refused stands in `refusal.rs`, and what uses it in `in_use.rs`.
//!
//! A device is judged twice: by what sysfs says before it is opened, so that a wrong disk is never even opened for
//! writing, and again on the open descriptor, which the kernel gave to us alone (`O_EXCL` fails where anything is
//! mounted from it or built on it, in any namespace). There is no fallback without `O_EXCL`.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::devices;
use super::medium::Medium;
use super::refusal::Refusal;
use super::sysfs::{DeviceNumber, Host};
use super::vetted::{VettedDevice, VettedFile};
use crate::units::ByteSize;

/// What a person said about the targets.
#[derive(Debug, Clone, Default)]
pub struct GateOptions {
    /// Devices whose path was given again with `--fixed-ok`, because they are not removable.
    pub fixed_ok: Vec<PathBuf>,
    /// Whether a card image that exists may be replaced.
    pub overwrite: bool,
    /// Files of this run (image, manifest, recipe) that are never a target.
    pub inputs: Vec<PathBuf>,
}

impl GateOptions {
    /// Whether this device was named again with `--fixed-ok`. By the device, not by the spelling: by-id links count.
    pub(crate) fn is_fixed_ok(&self, target: &Path) -> bool {
        self.fixed_ok.iter().any(|again| real_place(again) == real_place(target))
    }
}

/// Why a target is refused. Nothing was written to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// The device cannot be written to.
    #[error("{path} is not written to: {refusal}", path = .path.display())]
    Refused {
        /// The device.
        path: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// There is nothing of this name.
    #[error("{path} is not there", path = .path.display())]
    NotThere {
        /// The target.
        path: PathBuf,
    },
    /// A partition was named.
    #[error("{path} is a partition; a card is written as a whole", path = .path.display())]
    Partition {
        /// The partition.
        path: PathBuf,
        /// The disk that it lies on.
        disk: Option<PathBuf>,
    },
    /// A directory was named.
    #[error("{path} is a directory", path = .path.display())]
    Directory {
        /// The target.
        path: PathBuf,
    },
    /// Neither a disk nor a file.
    #[error("{path} is neither a block device nor a file", path = .path.display())]
    NeitherDeviceNorFile {
        /// The target.
        path: PathBuf,
    },
    /// A card image of this name exists.
    #[error("{path} exists already", path = .path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The target is what cards are made from.
    #[error("{path} is an input of this run", path = .path.display())]
    Input {
        /// The target.
        path: PathBuf,
    },
    /// The same target twice.
    #[error("{path} is named twice", path = .path.display())]
    Twice {
        /// The target.
        path: PathBuf,
    },
    /// The kernel does not give the device away.
    #[error("{path} is in use: the kernel does not give it to us alone", path = .path.display())]
    Busy {
        /// The device.
        path: PathBuf,
    },
    /// We may not.
    #[error("no permission to write to {path}", path = .path.display())]
    Permission {
        /// The target.
        path: PathBuf,
    },
    /// What was opened is not what was judged.
    #[error("{path} changed while it was opened: {what}", path = .path.display())]
    Changed {
        /// The device.
        path: PathBuf,
        /// What is different.
        what: String,
    },
    /// The system reported something else.
    #[error("{doing} {path}", path = .path.display())]
    Io {
        /// What was being done, as in "could not open".
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl GateError {
    /// What a person can do about it.
    pub fn next_step(&self) -> String {
        match self {
            GateError::Refused { path, refusal } => refusal.next_step(&path.display().to_string()),
            GateError::NotThere { path } if path.starts_with("/dev") => {
                "is the card in the reader? `cardsmith devices` shows what is there".to_owned()
            }
            GateError::NotThere { .. } => "make the directory first; only the file itself is made".to_owned(),
            GateError::Partition { disk: Some(disk), .. } => format!("name the disk: `--to {}`", disk.display()),
            GateError::Partition { disk: None, .. } => "name the disk; `cardsmith devices` shows it".to_owned(),
            GateError::Directory { path } => format!("name a file in it: `--to {}`", path.join("card.img").display()),
            GateError::NeitherDeviceNorFile { .. } => "`cardsmith devices` shows what can be written to".to_owned(),
            GateError::Exists { .. } => "choose another name, or add `--overwrite`".to_owned(),
            GateError::Input { .. } => "choose another name".to_owned(),
            GateError::Twice { .. } => "name each target once".to_owned(),
            GateError::Busy { .. } => {
                "another program has it open, or something on it is mounted in another namespace or \
                                       container; end that and run the command again"
                    .to_owned()
            }
            GateError::Permission { path } if path.starts_with("/dev") => {
                "run the command with sudo, or as a member of the group that owns the device (often `disk`)".to_owned()
            }
            GateError::Permission { .. } => "choose a directory that you may write to".to_owned(),
            GateError::Changed { .. } => "leave the card in its reader and run the command again".to_owned(),
            GateError::Io { .. } => "take the card out, put it back in and try again".to_owned(),
        }
    }
}

/// Checks every target before the first one is written to.
///
/// # Errors
/// [`GateError`] of the first target that is refused.
pub fn clear_all(
    host: &Host,
    targets: &[PathBuf],
    options: &GateOptions,
    needed: ByteSize,
) -> Result<Vec<Box<dyn Medium>>, GateError> {
    for (n, target) in targets.iter().enumerate() {
        let before = targets.iter().take(n);
        // By the place that a path leads to: two by-id links to one card would erase what was just written to it.
        if before.into_iter().any(|other| real_place(other) == real_place(target)) {
            return Err(GateError::Twice { path: target.clone() });
        }
    }
    targets.iter().map(|target| clear(host, target, options, needed)).collect()
}

/// Checks one target for an image of `needed` bytes and holds it open for the writer.
///
/// # Errors
/// [`GateError`]; nothing was written.
pub fn clear(
    host: &Host,
    target: &Path,
    options: &GateOptions,
    needed: ByteSize,
) -> Result<Box<dyn Medium>, GateError> {
    let not_there = || GateError::NotThere { path: target.to_owned() };
    match std::fs::metadata(target) {
        Ok(found) if found.is_dir() => Err(GateError::Directory { path: target.to_owned() }),
        Ok(found) if found.file_type().is_block_device() => {
            clear_device(host, target, DeviceNumber::from_raw(found.rdev()), options, needed)
        }
        Ok(found) if found.is_file() => {
            let is_input = |input: &PathBuf| {
                std::fs::metadata(input).is_ok_and(|input| (input.dev(), input.ino()) == (found.dev(), found.ino()))
            };
            // Before `--overwrite` is asked about: that switch means card images, and is no word for giving up the
            // golden image.
            if options.inputs.iter().any(is_input) {
                return Err(GateError::Input { path: target.to_owned() });
            }
            if !options.overwrite {
                return Err(GateError::Exists { path: target.to_owned() });
            }
            // A link keeps leading to the card image; the file that it leads to is what is replaced.
            let target = std::fs::canonicalize(target).map_err(|_| not_there())?;
            clear_file(&target, true, needed)
        }
        Ok(_) => Err(GateError::NeitherDeviceNorFile { path: target.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A misspelt device must not become a file in /dev, which is memory.
            let parent = parent(target).and_then(|dir| std::fs::canonicalize(dir).ok()).ok_or_else(not_there)?;
            if !parent.is_dir()
                || (parent.starts_with("/dev") && !parent.starts_with("/dev/shm"))
                || target.is_symlink()
            {
                return Err(not_there());
            }
            clear_file(target, false, needed)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(GateError::Permission { path: target.to_owned() })
        }
        Err(source) => Err(GateError::Io { doing: "could not look at", path: target.to_owned(), source }),
    }
}

fn clear_device(
    host: &Host,
    target: &Path,
    number: DeviceNumber,
    options: &GateOptions,
    needed: ByteSize,
) -> Result<Box<dyn Medium>, GateError> {
    let path = target.to_owned();
    let io = |doing| {
        let path = path.clone();
        move |source| GateError::Io { doing, path, source }
    };
    // sysfs lists whole disks only: a block device that is not among them is a partition.
    let Some(device) = devices::find(host, number).map_err(io("could not find out about"))? else {
        return Err(GateError::Partition { disk: devices::disk_of_partition(host, number), path });
    };
    let said_twice = options.is_fixed_ok(target);
    if let Some(refusal) = device.refusal(said_twice, Some(needed)) {
        return Err(GateError::Refused { path, refusal });
    }

    // Errors are told apart by what a person does next: unmount, ask for rights, slide the lock, or try again.
    let cleared = VettedDevice::open(host, target, device).map_err(|source| match source.kind() {
        io::ErrorKind::ResourceBusy => GateError::Busy { path: path.clone() },
        io::ErrorKind::PermissionDenied => GateError::Permission { path: path.clone() },
        io::ErrorKind::ReadOnlyFilesystem => GateError::Refused { path: path.clone(), refusal: Refusal::ReadOnly },
        _ => GateError::Io { doing: "could not open", path: path.clone(), source },
    })?;

    // From here on the kernel lets nobody else mount or claim it. What was true before the open may not be true now.
    cleared.check_identity().map_err(|what| GateError::Changed { path: path.clone(), what })?;
    match devices::find(host, number).map_err(io("could not find out about"))? {
        // Asked again in full: a desktop mounts a card within a second of its coming, which may be between look and
        // open.
        Some(now) => match now.refusal(said_twice, Some(needed)) {
            Some(refusal) => Err(GateError::Refused { path, refusal }),
            None => Ok(Box::new(cleared)),
        },
        None => Err(GateError::Changed { path, what: "the device is gone".to_owned() }),
    }
}

fn clear_file(target: &Path, replace: bool, needed: ByteSize) -> Result<Box<dyn Medium>, GateError> {
    let path = target.to_owned();
    let dir = parent(target).ok_or_else(|| GateError::NotThere { path: path.clone() })?;
    let file = VettedFile::create(&dir, target, replace, needed).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => GateError::Permission { path },
        _ => GateError::Io { doing: "could not make", path, source },
    })?;
    Ok(Box::new(file))
}

fn parent(path: &Path) -> Option<PathBuf> {
    path.file_name()?;
    let dir = path.parent()?;
    Some(if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir.to_owned() })
}

/// Where a path leads, also for a file that is not there yet.
fn real_place(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| {
        let dir = parent(path).and_then(|dir| std::fs::canonicalize(dir).ok());
        match (dir, path.file_name()) {
            (Some(dir), Some(name)) => dir.join(name),
            _ => path.to_owned(),
        }
    })
}
