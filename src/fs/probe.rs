//! What kind of file system a partition holds, judged by what is there and never by the partition's type or number.

use std::fmt;
use std::io;

use super::FsError;
use crate::image::{ByteOffset, ReadAt};

/// What a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystemKind {
    /// ext2, ext3 or ext4.
    Ext,
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// exFAT.
    ExFat,
    /// An encrypted container (LUKS).
    Luks,
    /// A physical volume of LVM.
    Lvm,
    /// btrfs.
    Btrfs,
    /// XFS.
    Xfs,
    /// F2FS.
    F2fs,
    /// squashfs, which is read-only.
    Squashfs,
    /// EROFS, which is read-only.
    Erofs,
    /// NTFS.
    Ntfs,
    /// Swap space.
    Swap,
    /// Nothing but zeros where a file system would begin.
    Empty,
    /// None of these.
    Unknown,
}

impl fmt::Display for FileSystemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileSystemKind::Ext => "ext2, ext3 or ext4",
            FileSystemKind::Fat => "FAT",
            FileSystemKind::ExFat => "exFAT",
            FileSystemKind::Luks => "encrypted (LUKS)",
            FileSystemKind::Lvm => "an LVM physical volume",
            FileSystemKind::Btrfs => "btrfs",
            FileSystemKind::Xfs => "XFS",
            FileSystemKind::F2fs => "F2FS",
            FileSystemKind::Squashfs => "squashfs (read-only)",
            FileSystemKind::Erofs => "EROFS (read-only)",
            FileSystemKind::Ntfs => "NTFS",
            FileSystemKind::Swap => "swap space",
            FileSystemKind::Empty => "empty",
            FileSystemKind::Unknown => "of an unknown kind",
        })
    }
}

/// Magic bytes by their place. FAT comes last: its marks are the weakest.
const MAGICS: &[(usize, &[u8], FileSystemKind)] = &[
    (0, b"LUKS\xba\xbe", FileSystemKind::Luks),
    (0, b"hsqs", FileSystemKind::Squashfs),
    (0, b"XFSB", FileSystemKind::Xfs),
    (3, b"NTFS    ", FileSystemKind::Ntfs),
    (3, b"EXFAT   ", FileSystemKind::ExFat),
    (0x218, b"LVM2 001", FileSystemKind::Lvm),
    (0x438, b"\x53\xef", FileSystemKind::Ext),
    (0x400, b"\x10\x20\xf5\xf2", FileSystemKind::F2fs),
    (0x400, b"\xe2\xe1\xf5\xe0", FileSystemKind::Erofs),
    (0xFF6, b"SWAPSPACE2", FileSystemKind::Swap),
    (0x10040, b"_BHRfS_M", FileSystemKind::Btrfs),
    (0x36, b"FAT", FileSystemKind::Fat),
    (0x52, b"FAT32", FileSystemKind::Fat),
];

/// What the partition `window` holds.
///
/// # Errors
/// [`FsError::Io`] where it cannot be read.
pub fn kind_of(window: &dyn ReadAt) -> Result<FileSystemKind, FsError> {
    const LOOKED_AT: u64 = 0x11000;
    let len = usize::try_from(window.size().0.min(LOOKED_AT)).unwrap_or(0);
    let mut head = vec![0; len];
    window
        .read_at(ByteOffset(0), &mut head)
        .map_err(|source: io::Error| FsError::Io { doing: "read the beginning of a partition".into(), source })?;
    let found = MAGICS.iter().find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    Ok(match found {
        Some((_, _, kind)) => *kind,
        // A boot sector without the informal "FAT" text (some formatters): jump, bytes per sector, one or two FATs.
        None if head.get(0x1FE..0x200) == Some(&[0x55, 0xAA])
            && matches!(head.first(), Some(0xEB | 0xE9))
            && matches!(head.get(0x0B..0x0D), Some([0, 2 | 4 | 8 | 16]))
            && matches!(head.get(0x10), Some(1 | 2)) =>
        {
            FileSystemKind::Fat
        }
        None if head.iter().all(|&b| b == 0) => FileSystemKind::Empty,
        None => FileSystemKind::Unknown,
    })
}
