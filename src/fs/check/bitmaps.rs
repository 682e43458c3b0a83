//! The block bitmaps and the free counts, compared with what is owned.

use super::damage::corrupt;
use super::owners::Owners;
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::groups::Groups;
use crate::fs::ext4::raw::{halves, u32_at};
use crate::image::ReadAt;

/// How many blocks are in use.
///
/// # Errors
/// The first block or count that does not agree.
pub(super) fn compare(window: &dyn ReadAt, sb: &Superblock, groups: &Groups, owners: &Owners) -> Result<u64, FsError> {
    let (mut in_use, mut free_blocks, mut free_inodes) = (0, 0u64, 0u64);
    for (group, descriptor) in (0..).zip(&groups.all) {
        let bitmap = groups.block_bitmap(window, sb, group)?;
        let start = sb.group_start(group);
        let mut free = 0;
        // A block in use that is marked free loses data; one that nobody owns only loses space. Neither may be on a
        // card.
        for n in 0..sb.group_blocks(group) {
            let block = start + u64::from(n);
            let owned = owners.has(block);
            if owned != bitmap.has(n) {
                let what = if owned { "in use but marked free" } else { "marked in use but owned by nothing" };
                return Err(corrupt(format!("block {block} is {what}")));
            }
            free += u32::from(!owned);
        }
        if free != descriptor.free_blocks {
            let said = descriptor.free_blocks;
            return Err(corrupt(format!("group {group} has {free} free blocks, its descriptor says {said}")));
        }
        in_use += u64::from(sb.group_blocks(group) - free);
        free_blocks += u64::from(free);
        free_inodes += u64::from(descriptor.free_inodes);
    }
    // `s_free_blocks_count` and `s_free_inodes_count`. The upper half of the first counts only with descriptors of
    // 64 bytes; otherwise it may hold anything.
    let said = (
        halves(u32_at(&sb.raw, 0x158) * u32::from(sb.descriptor_bytes >= 64), u32_at(&sb.raw, 0x0C)),
        u64::from(u32_at(&sb.raw, 0x10)),
    );
    if said != (free_blocks, free_inodes) {
        return Err(corrupt(format!(
            "it has {free_blocks} free blocks and {free_inodes} free inodes, its superblock says {} and {}",
            said.0, said.1
        )));
    }
    Ok(in_use)
}
