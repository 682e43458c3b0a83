//! Inodes that are of no use: free slots, and reserved numbers without a meaning.

use super::damage::{corrupt, ensure};
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::inode::Inode;
use crate::fs::ext4::raw::{u16_at, u32_at};

/// `i_dtime`.
pub(super) const DELETED_AT: usize = 0x14;

/// A slot that is not in use is all zeros or has a deletion time. Anything else was lost.
///
/// # Errors
/// [`FsError::Corrupt`].
pub(super) fn free(sb: &Superblock, inode: &Inode) -> Result<(), FsError> {
    let (mode, deleted) = (u16_at(&inode.raw, 0), u32_at(&inode.raw, DELETED_AT));
    if inode.links() != 0 || (mode != 0 && deleted == 0) {
        return Err(corrupt(format!("inode {} is marked free, but was never deleted", inode.number)));
    }
    // What is no time is the number of the next inode in a list of orphans; unless the clock was never set (`s_wtime`).
    let listed = deleted != 0 && deleted < sb.inodes && u32_at(&sb.raw, 0x30) >= sb.inodes;
    ensure(!listed, || format!("inode {} is left of a list of orphaned inodes", inode.number))
}

/// Whether an inode names nothing. Times and the checksum may stand in it.
pub(super) fn is_empty(inode: &Inode, blocks: bool) -> bool {
    let zeros = |from: usize, to: usize| inode.raw.get(from..to).unwrap_or_default().iter().all(|&byte| byte == 0);
    // Mode, user and size; deletion time, group, links and flags; the blocks; attributes and the upper half of the size.
    let fields = zeros(0, 8) && zeros(0x14, 0x1C) && zeros(0x20, 0x24) && zeros(0x68, 0x74) && zeros(0x74, 0x78);
    fields && (!blocks || zeros(0x28, 0x64))
}
