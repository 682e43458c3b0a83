//! The inode tables of an ext4, read by the audit's own code: `ext4-view` tells neither numbers nor how many names a file
//! has. Source of all offsets: the kernel's Documentation/filesystems/ext4.

use std::io;

use crate::image::ReadAt;
use crate::units::ByteOffset;

/// The inodes below are the file system's own: the journal holds copies, not files.
const FIRST_INODE: u64 = 11;

/// What of the superblock is needed.
pub(super) struct Layout<'w> {
    window: &'w dyn ReadAt,
    pub(super) block: u64,
    pub(super) blocks: u64,
    pub(super) inode_bytes: u64,
    per_group: u64,
    /// The part of each inode table that was used: where it begins, and how many inodes.
    tables: Vec<(u64, u64)>,
}

impl<'w> Layout<'w> {
    /// # Errors
    /// The image's, and a superblock that cannot be.
    pub(super) fn read(window: &'w dyn ReadAt) -> io::Result<Layout<'w>> {
        let mut sb = [0; 1024];
        window.read_at(ByteOffset(1024), &mut sb)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "its superblock cannot be");
        // `s_log_block_size`, `s_blocks_per_group`, `s_inodes_per_group`, `s_inode_size`.
        let block = 1024u64.checked_shl(u32_at(&sb, 0x18)).filter(|&block| block <= 65536).ok_or_else(damaged)?;
        let (blocks_per_group, per_group) = (u64::from(u32_at(&sb, 0x20)), u64::from(u32_at(&sb, 0x28)));
        let (inode_bytes, first) = (u64::from(u16_at(&sb, 0x58)), u64::from(u32_at(&sb, 0x14)));
        // `64bit`, `meta_bg`; checksums of groups, without which nothing is marked as unused.
        let (incompat, ro_compat) = (u32_at(&sb, 0x60), u32_at(&sb, 0x64));
        let (wide, meta, marked) = (incompat & 0x80 != 0, incompat & 0x10 != 0, ro_compat & 0x410 != 0);
        let descriptor = if wide { u64::from(u16_at(&sb, 0xFE)).max(64) } else { 32 };
        let blocks = u64::from(u32_at(&sb, 4)) | if wide { u64::from(u32_at(&sb, 0x150)) << 32 } else { 0 };
        let fits = blocks.checked_mul(block).is_some_and(|bytes| bytes <= window.size().0);
        if !fits
            || blocks_per_group == 0
            || inode_bytes < 128
            || inode_bytes > block
            || descriptor > block
            || first > blocks
        {
            return Err(damaged());
        }
        let per_block = block / descriptor;
        let mut layout = Layout { window, block, blocks, inode_bytes, per_group, tables: Vec::new() };
        for group in 0..(blocks - first).div_ceil(blocks_per_group) {
            let index = group / per_block;
            // `s_first_meta_bg`: from there on each meta group keeps its descriptors at its own start.
            let at = match meta && index >= u64::from(u32_at(&sb, 0x104)) {
                false => first + 1 + index,
                true => {
                    let start = index * per_block;
                    first + start * blocks_per_group + u64::from(has_superblock(start, &sb))
                }
            };
            let mut raw = vec![0; usize::try_from(descriptor).unwrap_or_default()];
            layout.read_at(at * block + group % per_block * descriptor, &mut raw)?;
            let table = u64::from(u32_at(&raw, 8)) | if wide { u64::from(u32_at(&raw, 0x28)) << 32 } else { 0 };
            // `bg_flags` and `bg_itable_unused`: what was never used holds whatever was there.
            let high = if wide { u64::from(u16_at(&raw, 0x32)) << 16 } else { 0 };
            let unused = u64::from(u16_at(&raw, 0x1C)) | high;
            let count = match marked {
                true if u16_at(&raw, 0x12) & 1 != 0 => 0,
                true => per_group.saturating_sub(unused),
                false => per_group,
            };
            if count > block * 8 || table.checked_mul(block).is_none_or(|at| at > window.size().0) {
                return Err(damaged());
            }
            layout.tables.push((table * block, count));
        }
        Ok(layout)
    }

    pub(super) fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.window.read_at(ByteOffset(at), bytes)
    }

    /// Looks at the inode of every regular file, and where it is in the partition. One counts that has a name and no time of
    /// deletion; what bitmaps say is not asked.
    ///
    /// # Errors
    /// The image's, and those of `see`.
    pub(super) fn each_file(&self, see: &mut dyn FnMut(&[u8], u64) -> io::Result<()>) -> io::Result<()> {
        for (group, &(table, count)) in (0u64..).zip(&self.tables) {
            let mut slots = vec![0; usize::try_from(count * self.inode_bytes).unwrap_or_default()];
            self.read_at(table, &mut slots)?;
            for (n, slot) in (0u64..).zip(slots.chunks_exact(usize::try_from(self.inode_bytes).unwrap_or(128))) {
                let number = group * self.per_group + n + 1;
                // `i_mode`, `i_dtime`.
                let is_file = u16_at(slot, 0) >> 12 == 8 && names(slot) > 0 && u32_at(slot, 0x14) == 0;
                if is_file && number >= FIRST_INODE {
                    see(slot, table + n * self.inode_bytes)?;
                }
            }
        }
        Ok(())
    }
}

/// How many names a file has: `i_links_count`.
pub(super) fn names(slot: &[u8]) -> u16 {
    u16_at(slot, 0x1A)
}

/// How long it is: `i_size_lo` and `i_size_high`.
pub(super) fn size(slot: &[u8]) -> u64 {
    u64::from(u32_at(slot, 4)) | u64::from(u32_at(slot, 0x6C)) << 32
}

/// Whether a group begins with a copy of the superblock.
fn has_superblock(group: u64, sb: &[u8]) -> bool {
    let power_of = |base: u64| {
        std::iter::successors(Some(base), |n| n.checked_mul(base)).take_while(|&n| n <= group).any(|n| n == group)
    };
    // `sparse_super2` names two groups; without `sparse_super` all have one.
    if u32_at(sb, 0x5C) & 0x200 != 0 {
        return group == 0 || [0x24C, 0x250].iter().any(|&at| u64::from(u32_at(sb, at)) == group);
    }
    u32_at(sb, 0x64) & 1 == 0 || group <= 1 || [3, 5, 7].into_iter().any(power_of)
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map_or(0, u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
}
