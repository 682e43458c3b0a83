//! The two questions to a block device that have no safe wrapper anywhere, and the only unsafe code of this crate.
//!
//! Numbers and argument types: `linux/fs.h`.
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

    pub(in super::super) fn discard(device: &File, range: ByteRange) -> io::Result<()> {
        let span: [u64; 2] = [range.start.0, range.len.0];
        // SAFETY: BLKDISCARD reads two u64, start and length in bytes, and writes nothing to our memory.
        let request = unsafe { Setter::<BLKDISCARD, [u64; 2]>::new(span) };
        // SAFETY: as above; on a descriptor that is no block device the kernel answers ENOTTY.
        Ok(unsafe { ioctl(device, request) }?)
    }

    pub(in super::super) fn diskseq(device: &File) -> Option<u64> {
        // SAFETY: BLKGETDISKSEQ writes one u64.
        let request = unsafe { Getter::<BLKGETDISKSEQ, u64>::new() };
        // SAFETY: as above.
        unsafe { ioctl(device, request) }.ok()
    }
}

/// Tells the device that a range of bytes is not needed any more.
pub(super) fn discard(device: &File, range: ByteRange) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return linux::discard(device, range);
    #[cfg(not(target_os = "linux"))]
    return Err(io::ErrorKind::Unsupported.into());
}

/// The running number of the medium behind an open descriptor; `None` on kernels before 5.15.
pub(super) fn diskseq(device: &File) -> Option<u64> {
    #[cfg(target_os = "linux")]
    return linux::diskseq(device);
    #[cfg(not(target_os = "linux"))]
    return None;
}
