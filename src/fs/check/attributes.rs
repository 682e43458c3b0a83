//! Extended attributes: in the inode behind its fields, and in a block that several inodes may share.

use std::collections::BTreeMap;
use std::ops::Range;

use super::damage::{corrupt, ensure};
use super::owners::Owners;
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::checksum::crc32c;
use crate::fs::ext4::directory::inline_attribute;
use crate::fs::ext4::groups::read_block;
use crate::fs::ext4::inode::Inode;
use crate::fs::ext4::raw::{put_u32, u16_at, u32_at};
use crate::image::ReadAt;

/// `EXT4_XATTR_MAGIC`, of the block and of the area in the inode.
const MAGIC: u32 = 0xEA02_0000;
/// Bytes of a block's header; entries follow.
const HEADER: usize = 32;
/// Fixed bytes of an entry, before the name.
const ENTRY: usize = 16;
/// `h_checksum`.
const CHECKSUM_AT: usize = 0x10;

/// Blocks of attributes, and how many inodes use each.
#[derive(Default)]
pub(super) struct SharedAttributes(BTreeMap<u64, u32>);

impl SharedAttributes {
    /// Owned later, once: several inodes may share it.
    pub(super) fn used_by(&mut self, inode: &Inode) {
        *self.0.entry(inode.xattr_block()).or_default() += 1;
    }

    /// # Errors
    /// A block that is none, that something else owns, or that other inodes use than it says.
    pub(super) fn compare(&self, window: &dyn ReadAt, sb: &Superblock, owners: &mut Owners) -> Result<(), FsError> {
        for (&number, &users) in &self.0 {
            owners.own(number, 1, &"extended attributes")?;
            let mut block = read_block(window, sb, number)?;
            // `h_blocks`: more than one never came to be.
            let fine = u32_at(&block, 0) == MAGIC && u32_at(&block, 8) == 1;
            ensure(fine, || format!("block {number} should hold extended attributes, and does not"))?;
            // `h_refcount`.
            let said = u32_at(&block, 4);
            ensure(said == users, || format!("attribute block {number} says {said} inodes use it, {users} do"))?;
            list(&block, HEADER, false).map_err(|what| corrupt(format!("attribute block {number} {what}")))?;
            if sb.has_metadata_csum() {
                let sum = u32_at(&block, CHECKSUM_AT);
                put_u32(&mut block, CHECKSUM_AT, 0);
                let fits = crc32c(crc32c(sb.checksum_seed, &number.to_le_bytes()), &block) == sum;
                ensure(fits, || format!("attribute block {number} does not match its checksum"))?;
            }
        }
        Ok(())
    }
}

/// # Errors
/// Attributes in the inode that overlap or do not match their hashes.
pub(super) fn in_inode(inode: &Inode) -> Result<(), FsError> {
    let area = inode.raw.get(inode.extra_at()..).unwrap_or_default();
    // Without the magic number there are none.
    if area.len() < 8 || u32_at(area, 0) != MAGIC {
        return Ok(());
    }
    let entries = area.get(4..).unwrap_or_default();
    list(entries, 0, true).map_err(|what| corrupt(format!("inode {} {what}", inode.number)))
}

/// How many bytes of content an inode has room for that keeps it in itself; `None` where it has no place for it.
pub(super) fn inline_bytes(inode: &Inode) -> Option<u64> {
    // `i_block`, and what the attribute `system.data` holds beyond it.
    inline_attribute(inode).map(|value| 60 + value.len() as u64)
}

/// Goes through a list of entries from `first`, whose values lie in the same `area`.
fn list(area: &[u8], first: usize, no_hash_is_fine: bool) -> Result<(), &'static str> {
    let mut taken: Vec<Range<usize>> = std::iter::once(0..first).collect();
    let mut at = first;
    loop {
        let entry = area.get(at..).filter(|rest| rest.len() >= 4).ok_or("has attributes without an end")?;
        // Four zeros end the list.
        if u32_at(entry, 0) == 0 {
            taken.push(at..at + 4);
            break;
        }
        // `e_name_len` and `e_name_index`. Each name has a prefix.
        let [name_len, index] = u16_at(entry, 0).to_le_bytes();
        if index == 0 {
            return Err("has an attribute without a name");
        }
        let name = ENTRY..ENTRY + usize::from(name_len);
        let name = entry.get(name).ok_or("has an attribute whose name leaves its place")?;
        let end = at + (ENTRY + name.len()).next_multiple_of(4);
        taken.push(at..end);
        // `e_value_inum`: only with `ea_inode`, which is refused.
        if u32_at(entry, 4) != 0 {
            return Err("has an attribute in an inode of its own");
        }
        let size = usize::try_from(u32_at(entry, 8)).unwrap_or(usize::MAX);
        let begins = usize::from(u16_at(entry, 2));
        // Values are padded to four bytes, and hashed with what pads them.
        let value = size.checked_next_multiple_of(4).and_then(|size| area.get(begins..begins.checked_add(size)?));
        let value = value.ok_or("has an attribute whose value leaves its place")?;
        if size > 0 {
            taken.push(begins..begins + value.len());
        }
        // `e_hash`.
        let said = u32_at(entry, 12);
        if !(no_hash_is_fine && said == 0 || [false, true].iter().any(|&signed| hash(name, value, signed) == said)) {
            return Err("has an attribute that does not match its hash");
        }
        at = end;
    }
    taken.sort_unstable_by_key(|range| range.start);
    let apart = taken.windows(2).all(|pair| matches!(pair, [a, b] if a.end <= b.start));
    if apart && taken.last().is_none_or(|last| last.end <= area.len()) {
        Ok(())
    } else {
        Err("has attributes that overlap")
    }
}

/// `ext4_xattr_hash_entry`. Older kernels took the bytes of a name as signed on some machines.
fn hash(name: &[u8], value: &[u8], signed: bool) -> u32 {
    let byte = |b: u8| if signed { i32::from(b as i8) as u32 } else { u32::from(b) };
    let of_name = name.iter().fold(0u32, |hash, &b| hash.rotate_left(5) ^ byte(b));
    value.chunks_exact(4).fold(of_name, |hash, word| hash.rotate_left(16) ^ u32_at(word, 0))
}
