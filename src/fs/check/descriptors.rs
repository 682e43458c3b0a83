//! Group descriptors: their checksums, those of the bitmaps that they name, and the bits behind the ends of bitmaps.

use super::damage::{corrupt, ensure};
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::checksum::crc32c;
use crate::fs::ext4::groups::{BLOCK_UNINIT, Groups, INODE_UNINIT, descriptor_place, descriptor_sum, read_block};
use crate::fs::ext4::raw::u16_at;
use crate::image::ReadAt;

/// # Errors
/// The first descriptor or bitmap that does not fit.
pub(super) fn check(window: &dyn ReadAt, sb: &Superblock, groups: &Groups) -> Result<(), FsError> {
    for (number, group) in (0..).zip(&groups.all) {
        let mut raw = vec![0; usize::from(sb.descriptor_bytes)];
        window
            .read_at(descriptor_place(sb, number)?, &mut raw)
            .map_err(|source| FsError::Io { doing: "read the root file system's group descriptors".into(), source })?;
        // `bg_flags`.
        let flags = u16_at(&raw, 0x12);
        ensure(sb.has_uninit_flags() || flags & (INODE_UNINIT | BLOCK_UNINIT) == 0, || {
            format!("group {number} is marked as never used, and the file system has no such marks")
        })?;
        // `bg_checksum`.
        ensure(descriptor_sum(sb, number, &raw).is_none_or(|sum| sum == u16_at(&raw, 0x1E)), || {
            format!("the descriptor of group {number} does not match its checksum")
        })?;
        let inodes = Bits { what: "inode", group: number, used: sb.inodes_per_group, summed: sb.inodes_per_group };
        if group.flags & INODE_UNINIT == 0 {
            inodes.check(sb, &read_block(window, sb, group.inode_bitmap)?, sum_of(&raw, 0x1A))?;
        }
        let blocks = Bits { what: "block", group: number, used: sb.group_blocks(number), summed: sb.blocks_per_group };
        if group.flags & BLOCK_UNINIT == 0 {
            blocks.check(sb, &read_block(window, sb, group.block_bitmap)?, sum_of(&raw, 0x18))?;
        }
    }
    Ok(())
}

/// A bitmap's checksum: the lower half at `at`, the upper one 0x20 behind it where descriptors are wide.
fn sum_of(raw: &[u8], at: usize) -> (u32, u32) {
    let low = u32::from(u16_at(raw, at));
    if raw.len() >= 64 { (low | (u32::from(u16_at(raw, at + 0x20)) << 16), u32::MAX) } else { (low, 0xFFFF) }
}

/// One bitmap of a group: how many of its bits mean something, and how many are summed.
struct Bits {
    what: &'static str,
    group: u32,
    used: u32,
    summed: u32,
}

impl Bits {
    fn check(&self, sb: &Superblock, bitmap: &[u8], (said, mask): (u32, u32)) -> Result<(), FsError> {
        let Bits { what, group, .. } = self;
        let summed = bitmap.get(..(self.summed / 8) as usize).unwrap_or_default();
        ensure(!sb.has_metadata_csum() || crc32c(sb.checksum_seed, summed) & mask == said, || {
            format!("the {what} bitmap of group {group} does not match its checksum")
        })?;
        // Bits behind the end stand for what is not there, and must not look free.
        let set = |n: u32| bitmap.get((n / 8) as usize).is_some_and(|byte| byte & (1 << (n % 8)) != 0);
        match (self.used..sb.block_bytes * 8).all(set) {
            true => Ok(()),
            false => Err(corrupt(format!("the {what} bitmap of group {group} does not end with ones"))),
        }
    }
}
