//! The questions to a block device that have no safe wrapper anywhere, and the only unsafe code of this crate.
//!
//! Numbers and argument types: `linux/fs.h`, `linux/loop.h`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use crate::units::ByteRange;

#[cfg(target_os = "linux")]
mod linux {
    use super::*;
    use rustix::ioctl::{Getter, Opcode, Setter, ioctl, opcode};

    const BLKDISCARD: Opcode = opcode::none(0x12, 119);
    const BLKGETDISKSEQ: Opcode = opcode::read::<u64>(0x12, 128);
    const LOOP_GET_STATUS64: Opcode = opcode::none(0x4C, 5);

    /// `struct loop_info64`: 232 bytes, whose first three numbers are `lo_device`, `lo_inode` and `lo_rdevice`.
    type LoopInfo = [u64; 29];

    pub(super) fn discard(device: &File, range: ByteRange) -> io::Result<()> {
        let span: [u64; 2] = [range.start.0, range.len.0];
        // SAFETY: BLKDISCARD reads two u64, start and length in bytes, and writes nothing to our memory.
        let request = unsafe { Setter::<BLKDISCARD, [u64; 2]>::new(span) };
        // SAFETY: as above; on a descriptor that is no block device the kernel answers ENOTTY.
        Ok(unsafe { ioctl(device, request) }?)
    }

    pub(super) fn diskseq(device: &File) -> Option<u64> {
        // SAFETY: BLKGETDISKSEQ writes one u64.
        let request = unsafe { Getter::<BLKGETDISKSEQ, u64>::new() };
        // SAFETY: as above.
        unsafe { ioctl(device, request) }.ok()
    }

    pub(super) fn loop_backing(device: &File) -> Option<LoopBacking> {
        // SAFETY: LOOP_GET_STATUS64 writes one `struct loop_info64`, which is as long as `LoopInfo`.
        let request = unsafe { Getter::<LOOP_GET_STATUS64, LoopInfo>::new() };
        // SAFETY: as above; a loop device that is attached to nothing answers ENXIO.
        let [device, inode, special, ..] = unsafe { ioctl(device, request) }.ok()?;
        Some(LoopBacking { device, inode, special })
    }
}

/// What a loop device is attached to, as `stat` would tell it.
pub(super) struct LoopBacking {
    /// `st_dev` of the file.
    pub(super) device: u64,
    /// `st_ino` of the file.
    pub(super) inode: u64,
    /// `st_rdev`, where it is a device itself; else 0.
    pub(super) special: u64,
}

/// Tells the device that a range of bytes is not needed any more.
pub(crate) fn discard(device: &File, range: ByteRange) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return linux::discard(device, range);
    #[cfg(not(target_os = "linux"))]
    return Err(io::ErrorKind::Unsupported.into());
}

/// The running number of the medium behind an open descriptor; `None` on kernels before 5.15.
pub(crate) fn diskseq(device: &File) -> Option<u64> {
    #[cfg(target_os = "linux")]
    return linux::diskseq(device);
    #[cfg(not(target_os = "linux"))]
    return None;
}

/// What the loop device behind an open descriptor is attached to; `None` where it is none, or is attached to nothing.
pub(super) fn loop_backing(device: &File) -> Option<LoopBacking> {
    #[cfg(target_os = "linux")]
    return linux::loop_backing(device);
    #[cfg(not(target_os = "linux"))]
    return None;
}
