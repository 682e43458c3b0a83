//! Our own consistency check of the root file system: every block and inode is owned exactly once, and all bitmaps,
//! counts and checksums of what we touch agree with that. It works without e2fsprogs, and from the structures alone.

use std::collections::HashMap;

use super::FsError;
use super::ext4::Superblock;
use super::ext4::directory::{entries, index_blocks, inline_places, leaf_checksum};
use super::ext4::groups::{Groups, INODE_UNINIT, own_blocks, read_block, table_blocks};
use super::ext4::inode::{INLINE_FLAG, Inode, InodeKind, RESIZE_INODE, ROOT_INODE, walk_table};
use super::ext4::mapping::Mapping;
use super::ext4::raw::{halves, u16_at, u32_at};
use crate::image::ReadAt;

/// `i_dtime`.
const DELETED_AT: usize = 0x14;
/// What directory entries call a directory.
const DIRECTORY: u8 = 2;
/// A directory may claim one link where it has more than fit (`dir_nlink`).
const MANY_LINKS: u16 = 1;

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
    let groups = Groups::read(&window, &sb)?;
    let mut check = Check {
        window: &window,
        sb: &sb,
        groups: &groups,
        owned: vec![0; usize::try_from(sb.blocks.div_ceil(64)).unwrap_or(0)],
        // One more than there are: inodes count from 1.
        names: vec![(0, 0); usize::try_from(sb.inodes).unwrap_or(0) + 1],
        links: vec![None; usize::try_from(sb.inodes).unwrap_or(0) + 1],
        xattr_blocks: HashMap::new(),
        inodes: 0,
    };
    // Metadata first: then a file that claims a block of it is the one to blame.
    check.own_metadata()?;
    for group in 0..sb.groups {
        check.inodes_of(group)?;
    }
    check.compare_links()?;
    // After all inodes, when the users of each block are counted.
    check.compare_xattr_blocks()?;
    // Last: by now everything that owns a block has said so.
    let blocks = check.compare_bitmaps()?;
    Ok(Checked { inodes: check.inodes, blocks })
}

struct Check<'a> {
    window: &'a dyn ReadAt,
    sb: &'a Superblock,
    groups: &'a Groups,
    /// One bit for each block that something owns.
    owned: Vec<u64>,
    /// How many names each inode was found under, and what the last one called it.
    names: Vec<(u32, u8)>,
    /// How many it says it has, and what it is; `None` where it is not in use.
    links: Vec<Option<(u16, u8)>>,
    /// Blocks of extended attributes, which inodes may share.
    xattr_blocks: HashMap<u64, u32>,
    inodes: u64,
}

impl Check<'_> {
    fn own(&mut self, first: u64, count: u64, owner: &dyn std::fmt::Display) -> Result<(), FsError> {
        for block in first..first.saturating_add(count) {
            let word = usize::try_from(block / 64).ok().and_then(|n| self.owned.get_mut(n));
            let Some(word) = word.filter(|_| block < self.sb.blocks) else {
                return Err(corrupt(format!("{owner} owns block {block}, which is not there")));
            };
            let bit = 1 << (block % 64);
            if *word & bit != 0 {
                return Err(corrupt(format!("block {block} of {owner} is also owned by something else")));
            }
            *word |= bit;
        }
        Ok(())
    }

    fn own_metadata(&mut self) -> Result<(), FsError> {
        for group in 0..self.sb.groups {
            self.own(self.sb.group_start(group), own_blocks(self.sb, group), &"the superblock or descriptors")?;
        }
        let table = table_blocks(self.sb);
        for group in &self.groups.all {
            self.own(group.block_bitmap, 1, &"a block bitmap")?;
            self.own(group.inode_bitmap, 1, &"an inode bitmap")?;
            self.own(group.inode_table, table, &"an inode table")?;
        }
        Ok(())
    }

    fn inodes_of(&mut self, group: u32) -> Result<(), FsError> {
        // Copied out, because the closure below borrows `self`.
        let (window, sb, groups) = (self.window, self.sb, self.groups);
        let used = groups.inode_bitmap(window, sb, group)?;
        let (mut free, mut directories, mut last_used) = (0, 0, 0);
        let first = group * sb.inodes_per_group + 1;
        // A bitmap that was never written may hold anything.
        let initialised = groups.all.get(group as usize).is_some_and(|descriptor| descriptor.flags & INODE_UNINIT == 0);
        if initialised && (sb.inodes_per_group..sb.block_bytes * 8).any(|bit| !used.has(bit)) {
            return Err(corrupt(format!("the inode bitmap of group {group} does not end with ones")));
        }
        for index in 0..sb.inodes_per_group {
            if used.has(index) {
                last_used = index + 1;
            } else {
                free += 1;
            }
        }
        // The end of the table that was never used is not read, except where the bitmap disagrees.
        let looked_at = sb.inodes_per_group - groups.all.get(group as usize).map_or(0, |g| g.itable_unused);
        walk_table(window, sb, groups, group, looked_at.max(last_used), &used, &mut |inode, in_use, _| {
            // A free slot is all zeros or has a deletion time. Anything else was lost.
            if !in_use && (inode.links() != 0 || (u16_at(&inode.raw, 0) != 0 && u32_at(&inode.raw, DELETED_AT) == 0)) {
                return Err(corrupt(format!("inode {} is marked free, but was never deleted", inode.number)));
            }
            if in_use {
                self.inode(inode)?;
                directories += u32::from(inode.kind() == InodeKind::Directory);
            }
            Ok(())
        })?;
        let Some(descriptor) = groups.all.get(group as usize) else { return Ok(()) };
        if (free, directories) != (descriptor.free_inodes, descriptor.directories) {
            return Err(corrupt(format!(
                "group {group} has {free} free inodes and {directories} directories, its descriptor says {} and {}",
                descriptor.free_inodes, descriptor.directories
            )));
        }
        // e2fsck and the kernel skip what `bg_itable_unused` counts: an inode there would be lost.
        if last_used > sb.inodes_per_group - descriptor.itable_unused {
            return Err(corrupt(format!("inode {} is in use, but counted as never used", first + last_used - 1)));
        }
        Ok(())
    }

    fn inode(&mut self, inode: &Inode) -> Result<(), FsError> {
        self.inodes += 1;
        let kind = inode.kind();
        let reserved = inode.number < self.sb.first_inode && inode.number != ROOT_INODE;
        // Reserved inodes that nobody uses have mode 0, and no checksum.
        if u16_at(&inode.raw, 0) == 0 && reserved {
            return Ok(());
        }
        // Stamped anew and compared, so that the checksum is computed in one place only.
        let mut stamped = inode.clone();
        stamped.stamp(self.sb);
        if stamped.raw != inode.raw {
            return Err(corrupt(format!("inode {} does not match its checksum", inode.number)));
        }
        if inode.number == RESIZE_INODE {
            // It owns the blocks kept for descriptors, which count as such.
            // `i_block[13]`, the double indirect block.
            let block = u64::from(u32_at(inode.block_area(), 13 * 4));
            return if block == 0 { Ok(()) } else { self.own(block, 1, &"the resize inode") };
        }
        // No directory names these, so their links cannot be counted.
        let hidden = reserved || inode.number == self.sb.orphan_file_inode;
        if !hidden && let Some(links) = self.links.get_mut(inode.number as usize) {
            *links = Some((inode.links(), inode.entry_kind()));
        }
        let mapping = Mapping::of(self.window, self.sb, inode)?;
        let owner = format!("inode {}", inode.number);
        for &node in &mapping.nodes {
            self.own(node, 1, &owner)?;
        }
        for extent in &mapping.extents {
            self.own(extent.physical, extent.count, &owner)?;
        }
        // `i_blocks` counts data, nodes of the extent tree and the attribute block.
        let blocks = mapping.extents.iter().map(|extent| extent.count).sum::<u64>() + mapping.nodes.len() as u64;
        let blocks = blocks + u64::from(inode.xattr_block() != 0);
        if !reserved && inode.allocated(self.sb) != blocks.saturating_mul(self.sb.block_size()) {
            let said = inode.allocated(self.sb);
            return Err(corrupt(format!("{owner} says that {said} bytes are allocated, and owns {blocks} blocks")));
        }
        let end = inode.size().div_ceil(self.sb.block_size());
        // Unwritten blocks may lie behind the end: `fallocate --keep-size` makes them.
        if mapping.extents.iter().any(|extent| !extent.unwritten && extent.logical + extent.count > end) && !reserved {
            return Err(corrupt(format!("{owner} owns blocks behind its end")));
        }
        if inode.xattr_block() != 0 {
            // Owned later, once: several inodes may share it.
            *self.xattr_blocks.entry(inode.xattr_block()).or_default() += 1;
        }
        if kind == InodeKind::Directory { self.directory(inode, &mapping) } else { Ok(()) }
    }

    fn directory(&mut self, inode: &Inode, mapping: &Mapping) -> Result<(), FsError> {
        if inode.flags() & INLINE_FLAG != 0 {
            // `.` and `..` are not stored: the parent's number is.
            self.name(inode.number, DIRECTORY)?;
            self.name(u32_at(inode.block_area(), 0), DIRECTORY)?;
            for place in inline_places(inode) {
                self.names_in(inode, inode.raw.get(place).unwrap_or_default())?;
            }
            return Ok(());
        }
        let index = index_blocks(self.window, self.sb, inode, mapping)?;
        for extent in &mapping.extents {
            for n in 0..extent.count {
                let block = read_block(self.window, self.sb, extent.physical + n)?;
                self.names_in(inode, &block)?;
                // Index blocks have a checksum of another form (`dx_tail`), which is not looked at.
                if index.contains(&(extent.logical + n)) || !self.sb.has_metadata_csum() {
                    continue;
                }
                if leaf_checksum(self.sb, inode, &block) != Some(u32_at(&block, block.len().saturating_sub(4))) {
                    return Err(corrupt(format!(
                        "a block of directory inode {} does not match its checksum",
                        inode.number
                    )));
                }
            }
        }
        Ok(())
    }

    fn names_in(&mut self, directory: &Inode, block: &[u8]) -> Result<(), FsError> {
        let found = entries(block).map_err(|what| corrupt(format!("{what} (directory inode {})", directory.number)))?;
        found.iter().filter(|entry| entry.inode != 0).try_for_each(|entry| self.name(entry.inode, entry.kind))
    }

    fn name(&mut self, inode: u32, kind: u8) -> Result<(), FsError> {
        match self.names.get_mut(inode as usize) {
            // 0 can come from an inline directory, whose parent's number nobody has filtered.
            Some((names, called)) if inode != 0 => {
                *names = names.saturating_add(1);
                *called = kind;
                Ok(())
            }
            _ => Err(corrupt(format!("a directory names inode {inode}, which is not there"))),
        }
    }

    fn compare_links(&self) -> Result<(), FsError> {
        for (number, (&(names, called), &links)) in self.names.iter().zip(&self.links).enumerate() {
            match links {
                None if names == 0 => {}
                None => return Err(corrupt(format!("a directory names inode {number}, which is not in use"))),
                Some((_, kind)) if kind != called && names > 0 => {
                    return Err(corrupt(format!("a directory calls inode {number} something else than it is")));
                }
                // 1 stands for more than 65,000, which the field has no room for.
                Some((MANY_LINKS, DIRECTORY)) if names > u32::from(MANY_LINKS) => {}
                Some((links, _)) if u32::from(links) == names => {}
                Some((links, _)) => {
                    return Err(corrupt(format!("inode {number} says it has {links} names, and has {names}")));
                }
            }
        }
        Ok(())
    }

    fn compare_xattr_blocks(&mut self) -> Result<(), FsError> {
        for (block, users) in std::mem::take(&mut self.xattr_blocks) {
            self.own(block, 1, &"extended attributes")?;
            // `h_refcount` of the attribute block's header.
            let said = u32_at(&read_block(self.window, self.sb, block)?, 4);
            if said != users {
                return Err(corrupt(format!("attribute block {block} says {said} inodes use it, {users} do")));
            }
        }
        Ok(())
    }

    fn compare_bitmaps(&self) -> Result<u64, FsError> {
        let (mut in_use, mut free_blocks, mut free_inodes) = (0, 0u64, 0u64);
        for (group, descriptor) in (0..).zip(&self.groups.all) {
            let bitmap = self.groups.block_bitmap(self.window, self.sb, group)?;
            let start = self.sb.group_start(group);
            let mut free = 0;
            // A block in use that is marked free loses data; one that nobody owns only loses space. Neither may be on a
            // card.
            for n in 0..self.sb.group_blocks(group) {
                let block = start + u64::from(n);
                let word = usize::try_from(block / 64).ok().and_then(|at| self.owned.get(at)).copied().unwrap_or(0);
                let owned = word & (1 << (block % 64)) != 0;
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
            in_use += u64::from(self.sb.group_blocks(group) - free);
            free_blocks += u64::from(free);
            free_inodes += u64::from(descriptor.free_inodes);
        }
        // `s_free_blocks_count` and `s_free_inodes_count`. The upper half of the first counts only with descriptors of
        // 64 bytes; otherwise it may hold anything.
        let said = (
            halves(u32_at(&self.sb.raw, 0x158) * u32::from(self.sb.descriptor_bytes >= 64), u32_at(&self.sb.raw, 0x0C)),
            u64::from(u32_at(&self.sb.raw, 0x10)),
        );
        if said != (free_blocks, free_inodes) {
            return Err(corrupt(format!(
                "it has {free_blocks} free blocks and {free_inodes} free inodes, its superblock says {} and {}",
                said.0, said.1
            )));
        }
        Ok(in_use)
    }
}

fn corrupt(what: String) -> FsError {
    FsError::Corrupt { volume: "root", what }
}
