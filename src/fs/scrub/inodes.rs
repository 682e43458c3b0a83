//! The inode table of a group: slots that no file uses are emptied (they keep fast symlinks, inline content and
//! extended attributes), and what inodes in use own is handed on.

use super::report::ScrubReport;
use super::wiper::Wiper;
use super::{directories, files};
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::groups::{Groups, table_blocks};
use crate::fs::ext4::inode::{Inode, InodeKind, ROOT_INODE, slot_at, walk_table};
use crate::fs::ext4::mapping::Mapping;
use crate::units::{ByteOffset, ByteRange};

pub fn scrub(
    wiper: &Wiper<'_>,
    sb: &Superblock,
    groups: &Groups,
    group: u32,
    report: &mut ScrubReport,
) -> Result<(), FsError> {
    let used = groups.inode_bitmap(wiper.reader(), sb, group)?;
    let Some(descriptor) = groups.all.get(group as usize) else { return Ok(()) };
    // The end of the table that was never used is punched like free blocks: it may be as large as on a whole card.
    let slot = u64::from(sb.inode_bytes);
    let looked_at = sb.inodes_per_group - descriptor.itable_unused;
    let start = slot_at(sb, groups, group * sb.inodes_per_group + 1)?.0;
    let unused_at = start + u64::from(looked_at) * slot;
    let end = start + table_blocks(sb) * sb.block_size();
    report.free_bytes += wiper.punch(ByteRange::new(unused_at, end.saturating_sub(unused_at)))?;

    walk_table(wiper.reader(), sb, groups, group, looked_at, &used, &mut |inode, in_use, at| {
        if in_use {
            return live(wiper, sb, inode, at, report);
        }
        let place = ByteRange { start: at, len: crate::units::ByteSize(slot) };
        if inode.raw.iter().any(|&byte| byte != 0) && wiper.touches(place) {
            wiper.replace(at, &vec![0; inode.raw.len()])?;
            report.unused_inodes += 1;
        }
        Ok(())
    })
}

fn live(
    wiper: &Wiper<'_>,
    sb: &Superblock,
    inode: &Inode,
    at: ByteOffset,
    report: &mut ScrubReport,
) -> Result<(), FsError> {
    let reserved = inode.number < sb.first_inode && inode.number != ROOT_INODE;
    // The file system's own. The journal is wiped by itself, the others hold no content.
    if reserved || inode.number == sb.orphan_file_inode || inode.kind() == InodeKind::Other {
        return Ok(());
    }
    files::inline_area(wiper, sb, inode, at, report)?;
    let mapping = Mapping::of(wiper.reader(), sb, inode)?;
    files::map_nodes(wiper, sb, inode, &mapping, report)?;
    match inode.kind() {
        InodeKind::Directory => directories::scrub(wiper, sb, inode, &mapping, report),
        _ => files::content(wiper, sb, inode, &mapping, report),
    }
}
