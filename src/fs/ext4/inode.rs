//! Inodes as they lie on disk, and a walk over all that are in use.

use super::checksum::{crc32c, inode_seed};
use super::groups::{Bitmap, Groups, place_of};
use super::raw::{halves, put_u16, u16_at, u32_at};
use super::superblock::Superblock;
use crate::fs::FsError;
use crate::image::ReadAt;
use crate::units::ByteOffset;

/// The root directory.
pub const ROOT_INODE: u32 = 2;
/// The inode that keeps blocks for growing the descriptor table.
pub const RESIZE_INODE: u32 = 7;
/// `i_flags`: the directory has a hash tree.
pub const INDEX_FLAG: u32 = 0x1000;
/// `i_flags`: mapped by extents.
pub const EXTENTS_FLAG: u32 = 0x80000;
/// `i_flags`: the content lies in the inode.
pub const INLINE_FLAG: u32 = 0x1000_0000;
/// Inode tables are read in pieces of about this many bytes.
const READ_BYTES: u64 = 1 << 20;

/// What `i_mode` says an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InodeKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, FIFO or socket; or a reserved inode without a mode.
    Other,
}

/// One inode slot.
#[derive(Debug, Clone)]
pub struct Inode {
    /// Its number, from 1.
    pub number: u32,
    /// The whole slot.
    pub raw: Vec<u8>,
}

impl Inode {
    /// Reads inode `number`.
    ///
    /// # Errors
    /// [`FsError::Corrupt`] for a number that no inode has, [`FsError::Io`].
    pub fn read(window: &dyn ReadAt, sb: &Superblock, groups: &Groups, number: u32) -> Result<Inode, FsError> {
        let mut raw = vec![0; usize::from(sb.inode_bytes)];
        window
            .read_at(slot_at(sb, groups, number)?, &mut raw)
            .map_err(|source| FsError::Io { doing: format!("read inode {number} of the root file system"), source })?;
        Ok(Inode { number, raw })
    }

    /// What it is.
    pub fn kind(&self) -> InodeKind {
        // The upper four bits of `i_mode` (`S_IFMT`).
        match u16_at(&self.raw, 0) & 0xF000 {
            0x8000 => InodeKind::File,
            0x4000 => InodeKind::Directory,
            0xA000 => InodeKind::Symlink,
            _ => InodeKind::Other,
        }
    }

    /// What directory entries call it.
    pub fn entry_kind(&self) -> u8 {
        // From `S_IF…` to `EXT4_FT_…`.
        match u16_at(&self.raw, 0) >> 12 {
            0x8 => 1,
            0x4 => 2,
            0x2 => 3,
            0x6 => 4,
            0x1 => 5,
            0xC => 6,
            0xA => 7,
            _ => 0,
        }
    }

    /// How many bytes its blocks take, those of its block map and its extended attributes too.
    pub fn allocated(&self, sb: &Superblock) -> u64 {
        const HUGE_FILE_FLAG: u32 = 0x40000;
        // `l_i_blocks_high` and `i_blocks_lo`: sectors of 512 bytes, or blocks where the file is huge.
        let count = halves(u32::from(u16_at(&self.raw, 0x74)), u32_at(&self.raw, 0x1C));
        count.saturating_mul(if self.flags() & HUGE_FILE_FLAG != 0 { sb.block_size() } else { 512 })
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        // `i_size_high` and `i_size_lo`.
        halves(u32_at(&self.raw, 0x6C), u32_at(&self.raw, 4))
    }

    /// How many names it has.
    pub fn links(&self) -> u16 {
        u16_at(&self.raw, 0x1A)
    }

    /// `i_flags`.
    pub fn flags(&self) -> u32 {
        u32_at(&self.raw, 0x20)
    }

    /// `i_generation`.
    pub fn generation(&self) -> u32 {
        u32_at(&self.raw, 0x64)
    }

    /// The 60 bytes that map its blocks or hold its content.
    pub fn block_area(&self) -> &[u8] {
        self.raw.get(0x28..0x64).unwrap_or_default()
    }

    /// The block of its extended attributes, 0 where there is none.
    pub fn xattr_block(&self) -> u64 {
        // `l_i_file_acl_high` and `i_file_acl_lo`.
        halves(u32::from(u16_at(&self.raw, 0x76)), u32_at(&self.raw, 0x68))
    }

    /// Where the area behind the fixed fields begins, which holds extended attributes.
    pub fn extra_at(&self) -> usize {
        // `i_extra_isize` counts from byte 128.
        if self.raw.len() > 128 { 128 + usize::from(u16_at(&self.raw, 0x80)) } else { self.raw.len() }
    }

    /// What checksums of things that belong to it begin with.
    pub fn seed(&self, sb: &Superblock) -> u32 {
        inode_seed(sb.checksum_seed, self.number, self.generation())
    }

    /// Makes its checksum right again.
    pub fn stamp(&mut self, sb: &Superblock) {
        if !sb.has_metadata_csum() {
            return;
        }
        // `i_checksum_hi` is there only where `i_extra_isize` reaches over it.
        let wide = self.raw.len() > 128 && u16_at(&self.raw, 0x80) >= 4;
        // Both halves count as zeros in their own sum.
        put_u16(&mut self.raw, 0x7C, 0);
        if wide {
            put_u16(&mut self.raw, 0x82, 0);
        }
        let sum = crc32c(self.seed(sb), &self.raw);
        put_u16(&mut self.raw, 0x7C, (sum & 0xFFFF) as u16);
        if wide {
            put_u16(&mut self.raw, 0x82, (sum >> 16) as u16);
        }
    }
}

/// Where inode `number` lies in the partition.
///
/// # Errors
/// [`FsError::Corrupt`] for a number that no inode has.
pub fn slot_at(sb: &Superblock, groups: &Groups, number: u32) -> Result<ByteOffset, FsError> {
    // Inodes count from 1.
    let index = number.checked_sub(1).filter(|&n| n < sb.inodes);
    let group = index.and_then(|n| groups.all.get((n / sb.inodes_per_group) as usize));
    let (Some(index), Some(group)) = (index, group) else {
        return Err(FsError::Corrupt { volume: "root", what: format!("there is no inode {number}") });
    };
    let start = place_of(sb, group.inode_table)?;
    Ok(ByteOffset(start.0 + u64::from(index % sb.inodes_per_group) * u64::from(sb.inode_bytes)))
}

/// Calls `see` with every slot of `group`'s inode table below `count`, and whether its inode is in use. Parts of the
/// table that are holes are passed over when no inode in them is in use.
///
/// # Errors
/// What `see` reports, and [`FsError::Io`].
pub fn walk_table(
    window: &dyn ReadAt,
    sb: &Superblock,
    groups: &Groups,
    group: u32,
    count: u32,
    used: &Bitmap,
    see: &mut dyn FnMut(&Inode, bool, ByteOffset) -> Result<(), FsError>,
) -> Result<(), FsError> {
    let slot = u64::from(sb.inode_bytes);
    let first = group * sb.inodes_per_group + 1;
    let start = slot_at(sb, groups, first)?;
    let per_read = u32::try_from(READ_BYTES / slot).unwrap_or(1).max(1);
    let mut inode = Inode { number: 0, raw: vec![0; usize::from(sb.inode_bytes)] };
    let mut buffer = Vec::new();
    let mut index = 0;
    let end = count.min(sb.inodes_per_group);
    while index < end {
        let count = per_read.min(end - index);
        let at = ByteOffset(start.0 + u64::from(index) * slot);
        let bytes = u64::from(count) * slot;
        let io = |source| FsError::Io { doing: "read the root file system's inodes".into(), source };
        // A hole reads as zeros, and slots of zeros that are not in use have nothing to say.
        let any_used = (index..index + count).any(|n| used.has(n));
        let data = any_used || window.next_data(at).map_err(io)?.is_some_and(|data| data.start.0 < at.0 + bytes);
        if data {
            buffer.resize(usize::try_from(bytes).unwrap_or(0), 0);
            window.read_at(at, &mut buffer).map_err(io)?;
            for (n, raw) in (0..).zip(buffer.chunks_exact(usize::from(sb.inode_bytes))) {
                inode.number = first + index + n;
                inode.raw.copy_from_slice(raw);
                see(&inode, used.has(index + n), ByteOffset(at.0 + u64::from(n) * slot))?;
            }
        }
        index += count;
    }
    Ok(())
}
