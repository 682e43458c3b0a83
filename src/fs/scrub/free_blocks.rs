//! Blocks that nothing owns, and bitmaps that were never initialised: a file system made on a used card keeps there
//! what the card held.

use super::report::ScrubReport;
use super::wiper::Wiper;
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::groups::{BLOCK_UNINIT, Groups, INODE_UNINIT};
use crate::units::ByteRange;

pub fn scrub(
    wiper: &Wiper<'_>,
    sb: &Superblock,
    groups: &Groups,
    group: u32,
    report: &mut ScrubReport,
) -> Result<(), FsError> {
    let size = sb.block_size();
    let bitmap = groups.block_bitmap(wiper.reader(), sb, group)?;
    for (first, count) in bitmap.ranges(sb.group_blocks(group), false) {
        let start = (sb.group_start(group) + u64::from(first)) * size;
        report.free_bytes += wiper.punch(ByteRange::new(start, u64::from(count) * size))?;
    }
    let Some(descriptor) = groups.all.get(group as usize) else { return Ok(()) };
    // Nobody reads a bitmap with these flags, so the card's old bytes may still stand there.
    for (flag, block) in [(BLOCK_UNINIT, descriptor.block_bitmap), (INODE_UNINIT, descriptor.inode_bitmap)] {
        if descriptor.flags & flag != 0 && wiper.zero(ByteRange::new(block * size, size))? {
            report.free_bytes += size;
        }
    }
    Ok(())
}
