//! What passed the gate, held open: the only things of this library that can be written to.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::devices::Device;
use super::direct::Direct;
use super::identity::{Identity, MediumIdentity};
use super::medium::{Medium, MediumRecord, ReadBack};
use super::request_limits::RequestLimits;
use crate::atomic_file::AtomicFile;
use crate::image::hashing::AT_A_TIME;
use crate::storage::{self, DeviceNumber, Host, Place};
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// A device that passed every check of the gate, held open exclusively.
pub struct VettedDevice {
    direct: Direct,
    device: Device,
    limits: RequestLimits,
    host: Host,
    slot_name: Option<String>,
}

impl VettedDevice {
    pub(super) fn open(host: &Host, path: &Path, device: Device) -> io::Result<VettedDevice> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let direct = Direct::open(path, &options, OFlags::EXCL, device.logical_block.0)?;
        let limits = RequestLimits::of(host, &device);
        Ok(VettedDevice { direct, device, limits, host: host.clone(), slot_name: None })
    }

    /// Which medium it is: the one that passed the gate, and the only one that may be written to by way of this.
    pub fn identity(&self) -> Identity {
        self.device.identity()
    }
}

impl ReadBack for VettedDevice {
    fn size(&self) -> ByteSize {
        self.device.size
    }

    fn read_back(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        let mut at = at;
        for part in buf.chunks_mut(usize::try_from(self.limits.request).unwrap_or(usize::MAX).max(1)) {
            self.direct.read(at, part)?;
            at = at.checked_add(ByteSize(part.len() as u64)).ok_or(io::ErrorKind::InvalidInput)?;
        }
        Ok(())
    }
}

impl Medium for VettedDevice {
    fn record(&self) -> MediumRecord {
        MediumRecord {
            path: self.device.path.clone(),
            slot: self.slot_name.clone().or_else(|| self.device.slot.clone()),
            model: Some(self.device.description())
                .filter(|_| self.device.vendor.is_some() || self.device.model.is_some()),
            serial: self.device.serial.clone(),
            size: self.device.size,
        }
    }

    fn alignment(&self) -> ByteSize {
        self.device.logical_block
    }

    fn limits(&self) -> RequestLimits {
        self.limits
    }

    fn write_at(&self, at: ByteOffset, bytes: &[u8]) -> io::Result<()> {
        self.direct.write(at, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.direct.file().sync_all()
    }

    fn discard(&self, range: ByteRange) -> io::Result<()> {
        if self.device.discard_max.0 == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        storage::discard(self.direct.file(), range)
    }

    fn is_fresh(&self) -> bool {
        false
    }

    /// Compares what the descriptor is with what sysfs says of the device now and said when it was judged.
    fn check_identity(&self) -> Result<(), String> {
        let words = |error: io::Error| error.to_string();
        let open = self.direct.file().metadata().map_err(words)?;
        if !open.file_type().is_block_device() || DeviceNumber::from_raw(open.rdev()) != self.device.number {
            return Err("the path leads to another device now".to_owned());
        }
        let mut file = self.direct.file();
        let size = file.seek(SeekFrom::End(0)).map_err(words)?;
        if size != self.device.size.0 {
            return Err(format!("it is {} bytes large now, it was {}", size, self.device.size.0));
        }
        let seen = storage::diskseq(self.direct.file());
        if let (Some(seen), Some(judged)) = (seen, self.device.diskseq)
            && seen != judged
        {
            return Err(format!("another card was put in: it was medium number {judged}, it is {seen} now"));
        }
        let now = super::devices::identity(&self.host, self.device.number).map_err(words)?;
        match now {
            None => Err("the device is gone".to_owned()),
            Some(now) if now != self.identity() => {
                Err(format!("another card was put in: it was {}, it is {now} now", self.identity()))
            }
            Some(_) => Ok(()),
        }
    }

    fn name_slot(&mut self, name: &str) {
        self.slot_name = Some(name.to_owned());
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

/// A card image in the making. It lies beside its target without a name, so that even a killed process leaves nothing,
/// and takes its name when all of it was verified: a card image of that name is always whole.
pub struct VettedFile {
    file: AtomicFile,
    past_cache: Direct,
    target: PathBuf,
    /// The file that is replaced.
    replaces: Option<Place>,
    size: ByteSize,
}

impl VettedFile {
    pub(super) fn create(dir: &Path, target: &Path, replaces: Option<Place>, size: ByteSize) -> io::Result<VettedFile> {
        let file = AtomicFile::create_in(dir)?;
        // Readable by its owner only, like everything that holds an activation code.
        file.file().set_permissions(Permissions::from_mode(0o600))?;
        file.file().set_len(size.0)?;
        let itself = PathBuf::from(format!("/proc/self/fd/{}", file.file().as_raw_fd()));
        let past_cache = Direct::open_to_read(&itself, super::buffer::PAGE as u64)?;
        Ok(VettedFile { file, past_cache, target: target.to_owned(), replaces, size })
    }

    /// Which file it takes the place of.
    pub fn identity(&self) -> MediumIdentity {
        MediumIdentity::File(self.replaces)
    }
}

impl ReadBack for VettedFile {
    fn size(&self) -> ByteSize {
        self.size
    }

    fn read_back(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        self.past_cache.read(at, buf)
    }
}

impl Medium for VettedFile {
    fn record(&self) -> MediumRecord {
        MediumRecord { path: self.target.clone(), slot: None, model: None, serial: None, size: self.size }
    }

    fn alignment(&self) -> ByteSize {
        ByteSize(1)
    }

    fn write_at(&self, at: ByteOffset, bytes: &[u8]) -> io::Result<()> {
        let mut at = at.0;
        for part in bytes.chunks(AT_A_TIME) {
            self.file.file().write_all_at(part, at)?;
            at = at.saturating_add(part.len() as u64);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.file().sync_all()
    }

    fn discard(&self, _: ByteRange) -> io::Result<()> {
        Ok(())
    }

    fn is_fresh(&self) -> bool {
        true
    }

    fn check_identity(&self) -> Result<(), String> {
        let words = |error: io::Error| error.to_string();
        let size = self.file.file().metadata().map_err(words)?.len();
        if size == self.size.0 { Ok(()) } else { Err("another program resized the file".to_owned()) }
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        let VettedFile { file, target, replaces, .. } = *self;
        match (Place::of(&target).ok(), replaces) {
            (Some(now), Some(replaces)) if now == replaces => file.commit(&target),
            // `--overwrite` was said of the file that was there then, and not of this one.
            (Some(_), Some(_)) => Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "another file has this name now than when the run began; it was left alone",
            )),
            _ => file.commit_new(&target),
        }
    }
}
