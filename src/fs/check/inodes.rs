//! One inode in use: its own fields, its size, and the blocks that it owns.

use super::damage::{corrupt, ensure};
use super::state::Check;
use super::unused::DELETED_AT;
use super::{attributes, journal, orphan_file, reserved, symlinks};
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::features::incompat;
use crate::fs::ext4::inode::{EXTENTS_FLAG, INDEX_FLAG, INLINE_FLAG, Inode, InodeKind, ROOT_INODE};
use crate::fs::ext4::mapping::Mapping;
use crate::fs::ext4::raw::{u16_at, u32_at};

/// `i_flags` of features that are refused, so that no inode may have them: encrypted, `imagic`, verity, a large
/// attribute's own inode, names without case.
const REFUSED_FLAGS: u32 = 0x800 | 0x2000 | 0x10_0000 | 0x20_0000 | 0x4000_0000;

fn is_directory(inode: &Inode) -> bool {
    inode.kind() == InodeKind::Directory
}

impl Check<'_> {
    /// # Errors
    /// What is wrong with it first.
    pub(super) fn inode(&mut self, inode: &Inode) -> Result<(), FsError> {
        self.inodes += 1;
        let sb = self.sb;
        has_its_checksum(sb, inode)?;
        let is_journal = inode.number == sb.journal_inode;
        if inode.number < sb.first_inode && inode.number != ROOT_INODE && !is_journal {
            return reserved::check(self, inode);
        }
        fields(sb, inode)?;
        // No directory names these, so their links cannot be counted.
        let hidden =
            inode.number < sb.first_inode && inode.number != ROOT_INODE || inode.number == sb.orphan_file_inode;
        if !hidden {
            self.names.inode(inode.number, inode.links(), inode.entry_kind());
        }
        attributes::in_inode(inode)?;
        let mapping = self.own_blocks(inode)?;
        if inode.xattr_block() != 0 {
            self.attributes.used_by(inode);
        }
        size(sb, inode, &mapping)?;
        if is_journal {
            journal::check(self.window, sb, inode, &mapping)?;
        }
        if inode.number == sb.orphan_file_inode {
            orphan_file::check(self.window, sb, inode, &mapping)?;
        }
        match inode.kind() {
            InodeKind::Directory => self.directory(inode, &mapping),
            InodeKind::Symlink => symlinks::check(self.window, sb, inode, &mapping),
            _ => Ok(()),
        }
    }
}

fn has_its_checksum(sb: &Superblock, inode: &Inode) -> Result<(), FsError> {
    // Reserved inodes that nobody ever wrote have none.
    if inode.raw.iter().all(|&byte| byte == 0) {
        return Ok(());
    }
    // Stamped anew and compared, so that the checksum is computed in one place only.
    let mut stamped = inode.clone();
    stamped.stamp(sb);
    ensure(stamped.raw == inode.raw, || format!("inode {} does not match its checksum", inode.number))
}

fn fields(sb: &Superblock, inode: &Inode) -> Result<(), FsError> {
    let number = inode.number;
    ensure(inode.entry_kind() != 0, || format!("inode {number} is of no kind that there is"))?;
    ensure(inode.links() != 0, || format!("inode {number} is in use, and has no names"))?;
    ensure(u32_at(&inode.raw, DELETED_AT) == 0, || format!("inode {number} is in use, and has a time of deletion"))?;
    // `i_obso_faddr`.
    ensure(u32_at(&inode.raw, 0x70) == 0, || format!("inode {number} has a fragment, which ext4 does not have"))?;
    let wide = sb.incompat & incompat::BIT64 != 0;
    // `l_i_file_acl_high`.
    ensure(wide || u16_at(&inode.raw, 0x76) == 0, || {
        format!("inode {number} has attributes outside of the file system")
    })?;
    let flags = inode.flags();
    let is_directory = is_directory(inode);
    ensure(flags & REFUSED_FLAGS == 0, || {
        format!("inode {number} has flags ({flags:#x}) of features that are not used")
    })?;
    ensure(is_directory || flags & INDEX_FLAG == 0, || format!("inode {number} has a hash tree, and is no directory"))?;
    let inline = flags & INLINE_FLAG != 0;
    ensure(!inline || (sb.incompat & incompat::INLINE_DATA != 0 && flags & EXTENTS_FLAG == 0), || {
        format!("inode {number} says that its content lies in it, which cannot be")
    })?;
    if inode.raw.len() > 128 {
        let extra = usize::from(u16_at(&inode.raw, 0x80));
        // `i_extra_isize` covers itself and `i_checksum_hi` at least.
        let fine = extra == 0 || (4..=inode.raw.len() - 128).contains(&extra) && extra.is_multiple_of(4);
        ensure(fine, || format!("inode {number} has {extra} bytes of further fields, which cannot be"))?;
    }
    if inode.kind() == InodeKind::Other {
        // A device's number is in the first words of `i_block`, and nothing is behind them.
        let plain = inode.size() == 0 && inode.block_area().iter().skip(16).all(|&byte| byte == 0);
        ensure(plain && flags & (EXTENTS_FLAG | INLINE_FLAG) == 0, || {
            format!("inode {number} is a device, pipe or socket, and has content")
        })?;
    }
    Ok(())
}

/// Whether the size fits the blocks.
fn size(sb: &Superblock, inode: &Inode, mapping: &Mapping) -> Result<(), FsError> {
    let (size, number) = (inode.size(), inode.number);
    let end = size.div_ceil(sb.block_size());
    // Block numbers in a file have 32 bits; without extents it reaches as far as three levels of pointers.
    let per_block = sb.block_size() / 4;
    let reach = match inode.flags() & EXTENTS_FLAG {
        0 => (12 + per_block + per_block.pow(2) + per_block.pow(3)).min(u64::from(u32::MAX)),
        _ => u64::from(u32::MAX),
    };
    ensure(end <= reach, || format!("inode {number} has {size} bytes, more than any can"))?;
    if inode.flags() & INLINE_FLAG != 0 {
        let most = attributes::inline_bytes(inode)
            .ok_or_else(|| corrupt(format!("inode {number} says that its content lies in it, and has none")))?;
        // A file may end behind that: what follows are zeros, as mke2fs makes of a hole.
        return ensure(!is_directory(inode) || size == most, || {
            format!("directory inode {number} has {size} bytes, and room for {most}")
        });
    }
    if is_directory(inode) {
        let blocks: u64 = mapping.extents.iter().map(|extent| extent.count).sum();
        // Linux reads them from the first to the last: a hole would cut the directory short.
        let whole = mapping.extents.iter().map(|extent| extent.logical + extent.count).max() == Some(blocks);
        ensure(whole && size.is_multiple_of(sb.block_size()) && end == blocks, || {
            format!("directory inode {number} has {size} bytes in {blocks} blocks")
        })?;
        // Behind 4 GiB only with `large_dir`, which is refused.
        ensure(size >> 32 == 0, || format!("directory inode {number} is larger than any can be"))?;
        let unwritten = mapping.extents.iter().any(|extent| extent.unwritten);
        return ensure(!unwritten, || format!("directory inode {number} has blocks that were never written"));
    }
    // Unwritten blocks may lie behind the end: `fallocate --keep-size` makes them.
    let behind = mapping.extents.iter().any(|extent| !extent.unwritten && extent.logical + extent.count > end);
    ensure(!behind, || format!("inode {number} owns blocks behind its end"))
}
