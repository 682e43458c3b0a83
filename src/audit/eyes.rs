//! What the two readers look through: ext4 by `ext4-view`, FAT by `fatfs`, both read-only.

use std::io::{self, Read, Seek, SeekFrom, Write};

use ext4_view::Ext4Read;

use super::boot_chains;
use super::error::AuditError;
use crate::image::{ReadAt, Window};
use crate::units::ByteOffset;

/// Whether a partition says that it is ext4 (or one of its ancestors).
pub(super) fn has_ext_magic(window: &Window<dyn ReadAt>) -> bool {
    let mut magic = [0; 2];
    window.read_at(ByteOffset(1024 + 0x38), &mut magic).is_ok() && magic == [0x53, 0xef]
}

/// The boot file system of a partition, if it has one: FAT with one of the firmware's files.
///
/// # Errors
/// The image's, and chains of clusters that cannot be.
pub(super) fn open_fat(
    window: Window<dyn ReadAt>,
    partition: u32,
) -> Result<Option<fatfs::FileSystem<Cursor>>, AuditError> {
    // Else the library would write down the day of each read, and this never writes.
    let options = fatfs::FsOptions::new().update_accessed_date(false);
    let Ok(boot) = fatfs::FileSystem::new(Cursor { window: window.clone(), at: 0 }, options) else { return Ok(None) };
    // Before any directory is read: this library trusts chains of clusters.
    if let Some(what) = boot_chains::what_is_wrong(&window)? {
        return Err(AuditError::Boot { partition, what });
    }
    let holds = |name| boot.root_dir().open_file(name).is_ok();
    Ok((holds("cmdline.txt") || holds("config.txt")).then_some(boot))
}

/// `ext4-view` reads a partition through it.
pub(super) struct Eyes(pub(super) Window<dyn ReadAt>);

impl Ext4Read for Eyes {
    fn read(&mut self, start: u64, dst: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.read_at(ByteOffset(start), dst)?)
    }
}

/// `fatfs` wants a cursor that could write; this one cannot.
pub(super) struct Cursor {
    window: Window<dyn ReadAt>,
    at: u64,
}

impl Read for Cursor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.window.size().0.saturating_sub(self.at);
        let n = usize::try_from(left).unwrap_or(buf.len()).min(buf.len());
        let Some(part) = buf.get_mut(..n) else { return Ok(0) };
        self.window.read_at(ByteOffset(self.at), part)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Write for Cursor {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "an audit never writes"))
    }
    // `fatfs` flushes when it is dropped, also where nothing changed.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.window.size().0.checked_add_signed(by),
        };
        self.at = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
