//! Directory blocks: their entries, the slack between them, and which blocks of a hash tree are no leaves.

use std::collections::HashSet;
use std::ops::Range;

use super::checksum::crc32c;
use super::groups::read_block;
use super::inode::{INDEX_FLAG, Inode};
use super::mapping::Mapping;
use super::raw::{put_u32, u16_at, u32_at};
use super::superblock::Superblock;
use crate::fs::FsError;
use crate::image::ReadAt;

/// Bytes of the checksum tail of a leaf block.
const TAIL_BYTES: usize = 12;
/// Fixed bytes of an entry, before the name.
const HEAD_BYTES: usize = 8;

/// One entry of a directory block, in use or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawEntry {
    /// Where it begins in the block.
    pub at: usize,
    /// How far it reaches.
    pub len: usize,
    /// The inode that it names, 0 where it names none.
    pub inode: u32,
    /// Length of the name.
    pub name_len: usize,
    /// What it says the inode is: the type code of directory entries.
    pub kind: u8,
}

impl RawEntry {
    /// Where the name lies in the block.
    pub fn name(&self) -> Range<usize> {
        self.at + HEAD_BYTES..self.at + HEAD_BYTES + self.name_len
    }

    /// The bytes that mean nothing: behind the name, or everything but the length where no inode is named.
    pub fn slack(&self) -> [Range<usize>; 2] {
        let end = self.at + self.len;
        if self.inode == 0 {
            [self.at + 6..(self.at + HEAD_BYTES).min(end), (self.at + HEAD_BYTES).min(end)..end]
        } else {
            [0..0, self.name().end..end]
        }
    }
}

/// The entries of a directory block, or of the area of an inode that holds them, in order; a checksum tail is left out.
///
/// # Errors
/// What is wrong, in words.
pub fn entries(block: &[u8]) -> Result<Vec<RawEntry>, &'static str> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < block.len() {
        let head = block.get(at..at + HEAD_BYTES).ok_or("a directory entry leaves its block")?;
        let (inode, len) = (u32_at(head, 0), usize::from(u16_at(head, 4)));
        // `name_len` and `file_type`, a byte each.
        let lengths = u16_at(head, 6).to_le_bytes();
        let [name_len, kind] = lengths;
        // The tail of a leaf looks like an unused entry of 12 bytes with the type 0xDE (`ext4_dir_entry_tail`).
        if inode == 0 && len == TAIL_BYTES && name_len == 0 && kind == 0xDE && at + len == block.len() {
            return Ok(found);
        }
        let entry = RawEntry { at, len, inode, name_len: usize::from(name_len), kind };
        // A length of 0 would never end.
        if len < HEAD_BYTES || !len.is_multiple_of(4) || at + len > block.len() {
            return Err("a directory entry has an impossible length");
        }
        if inode != 0 && entry.name().end > at + len {
            return Err("a name in a directory leaves its entry");
        }
        found.push(entry);
        at += len;
    }
    Ok(found)
}

/// The blocks of a hash-tree directory, counted in the directory, that index others. Block 0 always does; it also
/// holds `.` and `..`.
///
/// # Errors
/// [`FsError::Corrupt`], [`FsError::Io`].
pub fn index_blocks(
    window: &dyn ReadAt,
    sb: &Superblock,
    inode: &Inode,
    mapping: &Mapping,
) -> Result<HashSet<u64>, FsError> {
    const INFO_AT: usize = 0x18;
    let mut index = HashSet::new();
    // Without `EXT4_INDEX_FL` all blocks are leaves.
    let root = mapping.extents.first().filter(|extent| extent.logical == 0 && inode.flags() & INDEX_FLAG != 0);
    let Some(root) = root else { return Ok(index) };
    index.insert(0);
    let block = read_block(window, sb, root.physical)?;
    // `info_length` and `indirect_levels` of `dx_root_info`, which stands behind `.` and `..`.
    let lengths = u16_at(&block, INFO_AT + 5).to_le_bytes();
    let [info_bytes, levels] = lengths;
    // With 0 levels the root names leaves, with 1 it names index blocks. More need `large_dir`, which is refused.
    if levels > 0 {
        let list = block.get(INFO_AT + usize::from(info_bytes)..).unwrap_or_default();
        let count = usize::from(u16_at(list, 2));
        // The first entry has its hash replaced by limit and count.
        // The upper four bits of a block number are reserved.
        index.extend(list.chunks_exact(8).take(count).map(|entry| u64::from(u32_at(entry, 4) & 0x0FFF_FFFF)));
    }
    Ok(index)
}

/// The checksum that a leaf block should end with; `None` where the block has no tail.
pub fn leaf_checksum(sb: &Superblock, inode: &Inode, block: &[u8]) -> Option<u32> {
    let end = block.len().checked_sub(TAIL_BYTES)?;
    let tail = block.get(end..)?;
    // `det_rec_len` of 12, and `det_reserved_ft` of 0xDE.
    let is_tail = u32_at(tail, 0) == 0 && u32_at(tail, 4) == 0xDE00_000C;
    (sb.has_metadata_csum() && is_tail).then(|| crc32c(inode.seed(sb), block.get(..end).unwrap_or_default()))
}

/// Makes the checksum of a leaf block right again.
pub fn stamp_leaf(sb: &Superblock, inode: &Inode, block: &mut [u8]) {
    if let Some(sum) = leaf_checksum(sb, inode, block) {
        // The tail was found, so there are at least 12 bytes.
        let at = block.len() - 4;
        put_u32(block, at, sum);
    }
}

/// Where the entries of a directory that lives in its inode stand in the slot: behind the parent's number in the block
/// area, and in the value of the attribute `system.data`.
pub fn inline_places(inode: &Inode) -> Vec<Range<usize>> {
    // `i_block` is 60 bytes at 0x28, and its first four are the parent's number.
    std::iter::once(0x2C..0x64).chain(inline_value(inode)).collect()
}

/// Where the value of `system.data` stands in the slot, if it has one.
pub fn inline_value(inode: &Inode) -> Option<Range<usize>> {
    inline_attribute(inode).filter(|place| !place.is_empty())
}

/// Where the value of `system.data` would stand in the slot: the attribute is there, and may be empty.
pub fn inline_attribute(inode: &Inode) -> Option<Range<usize>> {
    const MAGIC: u32 = 0xEA02_0000;
    const SYSTEM: u8 = 7;
    // The attributes in an inode begin with a magic, behind `i_extra_isize`.
    let base = inode.extra_at().checked_add(4)?;
    if u32_at(&inode.raw, base - 4) != MAGIC {
        return None;
    }
    let mut at = base;
    // Entries of 16 bytes and a name, padded to four (`ext4_xattr_entry`).
    loop {
        let entry = inode.raw.get(at..)?;
        let [name_len, name_index, ..] = *entry.first_chunk::<16>()?;
        // Four zeros end the list.
        if u32_at(entry, 0) == 0 {
            return None;
        }
        if name_index == SYSTEM && entry.get(16..16 + usize::from(name_len)) == Some(b"data") {
            // `e_value_offs` counts from the first entry, not from the magic.
            let start = base + usize::from(u16_at(entry, 2));
            let end = start.checked_add(usize::try_from(u32_at(entry, 8)).ok()?)?;
            return (start <= end && end <= inode.raw.len()).then_some(start..end);
        }
        at += (16 + usize::from(name_len)).next_multiple_of(4);
    }
}
