//! The ext4 superblock: read, and refused where cardsmith could not edit the file system safely.
//!
//! This runs before any library sees the image. What is not ext4 is named, a feature that we do not maintain is a
//! refusal with the feature's name, and absurd geometry is damage.

use std::io;

use super::features::{self, compat, incompat, ro_compat};
use super::raw::{halves, put_u16, put_u32, u16_at, u32_at};
use crate::fs::FsError;
use crate::fs::probe;
use crate::image::{ReadAt, WriteAt};
use crate::units::ByteOffset;

/// Where the superblock lies in its partition, in bytes.
pub const SUPERBLOCK_AT: u64 = 1024;
/// How long it is, in bytes.
pub const SUPERBLOCK_BYTES: usize = 1024;
/// `s_magic`.
pub const MAGIC: u16 = 0xEF53;

/// `s_state`: errors were detected.
const ERROR_FS: u16 = 2;
/// `s_state`: put away properly.
const VALID_FS: u16 = 1;

/// What the superblock says, after it was checked.
#[derive(Debug, Clone)]
pub struct Superblock {
    /// The 1024 bytes as they lie on disk.
    pub raw: Vec<u8>,
    /// Bytes in a block: 1024, 2048 or 4096.
    pub block_bytes: u32,
    /// Blocks in the file system.
    pub blocks: u64,
    /// Inodes in the file system; inode numbers begin with 1.
    pub inodes: u32,
    /// The block that the first group begins with.
    pub first_data_block: u32,
    /// Blocks in a group.
    pub blocks_per_group: u32,
    /// Inodes in a group.
    pub inodes_per_group: u32,
    /// Number of groups.
    pub groups: u32,
    /// Bytes in an inode slot.
    pub inode_bytes: u16,
    /// The first inode number that is not reserved.
    pub first_inode: u32,
    /// Bytes in a group descriptor.
    pub descriptor_bytes: u16,
    /// `s_feature_compat`.
    pub compat: u32,
    /// `s_feature_incompat`.
    pub incompat: u32,
    /// `s_feature_ro_compat`.
    pub ro_compat: u32,
    /// The journal's inode, 0 where there is none.
    pub journal_inode: u32,
    /// Blocks behind the descriptors that are kept for more of them.
    pub reserved_gdt_blocks: u16,
    /// With `sparse_super2`: the groups that hold a backup.
    pub backup_groups: [u32; 2],
    /// With `meta_bg`: the first meta group.
    pub first_meta_group: u32,
    /// The head of the list of orphaned inodes.
    pub last_orphan: u32,
    /// The orphan file's inode, 0 where there is none.
    pub orphan_file_inode: u32,
    /// What all crc32c checksums begin with.
    pub checksum_seed: u32,
}

impl Superblock {
    /// Reads and checks the superblock of the partition `window`, for reading what is there: a file system whose
    /// power was cut is fine here.
    ///
    /// # Errors
    /// [`FsError::Unsupported`] for what is no ext4 or has features that cardsmith does not maintain (named),
    /// [`FsError::Corrupt`] for values that cannot be.
    pub fn read(window: &dyn ReadAt) -> Result<Superblock, FsError> {
        let mut raw = vec![0; SUPERBLOCK_BYTES];
        let read = window.read_at(ByteOffset(SUPERBLOCK_AT), &mut raw);
        // Not an error yet: what the partition holds instead is the better message.
        let too_short = matches!(&read, Err(e) if e.kind() == io::ErrorKind::UnexpectedEof);
        if too_short || (read.is_ok() && u16_at(&raw, 0x38) != MAGIC) {
            let what = match probe::kind_of(window)? {
                kind if kind.is_ext() => "its superblock is damaged: take another copy of the image".into(),
                kind => format!("it is {kind}, not ext4; take an image with a plain ext4 root"),
            };
            return Err(unsupported(what));
        }
        read.map_err(|source| FsError::Io { doing: "read the root file system's superblock".into(), source })?;
        let superblock = Superblock::parse(raw)?;
        superblock.check_geometry(window.size().0)?;
        Ok(superblock)
    }

    /// As [`Superblock::read`], and refuses what must be repaired first: see [`crate::fs::repair`].
    ///
    /// # Errors
    /// As [`Superblock::read`]; [`FsError::Corrupt`] where the journal is not empty, inodes are orphaned or the kernel
    /// has noted errors.
    pub fn read_clean(window: &dyn ReadAt) -> Result<Superblock, FsError> {
        let superblock = Superblock::read(window)?;
        superblock.refuse_noted_errors()?;
        if superblock.needs_repair() {
            return Err(corrupt("its power was cut: the journal has to be replayed before anything is edited".into()));
        }
        Ok(superblock)
    }

    /// Whether the journal must be replayed or orphaned inodes be released.
    pub fn needs_repair(&self) -> bool {
        self.incompat & incompat::RECOVER != 0
            || self.ro_compat & ro_compat::ORPHAN_PRESENT != 0
            || self.last_orphan != 0
    }

    /// Refuses a file system in which the kernel has detected errors.
    ///
    /// # Errors
    /// [`FsError::Corrupt`].
    pub fn refuse_noted_errors(&self) -> Result<(), FsError> {
        if u16_at(&self.raw, 0x3A) & ERROR_FS == 0 {
            return Ok(());
        }
        Err(corrupt("the kernel has detected errors in it and noted that in the superblock".into()))
    }

    /// Whether `s_state` says that the file system was put away properly.
    pub fn is_marked_clean(&self) -> bool {
        u16_at(&self.raw, 0x3A) & VALID_FS != 0
    }

    /// Makes `s_state` say so; see [`Superblock::write`].
    pub fn mark_clean(&mut self) {
        let state = u16_at(&self.raw, 0x3A) | VALID_FS;
        put_u16(&mut self.raw, 0x3A, state);
    }

    /// Writes the raw superblock back, with its checksum made right.
    ///
    /// # Errors
    /// [`FsError::Io`].
    pub fn write(&mut self, window: &dyn WriteAt) -> Result<(), FsError> {
        if self.has_metadata_csum() {
            // `s_checksum` is the last field, and covers all before it.
            let sum = super::checksum::crc32c(u32::MAX, self.raw.get(..0x3FC).unwrap_or_default());
            put_u32(&mut self.raw, 0x3FC, sum);
        }
        window
            .write_at(ByteOffset(SUPERBLOCK_AT), &self.raw)
            .map_err(|source| FsError::Io { doing: "write the root file system's superblock".into(), source })
    }

    /// Whether metadata carries crc32c checksums.
    pub fn has_metadata_csum(&self) -> bool {
        self.ro_compat & ro_compat::METADATA_CSUM != 0
    }

    /// Whether group descriptors may say that a bitmap or inode table was never initialised.
    pub fn has_uninit_flags(&self) -> bool {
        self.ro_compat & (ro_compat::METADATA_CSUM | ro_compat::GDT_CSUM) != 0
    }

    /// Bytes in a block, for arithmetic with offsets.
    pub fn block_size(&self) -> u64 {
        u64::from(self.block_bytes)
    }

    /// The blocks that the group descriptor table takes in one copy (without `meta_bg`).
    pub fn descriptor_blocks(&self) -> u64 {
        (u64::from(self.groups) * u64::from(self.descriptor_bytes)).div_ceil(self.block_size())
    }

    /// The first block of `group`.
    pub fn group_start(&self, group: u32) -> u64 {
        u64::from(self.first_data_block) + u64::from(group) * u64::from(self.blocks_per_group)
    }

    /// How many blocks `group` has: the last one may be shorter.
    pub fn group_blocks(&self, group: u32) -> u32 {
        let rest = self.blocks.saturating_sub(self.group_start(group));
        u32::try_from(rest).unwrap_or(u32::MAX).min(self.blocks_per_group)
    }

    /// Whether `group` begins with a copy of the superblock.
    pub fn group_has_superblock(&self, group: u32) -> bool {
        let power_of = |base: u32| {
            let mut n = group;
            while n > 1 && n.is_multiple_of(base) {
                n /= base;
            }
            n == 1
        };
        if group == 0 {
            true
        } else if self.compat & compat::SPARSE_SUPER2 != 0 {
            self.backup_groups.contains(&group)
        } else if self.ro_compat & ro_compat::SPARSE_SUPER == 0 {
            // Without `sparse_super`, every group has one.
            true
        } else {
            // The rule of `sparse_super`.
            group == 1 || power_of(3) || power_of(5) || power_of(7)
        }
    }

    fn parse(raw: Vec<u8>) -> Result<Superblock, FsError> {
        let (u16, u32) = (|at| u16_at(&raw, at), |at| u32_at(&raw, at));
        let (compat, incompat, ro_compat) = (u32(0x5C), u32(0x60), u32(0x64));
        // First of all: a feature may change what any other field means.
        let unknown = features::foreign(compat, incompat, ro_compat);
        if !unknown.is_empty() {
            return Err(unsupported(format!(
                "it uses {}; cardsmith does not maintain that. Take an image without it",
                unknown.join(", ")
            )));
        }
        // `s_rev_level`. Revision 0 has no inode size and no feature words.
        if u32(0x4C) != 1 {
            return Err(unsupported(format!("its revision is {}, not 1 (dynamic inode sizes)", u32(0x4C))));
        }
        if incompat & incompat::EXTENTS == 0 || incompat & incompat::FILETYPE == 0 {
            return Err(unsupported("it is ext2 or ext3; cardsmith edits ext4 with extents".into()));
        }
        let log_block = u32(0x18);
        if log_block > 2 {
            // Up to 64 KiB are legal on other machines. Beyond that it is no size at all.
            let size = 1024u64.checked_shl(log_block).filter(|_| log_block <= 6);
            return Err(match size {
                Some(size) => unsupported(format!("its blocks have {size} bytes; a Pi mounts at most 4096")),
                None => corrupt(format!("its block size is 2^{}", u64::from(log_block) + 10)),
            });
        }
        let bit64 = incompat & incompat::BIT64 != 0;
        // Without `64bit`, the upper half may hold anything.
        let blocks = halves(if bit64 { u32(0x150) } else { 0 }, u32(0x04));
        let blocks_per_group = u32(0x20);
        let first_data_block = u32(0x14);
        // At least one group, and no more than 32 bits can count.
        let groups = blocks
            .checked_sub(u64::from(first_data_block))
            .filter(|_| blocks_per_group != 0)
            .and_then(|n| u32::try_from(n.div_ceil(u64::from(blocks_per_group))).ok())
            .filter(|&n| n > 0)
            .ok_or_else(|| corrupt(format!("{blocks} blocks in groups of {blocks_per_group} cannot be")))?;
        // Stored, where the id may have been changed since. Otherwise it follows from `s_uuid`.
        let seed = if incompat & incompat::CSUM_SEED != 0 {
            u32(0x270)
        } else {
            super::checksum::crc32c(u32::MAX, raw.get(0x68..0x78).unwrap_or_default())
        };
        Ok(Superblock {
            block_bytes: 1024 << log_block,
            blocks,
            inodes: u32(0x00),
            first_data_block,
            blocks_per_group,
            inodes_per_group: u32(0x28),
            groups,
            inode_bytes: u16(0x58),
            first_inode: u32(0x54),
            descriptor_bytes: if bit64 { u16(0xFE) } else { 32 },
            compat,
            incompat,
            ro_compat,
            // Fields of features that are off may hold anything.
            journal_inode: if compat & compat::HAS_JOURNAL != 0 { u32(0xE0) } else { 0 },
            reserved_gdt_blocks: if compat & compat::RESIZE_INODE != 0 { u16(0xCE) } else { 0 },
            backup_groups: [u32(0x24C), u32(0x250)],
            first_meta_group: u32(0x104),
            last_orphan: u32(0xE8),
            orphan_file_inode: if compat & compat::ORPHAN_FILE != 0 { u32(0x280) } else { 0 },
            checksum_seed: seed,
            raw,
        })
    }

    fn check_geometry(&self, partition: u64) -> Result<(), FsError> {
        // A bitmap is one block.
        let bits = self.block_bytes * 8;
        let check = |fine: bool, what: &dyn Fn() -> String| if fine { Ok(()) } else { Err(corrupt(what())) };
        check(self.blocks.checked_mul(self.block_size()).is_some_and(|bytes| bytes <= partition), &|| {
            format!(
                "it claims {} blocks of {} bytes, its partition has {partition} bytes",
                self.blocks, self.block_bytes
            )
        })?;
        // Block 0 is the boot block where blocks have 1024 bytes. Larger ones hold the superblock as well.
        check(self.first_data_block == u32::from(self.block_bytes == 1024), &|| {
            format!("its first data block is {}", self.first_data_block)
        })?;
        // mke2fs makes no smaller groups; the bound keeps the descriptor table in proportion to the partition.
        let per_group = (256..=bits).contains(&self.blocks_per_group) && self.blocks_per_group.is_multiple_of(8);
        check(per_group, &|| format!("its groups have {} blocks", self.blocks_per_group))?;
        // Clusters come with `bigalloc`, which is refused, so their fields repeat those of blocks.
        check(
            u32_at(&self.raw, 0x24) == self.blocks_per_group && u32_at(&self.raw, 0x1C) == u32_at(&self.raw, 0x18),
            &|| "its cluster size differs from its block size".into(),
        )?;
        let inodes = u64::from(self.groups) * u64::from(self.inodes_per_group);
        check(self.inodes_per_group > 0 && self.inodes_per_group <= bits && inodes == u64::from(self.inodes), &|| {
            format!("it has {} inodes, {} in each of {} groups", self.inodes, self.inodes_per_group, self.groups)
        })?;
        let inode_bytes = u32::from(self.inode_bytes);
        check(inode_bytes.is_power_of_two() && inode_bytes >= 128 && inode_bytes <= self.block_bytes, &|| {
            format!("its inodes have {inode_bytes} bytes")
        })?;
        // The numbers below 11 are the file system's own.
        check(self.first_inode >= 11 && self.first_inode <= self.inodes, &|| {
            format!("its first free inode would be {}", self.first_inode)
        })?;
        let descriptor = u32::from(self.descriptor_bytes);
        let plain = self.incompat & incompat::BIT64 == 0;
        check(plain || (descriptor.is_power_of_two() && (64..=self.block_bytes).contains(&descriptor)), &|| {
            format!("its group descriptors have {descriptor} bytes")
        })?;
        check(self.journal_inode <= self.inodes && self.orphan_file_inode <= self.inodes, &|| {
            "its journal or orphan file lies outside its inodes".into()
        })?;
        // Last: a wrong value above makes the better message.
        let sum = super::checksum::crc32c(u32::MAX, self.raw.get(..0x3FC).unwrap_or_default());
        check(!self.has_metadata_csum() || u32_at(&self.raw, 0x3FC) == sum, &|| {
            "the superblock does not match its checksum".into()
        })
    }
}

fn unsupported(what: String) -> FsError {
    FsError::Unsupported { volume: "root", what }
}

fn corrupt(what: String) -> FsError {
    FsError::Corrupt { volume: "root", what }
}
