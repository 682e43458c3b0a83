//! The resize inode: the blocks behind the descriptors that are kept for more of them, in the main copy and the backups.
//! Its double indirect block names those of the main copy, and each of these the ones at its place in the backups
//! (e2fsprogs, lib/ext2fs/res_gdt.c).

use super::damage::ensure;
use super::state::{Check, has_allocated};
use super::unused::is_empty;
use crate::fs::FsError;
use crate::fs::ext4::features::compat;
use crate::fs::ext4::groups::read_block;
use crate::fs::ext4::inode::Inode;
use crate::fs::ext4::raw::{u16_at, u32_at};

/// `i_block[13]`, the double indirect block.
const DOUBLE: usize = 13 * 4;

/// # Errors
/// Where it keeps other blocks than those.
pub(super) fn check(check: &mut Check<'_>, inode: &Inode) -> Result<(), FsError> {
    let (window, sb) = (check.window, check.sb);
    if sb.compat & compat::RESIZE_INODE == 0 {
        return ensure(is_empty(inode, true), || "the resize inode is not in use, but is not empty");
    }
    let wrong = || "the resize inode does not keep the blocks behind the descriptors";
    let others = inode.block_area().iter().enumerate().any(|(n, &b)| b != 0 && !(DOUBLE..DOUBLE + 4).contains(&n));
    // A regular file with one link, mapped by blocks, and without attributes.
    let plain =
        u16_at(&inode.raw, 0) >> 12 == 8 && inode.links() == 1 && inode.flags() == 0 && inode.xattr_block() == 0;
    ensure(plain && !others && u32_at(&inode.raw, 0x14) == 0 && u32_at(&inode.raw, 0x70) == 0, wrong)?;
    let per_block = u64::from(sb.block_bytes) / 4;
    // As far as two levels reach: what libext2fs gives it.
    let reach = (12 + per_block + per_block * per_block) * sb.block_size();
    ensure(inode.size() <= reach, wrong)?;

    let double = u64::from(u32_at(inode.block_area(), DOUBLE));
    // Without room for more descriptors there may be none.
    if double == 0 {
        ensure(sb.reserved_gdt_blocks == 0, wrong)?;
        return has_allocated(sb, inode, 0);
    }
    check.owners.own(double, 1, &"the resize inode")?;
    let named = read_block(window, sb, double)?;
    let backups: Vec<u64> = (1..sb.groups).filter(|&group| sb.group_has_superblock(group)).map(u64::from).collect();
    let kept = u64::from(sb.reserved_gdt_blocks);
    let first = u64::from(sb.first_data_block) + 1 + sb.descriptor_blocks();
    let mut expected = vec![0; named.len() / 4];
    for n in 0..kept {
        let (place, block) = ((sb.descriptor_blocks() + n) % per_block, first + n);
        if let Some(entry) = usize::try_from(place).ok().and_then(|place| expected.get_mut(place)) {
            *entry = block;
        }
        let list = read_block(window, sb, block)?;
        let copies = backups.iter().map(|group| block + group * u64::from(sb.blocks_per_group));
        ensure(numbers(&list).eq(copies.chain(std::iter::repeat(0)).take(list.len() / 4)), wrong)?;
    }
    // Its size covers the last block of a backup that it names.
    let farthest = expected.iter().rposition(|&block| block != 0).map_or(0, |place| place as u64);
    let last = 12 + per_block * (1 + farthest) + (backups.len() as u64).saturating_sub(1);
    ensure(backups.is_empty() || inode.size() >= last * sb.block_size(), wrong)?;
    ensure(numbers(&named).eq(expected), wrong)?;
    // Those of the main copy and of each backup count as the superblock's own; so does what they take.
    has_allocated(sb, inode, 1 + kept * (1 + backups.len() as u64))
}

fn numbers(block: &[u8]) -> impl Iterator<Item = u64> + '_ {
    block.chunks_exact(4).map(|number| u64::from(u32_at(number, 0)))
}
