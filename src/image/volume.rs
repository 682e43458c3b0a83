//! What a partition holds, told by its content: magic numbers at known places, as blkid does it.

use std::fmt;
use std::io;

use super::bytes::ReadAt;
use crate::units::ByteOffset;

/// The kind of a file system or container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeKind {
    /// ext2: no journal, no extents.
    Ext2,
    /// ext3: a journal, no extents.
    Ext3,
    /// ext4.
    Ext4,
    /// FAT with 12-bit entries.
    Fat12,
    /// FAT with 16-bit entries.
    Fat16,
    /// FAT with 32-bit entries.
    Fat32,
    /// exFAT.
    ExFat,
    /// NTFS.
    Ntfs,
    /// LUKS 1 or 2: encrypted.
    Luks,
    /// BitLocker: encrypted.
    BitLocker,
    /// A physical volume of LVM2.
    Lvm2,
    /// A member of a Linux software RAID.
    Raid,
    /// btrfs.
    Btrfs,
    /// squashfs: read-only by design.
    Squashfs,
    /// EROFS: read-only by design.
    Erofs,
    /// XFS.
    Xfs,
    /// F2FS.
    F2fs,
    /// Linux swap.
    Swap,
    /// ISO 9660: an installer disc.
    Iso9660,
    /// Its first 68 KiB are zeros.
    Empty,
    /// None of these.
    Unknown,
}

impl VolumeKind {
    /// Looks at the first 68 KiB of a partition.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn probe(volume: &dyn ReadAt) -> io::Result<VolumeKind> {
        // The farthest magic is btrfs's, at 64 KiB + 64; RAID 1.0 at the very end is not looked for.
        const HEAD: u64 = 68 << 10;
        // A shorter volume is read whole.
        let mut head = vec![0; usize::try_from(HEAD.min(volume.size().0)).unwrap_or(0)];
        volume.read_at(ByteOffset(0), &mut head)?;
        Ok(by_magic(&head))
    }

    /// ext2, ext3 or ext4.
    pub fn is_ext(self) -> bool {
        matches!(self, VolumeKind::Ext2 | VolumeKind::Ext3 | VolumeKind::Ext4)
    }

    /// FAT12, FAT16 or FAT32.
    pub fn is_fat(self) -> bool {
        matches!(self, VolumeKind::Fat12 | VolumeKind::Fat16 | VolumeKind::Fat32)
    }

    /// Why a root file system of this kind is refused, with what to do; `None` for ext, which is edited.
    pub fn refusal(self) -> Option<&'static str> {
        Some(match self {
            VolumeKind::Ext2 | VolumeKind::Ext3 | VolumeKind::Ext4 => return None,
            VolumeKind::Luks | VolumeKind::BitLocker => {
                "it is encrypted. Take an image from before the encryption, or copy the opened system to a plain ext4 partition"
            }
            VolumeKind::Lvm2 => "it is an LVM physical volume. Copy the root file system to a plain ext4 partition",
            VolumeKind::Raid => {
                "it is a member of a software RAID. Copy the root file system to a plain ext4 partition"
            }
            VolumeKind::Squashfs | VolumeKind::Erofs => {
                "it is a read-only file system, which cannot be edited in place. Take the image from before it was packed"
            }
            VolumeKind::Btrfs | VolumeKind::Xfs | VolumeKind::F2fs | VolumeKind::Ntfs => {
                "only ext4 root file systems can be edited. Use an image in Raspberry Pi OS's own layout"
            }
            VolumeKind::Iso9660 => "it is an installer disc, not the image of a card",
            VolumeKind::Empty => "it is empty: the image was cut off or never filled",
            VolumeKind::Fat12 | VolumeKind::Fat16 | VolumeKind::Fat32 | VolumeKind::ExFat => {
                "it is a FAT file system, which cannot hold a Linux root"
            }
            VolumeKind::Swap | VolumeKind::Unknown => "it holds no file system that cardsmith knows",
        })
    }
}

impl fmt::Display for VolumeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VolumeKind::Ext2 => "ext2",
            VolumeKind::Ext3 => "ext3",
            VolumeKind::Ext4 => "ext4",
            VolumeKind::Fat12 => "FAT12",
            VolumeKind::Fat16 => "FAT16",
            VolumeKind::Fat32 => "FAT32",
            VolumeKind::ExFat => "exFAT",
            VolumeKind::Ntfs => "NTFS",
            VolumeKind::Luks => "LUKS (encrypted)",
            VolumeKind::BitLocker => "BitLocker (encrypted)",
            VolumeKind::Lvm2 => "LVM2",
            VolumeKind::Raid => "software RAID",
            VolumeKind::Btrfs => "btrfs",
            VolumeKind::Squashfs => "squashfs",
            VolumeKind::Erofs => "EROFS",
            VolumeKind::Xfs => "XFS",
            VolumeKind::F2fs => "F2FS",
            VolumeKind::Swap => "swap",
            VolumeKind::Iso9660 => "ISO 9660",
            VolumeKind::Empty => "nothing (zeros)",
            VolumeKind::Unknown => "an unknown content",
        })
    }
}

fn by_magic(head: &[u8]) -> VolumeKind {
    let has = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
    // LUKS keeps its magic at 0 (LUKS2's copy has the other spelling); ahead of all, because containers decide.
    if has(0, b"LUKS\xBA\xBE") || has(0, b"SKUL\xBA\xBE") {
        return VolumeKind::Luks;
    }
    if has(3, b"-FVE-FS-") {
        return VolumeKind::BitLocker;
    }
    // The label may stand in any of the first four sectors (LVM2's `LABEL_SCAN_SECTORS`).
    if (0..4).any(|sector| has(sector * 512, b"LABELONE") && has(sector * 512 + 24, b"LVM2 001")) {
        return VolumeKind::Lvm2;
    }
    // md's magic in little-endian: version 1.2 has it at 4 KiB, 1.1 at 0.
    if has(0x1000, b"\xFC\x4E\x2B\xA9") || has(0, b"\xFC\x4E\x2B\xA9") {
        return VolumeKind::Raid;
    }
    // The superblock is at 64 KiB, its magic 0x40 into it.
    if has(0x10040, b"_BHRfS_M") {
        return VolumeKind::Btrfs;
    }
    // Both byte orders: squashfs 3 and older could be big-endian.
    if has(0, b"hsqs") || has(0, b"sqsh") {
        return VolumeKind::Squashfs;
    }
    if has(0, b"XFSB") {
        return VolumeKind::Xfs;
    }
    if has(1024, b"\xE2\xE1\xF5\xE0") {
        return VolumeKind::Erofs;
    }
    if has(1024, b"\x10\x20\xF5\xF2") {
        return VolumeKind::F2fs;
    }
    // `s_magic`, 0x38 into the superblock.
    if has(1024 + 0x38, b"\x53\xEF") {
        return ext(head);
    }
    // Swap keeps its magic at the end of the first page, whatever the page size of the machine that made it.
    if [4096, 8192, 16384, 65536].iter().any(|page| has(page - 10, b"SWAPSPACE2") || has(page - 10, b"SWAP-SPACE")) {
        return VolumeKind::Swap;
    }
    // The primary volume descriptor is in sector 16, of 2048 bytes.
    if has(0x8001, b"CD001") {
        return VolumeKind::Iso9660;
    }
    // The OEM names of boot sectors come late: a boot sector may be left over from before the volume was made anew.
    if has(3, b"EXFAT   ") {
        return VolumeKind::ExFat;
    }
    if has(3, b"NTFS    ") {
        return VolumeKind::Ntfs;
    }
    if let Some(fat) = fat(head) {
        return fat;
    }
    if head.iter().all(|&b| b == 0) { VolumeKind::Empty } else { VolumeKind::Unknown }
}

/// Feature words at 0x5C (compat) and 0x60 (incompat) of the superblock tell the generations apart.
fn ext(head: &[u8]) -> VolumeKind {
    const HAS_JOURNAL: u32 = 0x4;
    // What ext3 knows: `filetype`, `recover` and `meta_bg`. Anything else (extents, 64bit, flex_bg, inline data) is
    // ext4's.
    const EXT3_INCOMPAT: u32 = 0x2 | 0x4 | 0x10;
    let word =
        |at: usize| head.get(1024 + at..1024 + at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    // A feature that ext3 never had decides first, then the journal.
    match (word(0x60) & !EXT3_INCOMPAT != 0, word(0x5C) & HAS_JOURNAL != 0) {
        (true, _) => VolumeKind::Ext4,
        (false, true) => VolumeKind::Ext3,
        (false, false) => VolumeKind::Ext2,
    }
}

/// FAT has no magic of its own. Its parameter block is taken for one when all of it makes sense, and the width of its
/// entries follows from the number of clusters alone (Microsoft's "FAT: General Overview", 3.5).
fn fat(head: &[u8]) -> Option<VolumeKind> {
    let byte = |at: usize| head.get(at).copied();
    let u16_at = |at: usize| Some(u32::from(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?)));
    let u32_at = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
    // `BS_jmpBoot`: a short jump and a NOP, or a near jump.
    let jump = matches!((byte(0)?, byte(2)?), (0xEB, 0x90) | (0xE9, _));
    // `BPB_BytsPerSec`, `BPB_SecPerClus`, `BPB_RsvdSecCnt`, `BPB_NumFATs` and `BPB_Media`.
    let sector = u16_at(11)?;
    let per_cluster = u32::from(byte(13)?);
    let reserved = u16_at(14)?;
    let fats = u32::from(byte(16)?);
    let media = byte(21)?;
    let sound = jump
        && head.get(510..512)? == [0x55, 0xAA]
        && matches!(sector, 512 | 1024 | 2048 | 4096)
        && per_cluster.is_power_of_two()
        && reserved > 0
        && matches!(fats, 1 | 2)
        && (media == 0xF0 || media >= 0xF8);
    if !sound {
        return None;
    }
    // `BPB_RootEntCnt`, of 32 bytes each. It is 0 on FAT32, whose root directory is a chain of clusters.
    let root_sectors = (u16_at(17)? * 32).div_ceil(sector);
    // `BPB_TotSec16` and `BPB_FATSz16` are 0 where the number is in the 32-bit field instead.
    let total = match u16_at(19)? {
        0 => u32_at(32)?,
        small => small,
    };
    let fat_sectors = match u16_at(22)? {
        0 => u32_at(36)?,
        small => small,
    };
    // Checked: what is no FAT can have any bytes here.
    let overhead = fats.checked_mul(fat_sectors)?.checked_add(reserved)?.checked_add(root_sectors)?;
    let clusters = total.checked_sub(overhead)? / per_cluster;
    Some(match clusters {
        0 => return None,
        // mkfs.fat -F 32 makes FAT32 with too few clusters on small volumes; the field that only FAT32 has decides.
        _ if u16_at(22)? == 0 => VolumeKind::Fat32,
        1..4085 => VolumeKind::Fat12,
        4085..65525 => VolumeKind::Fat16,
        _ => VolumeKind::Fat32,
    })
}
