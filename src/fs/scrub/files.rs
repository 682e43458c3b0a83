//! What a file owns but does not contain: the rest of its last block, blocks that were allocated and never written,
//! blocks behind its end, the rest of an inline area, old entries in its block map.

use super::directories::{leaf_slack, wipe};
use super::report::ScrubReport;
use super::wiper::Wiper;
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::checksum::crc32c;
use crate::fs::ext4::directory::inline_places;
use crate::fs::ext4::inode::{EXTENTS_FLAG, INLINE_FLAG, Inode, InodeKind};
use crate::fs::ext4::mapping::Mapping;
use crate::fs::ext4::raw::{put_u32, u16_at};
use crate::units::{ByteOffset, ByteRange, ByteSize};

pub fn content(
    wiper: &Wiper<'_>,
    sb: &Superblock,
    inode: &Inode,
    mapping: &Mapping,
    report: &mut ScrubReport,
) -> Result<(), FsError> {
    let size = sb.block_size();
    let (whole, rest) = (inode.size() / size, inode.size() % size);
    for extent in &mapping.extents {
        let place = |from: u64, to: u64| {
            ByteRange::new((extent.physical + from - extent.logical) * size, to.saturating_sub(from) * size)
        };
        let end = extent.logical + extent.count;
        // It reads as zeros whatever it holds.
        if extent.unwritten {
            report.unwritten_bytes += wiper.punch(place(extent.logical, end))?;
            continue;
        }
        // Blocks behind the end come from `fallocate --keep-size`.
        let past = (whole + u64::from(rest > 0)).clamp(extent.logical, end);
        report.unwritten_bytes += wiper.punch(place(past, end))?;
        // Behind the file's last byte, in its last block.
        if rest > 0 && (extent.logical..end).contains(&whole) {
            let last = place(whole, whole + 1);
            if wiper.zero(ByteRange::new(last.start.0 + rest, size - rest))? {
                report.file_tails += 1;
            }
        }
    }
    Ok(())
}

/// Names deleted from a directory that lives in its inode, and what stands behind the end of content or a link target
/// that does.
pub fn inline_area(
    wiper: &Wiper<'_>,
    sb: &Superblock,
    inode: &Inode,
    at: ByteOffset,
    report: &mut ScrubReport,
) -> Result<(), FsError> {
    let inline = inode.flags() & INLINE_FLAG != 0;
    let mut cleaned = inode.clone();
    match inode.kind() {
        InodeKind::Directory if inline => {
            for place in inline_places(inode) {
                if let Some(area) = cleaned.raw.get_mut(place) {
                    let slack = leaf_slack(inode, area)?;
                    wipe(area, &slack);
                }
            }
        }
        InodeKind::File if inline => behind_end(&mut cleaned),
        // The target is in `i_block`. One of 60 bytes or more has a block of its own, and then nothing is wiped.
        InodeKind::Symlink if inline || inode.flags() & EXTENTS_FLAG == 0 => behind_end(&mut cleaned),
        _ => {}
    }
    let place = ByteRange { start: at, len: ByteSize(inode.raw.len() as u64) };
    if cleaned.raw != inode.raw && wiper.touches(place) {
        cleaned.stamp(sb);
        wiper.replace(at, &cleaned.raw)?;
        report.inline_areas += 1;
    }
    Ok(())
}

fn behind_end(inode: &mut Inode) {
    // `i_block` has 60 bytes.
    let used = usize::try_from(inode.size()).unwrap_or(60).min(60);
    let rest = 0x28 + used..0x64;
    wipe(&mut inode.raw, std::slice::from_ref(&rest));
}

/// Entries behind the last one in blocks of an extent tree. They only name blocks, but a reader of old images could
/// follow them; the checksum covers them.
pub fn map_nodes(
    wiper: &Wiper<'_>,
    sb: &Superblock,
    inode: &Inode,
    mapping: &Mapping,
    report: &mut ScrubReport,
) -> Result<(), FsError> {
    if inode.flags() & EXTENTS_FLAG == 0 {
        return Ok(());
    }
    for &node in &mapping.nodes {
        let place = ByteRange::new(node * sb.block_size(), sb.block_size());
        if !wiper.touches(place) {
            continue;
        }
        let before = wiper.read(place)?;
        let mut block = before.clone();
        // `eh_entries` and `eh_max`.
        let (used, most) = (usize::from(u16_at(&block, 2)), usize::from(u16_at(&block, 4)));
        let end = 12 + most * 12;
        // `et_checksum` stands behind the last place for an entry.
        let behind = if sb.has_metadata_csum() { end + 4 } else { end };
        let whole = block.len();
        wipe(&mut block, &[12 + used * 12..end, behind..whole]);
        if block != before {
            if sb.has_metadata_csum() {
                let sum = crc32c(inode.seed(sb), block.get(..end).unwrap_or_default());
                put_u32(&mut block, end, sum);
            }
            wiper.replace(place.start, &block)?;
            report.map_nodes += 1;
        }
    }
    Ok(())
}
