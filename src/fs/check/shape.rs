//! Only whether directories form a tree: asked of a file system that is damaged in some other way, before a reader that
//! knows paths and no inodes goes through it.

use std::collections::BTreeMap;

use super::damage::{corrupt, ensure};
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::directory::{entries, inline_places};
use crate::fs::ext4::groups::{Groups, read_block};
use crate::fs::ext4::inode::{INLINE_FLAG, Inode, InodeKind, ROOT_INODE, walk_table};
use crate::fs::ext4::mapping::Mapping;
use crate::image::ReadAt;

/// Whether each directory of the ext4 in `window` has one name at most, and none leads to itself or to the root. What
/// cannot be read is passed over: no reader gets further there.
///
/// # Errors
/// [`FsError::Corrupt`] for a circle or a second name; [`FsError::Unsupported`], [`FsError::Io`].
pub fn directories_form_a_tree(window: &dyn ReadAt) -> Result<(), FsError> {
    let sb = Superblock::read(window)?;
    let groups = Groups::read(window, &sb)?;
    let (mut directories, mut names) = (BTreeMap::from([(ROOT_INODE, 0)]), Vec::new());
    for group in 0..sb.groups {
        let used = groups.inode_bitmap(window, &sb, group)?;
        // In use or not: readers follow a name to whatever stands in the table.
        walk_table(window, &sb, &groups, group, sb.inodes_per_group, &used, &mut |inode, _, _| {
            if inode.kind() == InodeKind::Directory {
                directories.entry(inode.number).or_insert(0);
                named_by(window, &sb, inode, &mut |child| names.push((inode.number, child)));
            }
            Ok(())
        })?;
    }
    for (parent, child) in names {
        let Some(above) = directories.get_mut(&child) else { continue };
        ensure(*above == 0 && child != ROOT_INODE, || format!("the directory of inode {child} has two names"))?;
        *above = parent;
    }
    one_root(&directories)
}

/// Whether the way up from every directory ends, given the one above each.
///
/// # Errors
/// A directory that is below itself.
pub(super) fn one_root(above: &BTreeMap<u32, u32>) -> Result<(), FsError> {
    // A walk up gives every directory on its way its own number, and ends where one has a number.
    let mut walks: BTreeMap<u32, u32> = BTreeMap::from([(ROOT_INODE, 0), (0, 0)]);
    for (walk, &from) in (1..).zip(above.keys()) {
        let mut at = from;
        while !walks.contains_key(&at) {
            walks.insert(at, walk);
            at = above.get(&at).copied().unwrap_or_default();
        }
        if walks.get(&at) == Some(&walk) {
            return Err(corrupt(format!("directories lead in a circle: that of inode {at} is below itself")));
        }
    }
    Ok(())
}

fn named_by(window: &dyn ReadAt, sb: &Superblock, directory: &Inode, see: &mut dyn FnMut(u32)) {
    let mut of_block = |block: &[u8]| {
        for entry in entries(block).unwrap_or_default() {
            if entry.inode != 0 && !matches!(block.get(entry.name()), Some(b"." | b"..")) {
                see(entry.inode);
            }
        }
    };
    if directory.flags() & INLINE_FLAG != 0 {
        inline_places(directory).into_iter().for_each(|place| of_block(directory.raw.get(place).unwrap_or_default()));
        return;
    }
    for extent in Mapping::of(window, sb, directory).unwrap_or_default().extents {
        for block in extent.physical..extent.physical + extent.count {
            of_block(&read_block(window, sb, block).unwrap_or_default());
        }
    }
}
