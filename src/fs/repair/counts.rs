//! Free counts. The kernel writes those of the superblock only now and then, so after a power cut they are old; and
//! `rust-fs-ext4` 0.8.0 forgets to count a directory off when it releases an orphaned one.

use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::groups::{Groups, descriptor_place, descriptor_sum};
use crate::fs::ext4::inode::{InodeKind, walk_table};
use crate::fs::ext4::raw::{halves, put_u16, put_u32, u32_at};
use crate::image::WriteAt;

const CHECKSUM_AT: usize = 0x1E;

/// Makes the counts of descriptors and superblock agree with bitmaps and inodes, and marks the file system clean.
/// Says whether any count was wrong.
///
/// # Errors
/// [`FsError`].
pub fn correct(window: &dyn WriteAt) -> Result<bool, FsError> {
    let mut sb = Superblock::read(window)?;
    let groups = Groups::read(window, &sb)?;
    let (mut free_blocks, mut free_inodes, mut wrong) = (0u64, 0u32, false);
    for group in 0..sb.groups {
        let bitmap = groups.block_bitmap(window, &sb, group)?;
        let blocks: u32 = bitmap.ranges(sb.group_blocks(group), false).iter().map(|(_, count)| count).sum();
        let used = groups.inode_bitmap(window, &sb, group)?;
        let inodes: u32 = used.ranges(sb.inodes_per_group, false).iter().map(|(_, count)| count).sum();
        let mut directories = 0;
        // Not by `bg_itable_unused`: what the descriptor says is in doubt here.
        let last_used = (0..sb.inodes_per_group).rev().find(|&n| used.has(n)).map_or(0, |n| n + 1);
        walk_table(window, &sb, &groups, group, last_used, &used, &mut |inode, in_use, _| {
            directories += u32::from(in_use && inode.kind() == InodeKind::Directory);
            Ok(())
        })?;
        let said = groups.all.get(group as usize).map(|g| (g.free_blocks, g.free_inodes, g.directories));
        // Written only where it is wrong: an equal write would count as an edit.
        if said != Some((blocks, inodes, directories)) {
            write_descriptor(window, &sb, group, [(0x0C, blocks), (0x0E, inodes), (0x10, directories)])?;
            wrong = true;
        }
        free_blocks += u64::from(blocks);
        free_inodes = free_inodes.saturating_add(inodes);
    }
    // `s_free_blocks_count_hi` counts only with descriptors of 64 bytes.
    let wide = sb.descriptor_bytes >= 64;
    let said = halves(if wide { u32_at(&sb.raw, 0x158) } else { 0 }, u32_at(&sb.raw, 0x0C));
    wrong |= (said, u32_at(&sb.raw, 0x10)) != (free_blocks, free_inodes);
    // The lower half; the upper one follows where there is one.
    put_u32(&mut sb.raw, 0x0C, free_blocks as u32);
    if wide {
        put_u32(&mut sb.raw, 0x158, (free_blocks >> 32) as u32);
    }
    put_u32(&mut sb.raw, 0x10, free_inodes);
    // Last: `s_state` must not call it clean before the counts are right.
    sb.mark_clean();
    sb.write(window)?;
    Ok(wrong)
}

/// Sets 16-bit counts, whose upper halves lie 0x20 further on in wide descriptors, and the checksum.
fn write_descriptor(
    window: &dyn WriteAt,
    sb: &Superblock,
    group: u32,
    counts: [(usize, u32); 3],
) -> Result<(), FsError> {
    let io = |source| FsError::Io { doing: "correct a group descriptor of the root file system".into(), source };
    let at = descriptor_place(sb, group)?;
    let mut raw = vec![0; usize::from(sb.descriptor_bytes)];
    window.read_at(at, &mut raw).map_err(io)?;
    for (field, count) in counts {
        put_u16(&mut raw, field, (count & 0xFFFF) as u16);
        // In a descriptor of 32 bytes this is past the end, where nothing happens.
        put_u16(&mut raw, field + 0x20, (count >> 16) as u16);
    }
    if let Some(sum) = descriptor_sum(sb, group, &raw) {
        put_u16(&mut raw, CHECKSUM_AT, sum);
    }
    window.write_at(at, &raw).map_err(io)
}
