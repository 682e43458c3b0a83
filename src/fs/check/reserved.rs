//! The inodes below the first free one, which no directory names: what is of no use is empty.

use super::damage::ensure;
use super::resize;
use super::state::{Check, has_allocated};
use super::unused::is_empty;
use crate::fs::FsError;
use crate::fs::ext4::inode::{Inode, RESIZE_INODE};
use crate::fs::ext4::mapping::BAD_BLOCKS_INODE;
use crate::fs::ext4::raw::u16_at;

/// # Errors
/// What cannot be.
pub(super) fn check(check: &mut Check<'_>, inode: &Inode) -> Result<(), FsError> {
    match inode.number {
        BAD_BLOCKS_INODE => bad_blocks(check, inode),
        RESIZE_INODE => resize::check(check, inode),
        // Quotas, a boot loader, undeleting, snapshots, replicas: their features are refused or never came to be. The
        // journal's is among them where there is no journal.
        number => {
            ensure(is_empty(inode, true), || format!("inode {number} is reserved and not in use, but is not empty"))?;
            has_allocated(check.sb, inode, 0)
        }
    }
}

/// Blocks that the medium cannot keep (`e2fsck -c`) belong to inode 1, which is nothing else.
fn bad_blocks(check: &mut Check<'_>, inode: &Inode) -> Result<(), FsError> {
    let mapping = check.own_blocks(inode)?;
    let mut list = inode.clone();
    if !mapping.extents.is_empty() {
        // e2fsprogs give the list a size.
        if let Some(size) = list.raw.get_mut(4..8) {
            size.fill(0);
        }
    }
    let plain = is_empty(&list, false) && u16_at(&inode.raw, 0) == 0;
    ensure(plain, || "inode 1, which lists bad blocks, says that it is something else")
}
