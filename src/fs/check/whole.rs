//! The check of a whole file system: in which order its parts are looked at.

use super::attributes::SharedAttributes;
use super::damage::corrupt;
use super::names::Names;
use super::owners::Owners;
use super::state::Check;
use super::{bitmaps, descriptors, superblock, unused};
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::groups::Groups;
use crate::fs::ext4::inode::{InodeKind, walk_table};
use crate::image::ReadAt;

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Inodes in use.
    pub inodes: u64,
    /// Blocks in use.
    pub blocks: u64,
}

/// Checks the whole root file system in `window`.
///
/// # Errors
/// [`FsError::Corrupt`] with the first thing that does not agree, [`FsError::Io`].
pub fn check(window: impl ReadAt) -> Result<Checked, FsError> {
    let sb = Superblock::read_clean(&window)?;
    superblock::check(&sb)?;
    let groups = Groups::read(&window, &sb)?;
    descriptors::check(&window, &sb, &groups)?;
    let mut check = Check {
        window: &window,
        sb: &sb,
        groups: &groups,
        owners: Owners::of(&sb),
        names: Names::of(&sb),
        attributes: SharedAttributes::default(),
        inodes: 0,
    };
    // Metadata first: then a file that claims a block of it is the one to blame.
    check.owners.own_metadata(&sb, &groups)?;
    for group in 0..sb.groups {
        check.inodes_of(group)?;
    }
    check.names.compare()?;
    // After all inodes, when the users of each block are counted.
    check.attributes.compare(&window, &sb, &mut check.owners)?;
    // Last: by now everything that owns a block has said so.
    let blocks = bitmaps::compare(&window, &sb, &groups, &check.owners)?;
    Ok(Checked { inodes: check.inodes, blocks })
}

impl Check<'_> {
    fn inodes_of(&mut self, group: u32) -> Result<(), FsError> {
        // Copied out, because the closure below borrows `self`.
        let (window, sb, groups) = (self.window, self.sb, self.groups);
        let used = groups.inode_bitmap(window, sb, group)?;
        let Some(descriptor) = groups.all.get(group as usize) else { return Ok(()) };
        let (mut free, mut directories, mut last_used) = (0, 0, 0);
        for index in 0..sb.inodes_per_group {
            if used.has(index) {
                last_used = index + 1;
            } else {
                free += 1;
            }
        }
        // The end of the table that was never used is not read, except where the bitmap disagrees.
        let looked_at = sb.inodes_per_group - descriptor.itable_unused;
        walk_table(window, sb, groups, group, looked_at.max(last_used), &used, &mut |inode, in_use, _| {
            if in_use {
                self.inode(inode)?;
                directories += u32::from(inode.kind() == InodeKind::Directory);
                return Ok(());
            }
            unused::free(sb, inode)
        })?;
        if (free, directories) != (descriptor.free_inodes, descriptor.directories) {
            return Err(corrupt(format!(
                "group {group} has {free} free inodes and {directories} directories, its descriptor says {} and {}",
                descriptor.free_inodes, descriptor.directories
            )));
        }
        // e2fsck and the kernel skip what `bg_itable_unused` counts: an inode there would be lost.
        if last_used > looked_at {
            let number = group * sb.inodes_per_group + last_used;
            return Err(corrupt(format!("inode {number} is in use, but counted as never used")));
        }
        Ok(())
    }
}
