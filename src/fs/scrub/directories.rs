//! Names that were deleted but still stand in directory blocks.

use std::ops::Range;

use super::report::ScrubReport;
use super::wiper::Wiper;
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::directory::{entries, index_blocks, stamp_leaf};
use crate::fs::ext4::inode::Inode;
use crate::fs::ext4::mapping::Mapping;
use crate::fs::ext4::raw::u16_at;
use crate::units::{ByteOffset, ByteRange};

pub fn scrub(
    wiper: &Wiper<'_>,
    sb: &Superblock,
    inode: &Inode,
    mapping: &Mapping,
    report: &mut ScrubReport,
) -> Result<(), FsError> {
    let index = index_blocks(wiper.reader(), sb, inode, mapping)?;
    for extent in &mapping.extents {
        for n in 0..extent.count {
            let place = ByteRange::new((extent.physical + n) * sb.block_size(), sb.block_size());
            // A card is scrubbed only where its own edits are.
            if !wiper.touches(place) {
                continue;
            }
            let before = wiper.read(place)?;
            let mut block = before.clone();
            let slack = if index.contains(&(extent.logical + n)) {
                index_slack(sb, &block, extent.logical + n == 0)
            } else {
                leaf_slack(inode, &block)?
            };
            wipe(&mut block, &slack);
            // An equal write would count as an edit.
            if block == before {
                continue;
            }
            // The checksum of an index block does not cover what was wiped.
            if !index.contains(&(extent.logical + n)) {
                stamp_leaf(sb, inode, &mut block);
            }
            wiper.replace(ByteOffset(place.start.0), &block)?;
            report.directory_entries += 1;
        }
    }
    Ok(())
}

/// The meaningless bytes of a block of directory entries.
///
/// # Errors
/// [`FsError::Corrupt`]: slack of what cannot be parsed is not known.
pub fn leaf_slack(inode: &Inode, block: &[u8]) -> Result<Vec<Range<usize>>, FsError> {
    let found = entries(block).map_err(|what| FsError::Corrupt {
        volume: "root",
        what: format!("{what} (directory inode {})", inode.number),
    })?;
    Ok(found.iter().flat_map(|entry| entry.slack()).collect())
}

/// Behind the last entry of an index block. The root of a hash tree began as a leaf and may still hold its names there.
/// Its checksum covers only the entries in use.
fn index_slack(sb: &Superblock, block: &[u8], root: bool) -> Vec<Range<usize>> {
    // `dx_root_info` is at 0x18, and its length is its sixth byte. Other index blocks begin with an unused entry of 8
    // bytes.
    let list = if root { 0x18 + usize::from(u16_at(block, 0x1D) & 0xFF) } else { 8 };
    // `limit` and `count` stand in place of the first entry's hash.
    let (limit, count) = (usize::from(u16_at(block, list)), usize::from(u16_at(block, list + 2)));
    let (from, to) = (list + count * 8, list + limit * 8);
    // `dx_tail`, behind the last place for an entry.
    let tail = if sb.has_metadata_csum() { 8 } else { 0 };
    if count == 0 || count > limit || to + tail > block.len() {
        // Nobody knows what of it means something.
        Vec::new()
    } else {
        std::iter::once(from..to).collect()
    }
}

/// Fills `ranges` of `bytes` with zeros.
pub fn wipe(bytes: &mut [u8], ranges: &[Range<usize>]) {
    for range in ranges {
        if let Some(part) = bytes.get_mut(range.clone()) {
            part.fill(0);
        }
    }
}
