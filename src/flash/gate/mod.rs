//! The safety gate: what may be written to. The writer accepts nothing that did not come from here. Why a device is
//! refused stands in `refusal.rs`, and what uses it in `in_use.rs`.
//!
//! A device is judged twice: by what sysfs says before it is opened, so that a wrong disk is never even opened for
//! writing, and again on the open descriptor, which the kernel gave to us alone (`O_EXCL` fails where anything is
//! mounted from it or built on it, in any namespace). There is no fallback without `O_EXCL`.
//!
//! What a person says yes to is a medium and not a path. [`show_all`] tells which one is there, and [`clear_shown`] lets
//! nothing else through, whatever has come in its place since.

mod error;

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

pub use error::GateError;

use super::devices;
use super::identity::MediumIdentity;
use super::medium::{Medium, MediumRecord};
use super::refusal::Refusal;
use super::vetted::{VettedDevice, VettedFile};
use crate::inputs::{Inputs, OutputIsInput, Overlap};
use crate::storage::{DeviceNumber, Host, Place};
use crate::units::ByteSize;

/// What a person said about the targets.
#[derive(Debug, Clone, Default)]
pub struct GateOptions {
    /// Devices whose path was given again with `--fixed-ok`, because they are not removable.
    pub fixed_ok: Vec<PathBuf>,
    /// Whether a card image that exists may be replaced.
    pub overwrite: bool,
    /// What this run reads, which is never a target.
    pub inputs: Inputs,
}

impl GateOptions {
    /// Whether this device was named again with `--fixed-ok`. By the device, not by the spelling: by-id links count.
    pub(crate) fn is_fixed_ok(&self, target: &Path) -> bool {
        self.fixed_ok.iter().any(|again| real_place(again) == real_place(target))
    }
}

/// A target as it was when a person was shown it, or when a run with `--yes` began.
#[derive(Debug, Clone)]
pub struct ShownTarget {
    /// As it was named.
    pub path: PathBuf,
    /// How people know it.
    pub record: MediumRecord,
    /// Which medium it was.
    pub identity: MediumIdentity,
}

impl ShownTarget {
    /// The size of the device; a file has none that matters.
    pub fn card_size(&self) -> Option<ByteSize> {
        match &self.identity {
            MediumIdentity::Device(identity) => Some(identity.size),
            MediumIdentity::File(_) => None,
        }
    }
}

/// What passed the gate.
enum Vetted {
    Device(Box<VettedDevice>),
    File(VettedFile),
}

impl Vetted {
    fn identity(&self) -> MediumIdentity {
        match self {
            Vetted::Device(device) => MediumIdentity::Device(device.identity()),
            Vetted::File(file) => file.identity(),
        }
    }

    fn into_medium(self) -> Box<dyn Medium> {
        match self {
            Vetted::Device(device) => device,
            Vetted::File(file) => Box::new(file),
        }
    }
}

/// Checks every target, lets go of it again, and tells what there is to be asked about.
///
/// # Errors
/// [`GateError`] of the first target that is refused.
pub fn show_all(
    host: &Host,
    targets: &[PathBuf],
    options: &GateOptions,
    needed: ByteSize,
) -> Result<Vec<ShownTarget>, GateError> {
    check_each_once(targets)?;
    let show = |path: &PathBuf| {
        let vetted = vet(host, path, options, needed)?;
        let identity = vetted.identity();
        Ok(ShownTarget { path: path.clone(), record: vetted.into_medium().record(), identity })
    };
    targets.iter().map(show).collect()
}

/// Checks every target before the first one is written to, and that each is still what was shown.
///
/// # Errors
/// [`GateError`] of the first target that is refused; [`GateError::AnotherMedium`] where it was exchanged.
pub fn clear_shown(
    host: &Host,
    targets: &[ShownTarget],
    options: &GateOptions,
    needed: ByteSize,
) -> Result<Vec<Box<dyn Medium>>, GateError> {
    targets.iter().map(|shown| clear_as(host, &shown.path, &shown.identity, options, needed)).collect()
}

/// Checks one target for an image of `needed` bytes and holds it open for the writer, if it is this medium and no other.
///
/// # Errors
/// As [`clear_shown`].
pub fn clear_as(
    host: &Host,
    target: &Path,
    shown: &MediumIdentity,
    options: &GateOptions,
    needed: ByteSize,
) -> Result<Box<dyn Medium>, GateError> {
    // On what is held open now: no look at a path could tell what is going to be written to.
    let vetted = vet(host, target, options, needed)?;
    let now = vetted.identity();
    if now != *shown {
        let (path, shown) = (target.to_owned(), Box::new(shown.clone()));
        return Err(GateError::AnotherMedium { path, shown, now: Box::new(now) });
    }
    Ok(vetted.into_medium())
}

fn check_each_once(targets: &[PathBuf]) -> Result<(), GateError> {
    let mut earlier = Inputs::default();
    for (n, target) in targets.iter().enumerate() {
        let before = targets.iter().take(n);
        // By the place that a path leads to: two by-id links to one card would erase what was just written to it. And by
        // what lies behind it: two loop devices on one file are one card.
        let same = |error: OutputIsInput| error.overlap == Overlap::Same;
        if before.into_iter().any(|other| real_place(other) == real_place(target))
            || earlier.refuse_output(target, "--to").err().is_some_and(same)
        {
            return Err(GateError::Twice { path: target.clone() });
        }
        earlier.add(target, "another target");
    }
    Ok(())
}

fn vet(host: &Host, target: &Path, options: &GateOptions, needed: ByteSize) -> Result<Vetted, GateError> {
    let not_there = || GateError::NotThere { path: target.to_owned() };
    match std::fs::metadata(target) {
        Ok(found) if found.is_dir() => Err(GateError::Directory { path: target.to_owned() }),
        Ok(found) if found.file_type().is_block_device() => {
            options.inputs.refuse_output(target, "--to")?;
            vet_device(host, target, DeviceNumber::from_raw(found.rdev()), options, needed)
        }
        Ok(found) if found.is_file() => {
            // Before `--overwrite` is asked about: that switch means card images, and is no word for giving up the
            // golden image.
            options.inputs.refuse_output(target, "--to")?;
            if !options.overwrite {
                return Err(GateError::Exists { path: target.to_owned() });
            }
            // A link keeps leading to the card image; the file that it leads to is what is replaced.
            let target = std::fs::canonicalize(target).map_err(|_| not_there())?;
            vet_file(&target, Some(Place::from(&found)), needed)
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
            options.inputs.refuse_output(target, "--to")?;
            vet_file(target, None, needed)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(GateError::Permission { path: target.to_owned() })
        }
        Err(source) => Err(GateError::Io { doing: "could not look at", path: target.to_owned(), source }),
    }
}

fn vet_device(
    host: &Host,
    target: &Path,
    number: DeviceNumber,
    options: &GateOptions,
    needed: ByteSize,
) -> Result<Vetted, GateError> {
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
            None => Ok(Vetted::Device(Box::new(cleared))),
        },
        None => Err(GateError::Changed { path, what: "the device is gone".to_owned() }),
    }
}

fn vet_file(target: &Path, replaces: Option<Place>, needed: ByteSize) -> Result<Vetted, GateError> {
    let path = target.to_owned();
    let dir = parent(target).ok_or_else(|| GateError::NotThere { path: path.clone() })?;
    let file = VettedFile::create(&dir, target, replaces, needed).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => GateError::Permission { path },
        _ => GateError::Io { doing: "could not make", path, source },
    })?;
    Ok(Vetted::File(file))
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
