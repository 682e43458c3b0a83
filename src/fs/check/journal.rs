//! The journal's superblock, of a journal that is empty (kernel, Documentation/filesystems/ext4/journal.rst).

use super::damage::{corrupt, ensure};
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::checksum::crc32c;
use crate::fs::ext4::groups::read_block;
use crate::fs::ext4::inode::{Inode, InodeKind};
use crate::fs::ext4::mapping::Mapping;
use crate::fs::ext4::raw::be32_at;
use crate::image::ReadAt;

const MAGIC: u32 = 0xC03B_3998;
/// `h_blocktype` of the older superblock and of the one in use.
const TYPES: [u32; 2] = [3, 4];
/// `JBD2_MIN_JOURNAL_BLOCKS`.
const SHORTEST: u32 = 1024;
/// Revoke records, 64 bits, asynchronous commits, the checksums 2 and 3, fast commits.
const INCOMPAT: u32 = 0x3F;
const CHECKSUMS: u32 = 0x8 | 0x10;
const CHECKSUM_AT: usize = 0xFC;

/// # Errors
/// What Linux could not use.
pub(super) fn check(window: &dyn ReadAt, sb: &Superblock, inode: &Inode, mapping: &Mapping) -> Result<(), FsError> {
    let wrong = |what: &str| corrupt(format!("its journal (inode {}) {what}", inode.number));
    let blocks: u64 = mapping.extents.iter().map(|extent| extent.count).sum();
    // Without holes: it is read by block numbers of its own.
    let whole = mapping.extents.last().is_some_and(|last| last.logical + last.count == blocks);
    let whole = whole && inode.size() == blocks.saturating_mul(sb.block_size());
    let first = mapping.extents.first().filter(|first| first.logical == 0);
    let Some(first) = first.filter(|_| inode.kind() == InodeKind::File && whole) else {
        return Err(wrong("has no blocks, or not all"));
    };
    let head = read_block(window, sb, first.physical)?;
    let field = |at| be32_at(&head, at);
    // `h_magic`, `h_blocktype`, `s_blocksize`.
    if field(0) != MAGIC || !TYPES.contains(&field(4)) || field(12) != sb.block_bytes {
        return Err(wrong("has no superblock"));
    }
    // `s_maxlen` and `s_first`.
    let (length, begins) = (field(16), field(20));
    if length < SHORTEST || u64::from(length) > blocks || begins == 0 || begins >= length {
        return Err(wrong("has another length than its superblock says"));
    }
    // `s_start` and `s_errno`.
    if field(28) != 0 || field(32) != 0 {
        return Err(wrong("is not empty, or notes an error"));
    }
    // `s_nr_users`: only a journal on a device of its own is shared.
    if field(64) > 1 {
        return Err(wrong("is shared with other file systems"));
    }
    let (compat, incompat, ro_compat) = (field(36), field(40), field(44));
    let is_old = field(4) == 3;
    if is_old && head.get(36..).unwrap_or_default().iter().any(|&byte| byte != 0) {
        return Err(wrong("is of the older form, and has fields of the newer"));
    }
    if compat & !1 != 0 || incompat & !INCOMPAT != 0 || ro_compat != 0 || incompat & CHECKSUMS == CHECKSUMS {
        return Err(wrong("has features that are not known"));
    }
    if incompat & CHECKSUMS != 0 {
        // `s_checksum_type`, a byte: 4 is crc32c. `s_checksum` counts as zeros in its own sum.
        let mut summed = head.get(..1024).unwrap_or_default().to_vec();
        if let Some(sum) = summed.get_mut(CHECKSUM_AT..CHECKSUM_AT + 4) {
            sum.fill(0);
        }
        let fits = field(0x50) >> 24 == 4 && crc32c(u32::MAX, &summed) == field(CHECKSUM_AT);
        return ensure(fits, || "the superblock of its journal does not match its checksum");
    }
    Ok(())
}
