//! The boot sector and the allocation table of a FAT volume.
//! Source of all offsets: Microsoft's "FAT: General Overview of On-Disk Format", version 1.03.

use std::io;

use crate::fs::FsError;
use crate::fs::ext4::raw::{put_u16, put_u32, u16_at, u32_at};
use crate::fs::probe;
use crate::image::{ReadAt, WriteAt};
use crate::units::{ByteOffset, ByteRange};

/// How wide an entry of the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FatKind {
    /// 12 bits.
    Fat12,
    /// 16 bits.
    Fat16,
    /// 28 of 32 bits.
    Fat32,
}

/// The first cluster number that stands for data.
pub const FIRST_CLUSTER: u32 = 2;
/// A table beyond this is no boot partition: 16 Mi clusters of FAT32.
const MOST_TABLE_BYTES: u64 = 64 << 20;

/// A checked FAT volume with its table in memory.
#[derive(Debug, Clone)]
pub struct FatVolume {
    /// The width of table entries.
    pub kind: FatKind,
    /// Bytes in a cluster.
    pub cluster_bytes: u64,
    /// Bytes in a sector.
    pub sector_bytes: u64,
    /// Where the first copy of the table begins, in bytes from the start of the partition.
    pub table_start: u64,
    /// Bytes in one copy of the table.
    pub table_bytes: u64,
    /// Copies of the table.
    pub tables: u64,
    /// The fixed root directory of FAT12 and FAT16; empty on FAT32.
    pub fixed_root: ByteRange,
    /// The first cluster of the root directory on FAT32.
    pub root_cluster: u32,
    /// Where cluster 2 begins, in bytes.
    pub data_start: u64,
    /// Number of clusters.
    pub clusters: u32,
    /// Where the FSInfo sector lies, on FAT32.
    pub info_at: Option<u64>,
    /// The whole volume, in bytes.
    pub total_bytes: u64,
    /// One entry per cluster number, the reserved bits of FAT32 cut off.
    pub table: Vec<u32>,
}

impl FatVolume {
    /// Reads and checks the boot sector and the first copy of the table.
    ///
    /// # Errors
    /// [`FsError::Unsupported`] for what is no FAT, [`FsError::Corrupt`] for values that cannot be.
    pub fn read(window: &dyn ReadAt) -> Result<FatVolume, FsError> {
        let mut boot = [0; 512];
        let read = window.read_at(ByteOffset(0), &mut boot);
        // Too short is no error yet: the probe says what it is instead.
        if matches!(&read, Err(e) if e.kind() != io::ErrorKind::UnexpectedEof) {
            read.map_err(|source| FsError::Io { doing: "read the boot partition's first sector".into(), source })?;
        }
        match probe::kind_of(window)? {
            kind if kind.is_fat() => {}
            kind => return Err(FsError::Unsupported { volume: "boot", what: format!("it is {kind}, not FAT") }),
        }
        let mut volume = FatVolume::from_boot_sector(&boot, window.size().0)?;
        let mut raw = vec![0; usize::try_from(volume.table_bytes).unwrap_or(0)];
        window
            .read_at(ByteOffset(volume.table_start), &mut raw)
            .map_err(|source| FsError::Io { doing: "read the boot partition's allocation table".into(), source })?;
        // Two more than there are clusters, which count from 2.
        volume.table = (0..volume.clusters + FIRST_CLUSTER).map(|n| entry_at(volume.kind, &raw, n)).collect();
        Ok(volume)
    }

    fn from_boot_sector(boot: &[u8; 512], partition: u64) -> Result<FatVolume, FsError> {
        let u16 = |at| u64::from(u16_at(boot, at));
        let u32 = |at| u64::from(u32_at(boot, at));
        let byte = |at: usize| boot.get(at).map_or(0, |&b| u64::from(b));
        let check = |fine: bool, what: &str| if fine { Ok(()) } else { Err(corrupt(what.to_owned())) };
        // `BPB_BytsPerSec`, and below `BPB_SecPerClus`, `BPB_RsvdSecCnt` and `BPB_NumFATs`.
        let sector = u16(0x0B);
        check(matches!(sector, 512 | 1024 | 2048 | 4096), "its sector size cannot be")?;
        check(byte(0x0D).is_power_of_two(), "its cluster size cannot be")?;
        let cluster_bytes = sector * byte(0x0D);
        let (reserved, tables) = (u16(0x0E), byte(0x10));
        check(reserved >= 1 && matches!(tables, 1 | 2), "it has no room or no number for its allocation tables")?;
        // `BPB_FATSz16` is 0 on FAT32, which has `BPB_FATSz32` instead.
        let wide = u16(0x16) == 0;
        let table_bytes = sector * if wide { u32(0x24) } else { u16(0x16) };
        check(table_bytes > 0 && table_bytes <= MOST_TABLE_BYTES, "the size of its allocation table cannot be")?;
        // `BPB_TotSec16`, or `BPB_TotSec32` where 16 bits are too few.
        let total_bytes = sector * if u16(0x13) == 0 { u32(0x20) } else { u16(0x13) };
        check(total_bytes <= partition, "it claims to be larger than its partition")?;
        let table_start = reserved * sector;
        let root_start = table_start + tables * table_bytes;
        // `BPB_RootEntCnt`, of 32 bytes each.
        let root_bytes = (u16(0x11) * 32).div_ceil(sector) * sector;
        let data_start = root_start + root_bytes;
        // Sectors at the end that are too few for a cluster belong to nobody.
        let clusters = total_bytes.checked_sub(data_start).map_or(0, |bytes| bytes / cluster_bytes);
        // More could not be told from the mark of a bad cluster.
        let clusters = u32::try_from(clusters).ok().filter(|&n| (1..0x0FFF_FFF5).contains(&n));
        let clusters = clusters.ok_or_else(|| corrupt("it has no room for clusters".into()))?;
        let kind = match clusters {
            0..4085 => FatKind::Fat12,
            4085..65525 => FatKind::Fat16,
            _ => FatKind::Fat32,
        };
        if wide && kind != FatKind::Fat32 {
            // Drivers disagree on what such a volume is: Linux takes it for FAT32, others go by the count.
            let what = format!("it is a FAT32 with only {clusters} clusters, which must have 65,525; make it larger");
            return Err(FsError::Unsupported { volume: "boot", what });
        }
        check(wide || kind != FatKind::Fat32, "it has more clusters than its table can name")?;
        check(wide == (root_bytes == 0), "its root directory has no place")?;
        let needed = (u64::from(clusters) + 2) * if wide { 32 } else { bits(kind) };
        check(table_bytes * 8 >= needed, "its allocation table is too short")?;
        // `BPB_RootClus`.
        let root_cluster = if wide { u32_at(boot, 0x2C) } else { 0 };
        check(
            !wide || (FIRST_CLUSTER..clusters + FIRST_CLUSTER).contains(&root_cluster),
            "its root cluster cannot be",
        )?;
        // Bit 7 of `BPB_ExtFlags`: the copy that counts need not be the first, which is the one that is read here.
        check(!wide || u16(0x28) & 0x80 == 0, "only one of its allocation tables is kept up to date")?;
        // `BPB_FSInfo`. 0 and 0xFFFF mean that there is none.
        let info = Some(u16(0x30)).filter(|&s| wide && s != 0 && s < reserved);
        Ok(FatVolume {
            kind,
            cluster_bytes,
            sector_bytes: sector,
            table_start,
            table_bytes,
            tables,
            fixed_root: ByteRange::new(root_start, root_bytes),
            root_cluster,
            data_start,
            clusters,
            info_at: info.map(|s| s * sector),
            total_bytes,
            table: Vec::new(),
        })
    }

    /// Where `cluster` lies; `None` for a number that no cluster has.
    pub fn place(&self, cluster: u32) -> Option<ByteRange> {
        let index = cluster.checked_sub(FIRST_CLUSTER).filter(|&n| n < self.clusters)?;
        Some(ByteRange::new(self.data_start + u64::from(index) * self.cluster_bytes, self.cluster_bytes))
    }

    /// The table's entry of `cluster`; 0 means free.
    pub fn entry(&self, cluster: u32) -> u32 {
        self.table.get(cluster as usize).copied().unwrap_or(0)
    }

    /// Whether an entry says that its cluster is the last one of a chain.
    pub fn is_last(&self, entry: u32) -> bool {
        entry > self.bad_mark()
    }

    /// The entry of a cluster that must not be used.
    pub fn bad_mark(&self) -> u32 {
        match self.kind {
            FatKind::Fat12 => 0xFF7,
            FatKind::Fat16 => 0xFFF7,
            FatKind::Fat32 => 0x0FFF_FFF7,
        }
    }

    /// The entry that ends a chain.
    pub fn end_mark(&self) -> u32 {
        // 0xFFF, 0xFFFF or 0x0FFF_FFFF.
        self.bad_mark() + 8
    }

    /// How many clusters are free.
    pub fn free_clusters(&self) -> u32 {
        let free = self.table.iter().skip(FIRST_CLUSTER as usize).filter(|&&entry| entry == 0).count();
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    /// Sets an entry in memory and in every copy of the table.
    ///
    /// # Errors
    /// The overlay's.
    pub fn set_entry(&mut self, window: &dyn WriteAt, cluster: u32, value: u32) -> Result<(), FsError> {
        let (bit, width) = match self.kind {
            // Two entries of FAT12 share three bytes, so each is read and written as two.
            FatKind::Fat12 => (u64::from(cluster) * 12, 2),
            kind => (u64::from(cluster) * if kind == FatKind::Fat16 { 16 } else { 32 }, bits(kind).div_ceil(8)),
        };
        let mut raw = [0u8; 4];
        let raw = raw.get_mut(..usize::try_from(width).unwrap_or(0)).unwrap_or_default();
        for copy in 0..self.tables {
            let at = ByteOffset(self.table_start + copy * self.table_bytes + bit / 8);
            // Read first: the neighbour's half byte on FAT12 and the four reserved bits on FAT32 must stay.
            window.read_at(at, raw).map_err(in_table)?;
            match self.kind {
                FatKind::Fat12 if bit % 8 == 0 => {
                    let kept = u16_at(raw, 0) & 0xF000;
                    put_u16(raw, 0, kept | (value as u16 & 0xFFF));
                }
                FatKind::Fat12 => {
                    let kept = u16_at(raw, 0) & 0x000F;
                    put_u16(raw, 0, kept | ((value as u16 & 0xFFF) << 4));
                }
                // The cast is safe: an entry of FAT16 has 16 bits.
                FatKind::Fat16 => put_u16(raw, 0, value as u16),
                FatKind::Fat32 => {
                    let kept = u32_at(raw, 0) & 0xF000_0000;
                    put_u32(raw, 0, kept | (value & 0x0FFF_FFFF));
                }
            }
            window.write_at(at, raw).map_err(in_table)?;
        }
        if let Some(entry) = self.table.get_mut(cluster as usize) {
            *entry = value;
        }
        Ok(())
    }

    /// Writes the number of free clusters, and the first of them as the place to search from, into the FSInfo sector.
    /// Both are hints that drivers keep; from here they follow from the table alone, so that the same edits give the
    /// same bytes.
    ///
    /// # Errors
    /// The overlay's.
    pub fn write_info(&self, window: &dyn WriteAt) -> Result<(), FsError> {
        let Some(at) = self.info_at else { return Ok(()) };
        let mut sector = [0; 512];
        window.read_at(ByteOffset(at), &mut sector).map_err(in_table)?;
        // `FSI_LeadSig` and `FSI_StrucSig`. Without them no driver looks at the sector.
        if u32_at(&sector, 0) != 0x4161_5252 || u32_at(&sector, 484) != 0x6141_7272 {
            return Ok(());
        }
        let first = self.table.iter().skip(FIRST_CLUSTER as usize).position(|&entry| entry == 0);
        // All ones say that it is not known: nothing is free.
        let first = first.and_then(|n| u32::try_from(n).ok()).map_or(u32::MAX, |n| n + FIRST_CLUSTER);
        let mut hints = [0; 8];
        put_u32(&mut hints, 0, self.free_clusters());
        put_u32(&mut hints, 4, first);
        // An equal write would count as an edit of the image.
        if sector.get(488..496) != Some(&hints) {
            window.write_at(ByteOffset(at + 488), &hints).map_err(in_table)?;
        }
        Ok(())
    }
}

fn bits(kind: FatKind) -> u64 {
    match kind {
        FatKind::Fat12 => 12,
        FatKind::Fat16 => 16,
        FatKind::Fat32 => 32,
    }
}

fn entry_at(kind: FatKind, raw: &[u8], cluster: u32) -> u32 {
    let n = cluster as usize;
    match kind {
        // 12 bits each: even ones begin on a byte, odd ones in the middle of one.
        FatKind::Fat12 if n.is_multiple_of(2) => u32::from(u16_at(raw, n + n / 2) & 0xFFF),
        FatKind::Fat12 => u32::from(u16_at(raw, n + n / 2) >> 4),
        FatKind::Fat16 => u32::from(u16_at(raw, n * 2)),
        FatKind::Fat32 => u32_at(raw, n * 4) & 0x0FFF_FFFF,
    }
}

pub(crate) fn in_table(source: io::Error) -> FsError {
    FsError::Io { doing: "change the boot partition's allocation table".into(), source }
}

pub(crate) fn corrupt(what: String) -> FsError {
    FsError::Corrupt { volume: "boot", what }
}
