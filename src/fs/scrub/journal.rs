//! The journal holds copies of everything that was written lately: names, inodes and, after our own edits, contents.

use super::report::ScrubReport;
use super::wiper::Wiper;
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::groups::{Groups, read_block};
use crate::fs::ext4::inode::Inode;
use crate::fs::ext4::mapping::Mapping;
use crate::fs::ext4::raw::be32_at;
use crate::units::ByteRange;

const JOURNAL_MAGIC: u32 = 0xC03B_3998;
/// `s_start` in the journal's superblock: where replay would begin, 0 where there is nothing to replay.
const START_AT: usize = 28;

pub fn scrub(wiper: &Wiper<'_>, sb: &Superblock, groups: &Groups, report: &mut ScrubReport) -> Result<(), FsError> {
    if sb.journal_inode == 0 {
        return Ok(());
    }
    let inode = Inode::read(wiper.reader(), sb, groups, sb.journal_inode)?;
    let mapping = Mapping::of(wiper.reader(), sb, &inode)?;
    let corrupt = |what: &str| FsError::Corrupt { volume: "root", what: what.to_owned() };
    let first =
        mapping.extents.first().filter(|extent| extent.logical == 0).ok_or_else(|| corrupt("its journal is empty"))?;
    let head = read_block(wiper.reader(), sb, first.physical)?;
    if be32_at(&head, 0) != JOURNAL_MAGIC {
        return Err(corrupt("its journal has no superblock"));
    }
    if be32_at(&head, START_AT) != 0 {
        return Err(corrupt("its journal has to be replayed before it can be wiped"));
    }
    for extent in &mapping.extents {
        // Its first block is the journal's superblock, which stays.
        let skipped = u64::from(extent.logical == 0);
        let place =
            ByteRange::new((extent.physical + skipped) * sb.block_size(), (extent.count - skipped) * sb.block_size());
        report.journal_bytes += wiper.punch(place)?;
    }
    Ok(())
}
