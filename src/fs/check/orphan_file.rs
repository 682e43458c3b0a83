//! The orphan file of a file system that was put away: its blocks list nothing.

use super::damage::ensure;
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::groups::read_block;
use crate::fs::ext4::inode::{Inode, InodeKind};
use crate::fs::ext4::mapping::Mapping;
use crate::fs::ext4::orphan_block;
use crate::image::ReadAt;

/// # Errors
/// A block that lists something, or is none of an orphan file.
pub(super) fn check(window: &dyn ReadAt, sb: &Superblock, inode: &Inode, mapping: &Mapping) -> Result<(), FsError> {
    let blocks: u64 = mapping.extents.iter().map(|extent| extent.count).sum();
    let whole = inode.kind() == InodeKind::File && blocks > 0 && inode.size() == blocks * sb.block_size();
    ensure(whole, || "its orphan file has holes, or is none")?;
    for extent in &mapping.extents {
        for number in extent.physical..extent.physical + extent.count {
            let block = read_block(window, sb, number)?;
            let list = orphan_block::list(&block);
            let empty = list.is_some_and(|list| list.iter().all(|&byte| byte == 0));
            ensure(
                empty && orphan_block::sum_fits(sb, inode, number, &block),
                || "a block of its orphan file is not empty, or does not match its checksum",
            )?;
        }
    }
    Ok(())
}
