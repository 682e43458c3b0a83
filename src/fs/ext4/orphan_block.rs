//! A block of the orphan file: inode numbers, and at its end a magic number and a checksum (kernel, `fs/ext4/orphan.c`).

use super::checksum::crc32c;
use super::inode::Inode;
use super::raw::u32_at;
use super::superblock::Superblock;

const MAGIC: u32 = 0x0B10_CA04;
/// Magic and checksum at the end of each block.
pub const TAIL_BYTES: usize = 8;

/// The part with inode numbers; `None` for a block without the magic number.
pub fn list(block: &[u8]) -> Option<&[u8]> {
    let end = block.len().checked_sub(TAIL_BYTES)?;
    block.get(..end).filter(|_| u32_at(block, end) == MAGIC)
}

/// Whether block `number` of `file` has the checksum that it should; without checksums that is 0.
pub fn sum_fits(sb: &Superblock, file: &Inode, number: u64, block: &[u8]) -> bool {
    let list = list(block).unwrap_or_default();
    let sum = if sb.has_metadata_csum() { sum_of(sb, file, number, list) } else { 0 };
    u32_at(block, list.len() + 4) == sum
}

/// The checksum of a list that stands in block `number` of `file`.
pub fn sum_of(sb: &Superblock, file: &Inode, number: u64, list: &[u8]) -> u32 {
    crc32c(crc32c(file.seed(sb), &number.to_le_bytes()), list)
}
