//! Targets of symbolic links: as long as they say, and text up to their end.

use super::damage::ensure;
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::directory::inline_value;
use crate::fs::ext4::groups::read_block;
use crate::fs::ext4::inode::{EXTENTS_FLAG, INLINE_FLAG, Inode};
use crate::fs::ext4::mapping::Mapping;
use crate::image::ReadAt;

/// # Errors
/// A target that Linux would not follow.
pub(super) fn check(window: &dyn ReadAt, sb: &Superblock, inode: &Inode, mapping: &Mapping) -> Result<(), FsError> {
    let wrong = || format!("the symbolic link of inode {} has no target that can be", inode.number);
    let size = usize::try_from(inode.size()).unwrap_or(usize::MAX);
    // Content of an inode may go on in an attribute, behind the first 60 bytes. No NUL need end it there.
    if inode.flags() & INLINE_FLAG != 0 {
        let behind = inline_value(inode).and_then(|place| inode.raw.get(place)).unwrap_or_default();
        let mut target = [inode.block_area(), behind].concat();
        target.push(0);
        return ensure(ends_at(&target, size), wrong);
    }
    // Short ones lie in the inode, unless it has extents. A NUL ends each.
    if size < 60 && inode.flags() & EXTENTS_FLAG == 0 {
        return ensure(ends_at(inode.block_area(), size), wrong);
    }
    match mapping.extents.as_slice() {
        [only] if only.count == 1 && only.logical == 0 && !only.unwritten => {
            ensure(ends_at(&read_block(window, sb, only.physical)?, size), wrong)
        }
        _ => ensure(false, wrong),
    }
}

fn ends_at(bytes: &[u8], size: usize) -> bool {
    size > 0 && bytes.iter().position(|&byte| byte == 0) == Some(size)
}
