//! Which bytes of a partition carry meaning. The rest is never read, written or verified on a card.

use super::FsError;
use super::ext4::Superblock;
use super::ext4::groups::Groups;
use super::fat::FatVolume;
use super::probe;
use crate::image::{ReadAt, VolumeKind};
use crate::units::{ByteRange, ByteSize};

/// The header of a swap area is one page; no machine that Linux runs on has larger ones.
const SWAP_HEADER: u64 = 64 << 10;

/// The ranges of the partition `window` that carry meaning, sorted, merged, counted from its start. In ext4 these are
/// the blocks that the bitmaps call used (computed where a bitmap was never written), in FAT the reserved sectors, the
/// tables, the root directory and all clusters in use. Of another kind of file system, everything is.
///
/// # Errors
/// [`FsError::Corrupt`], [`FsError::Unsupported`] for an ext4 that cardsmith does not understand, [`FsError::Io`].
pub fn used_ranges(window: &dyn ReadAt) -> Result<Vec<ByteRange>, FsError> {
    match probe::kind_of(window)? {
        kind if kind.is_ext() => ext4_ranges(window),
        kind if kind.is_fat() => fat_ranges(window),
        VolumeKind::Empty => Ok(Vec::new()),
        _ => Ok(vec![ByteRange::new(0, window.size().0)]),
    }
}

/// What of the partition `window` carries meaning where it is none that cardsmith edits and nobody checked it. Of one whose
/// file system does not say for certain what is in use, everything does, zeros as well.
///
/// # Errors
/// [`FsError::Io`].
pub fn used_if_known(window: &dyn ReadAt) -> Result<Vec<ByteRange>, FsError> {
    let used = match probe::kind_of(window)? {
        // Only a clean one: before a journal is replayed, the bitmaps are not the last word.
        kind if kind.is_ext() => Superblock::read_clean(window).and_then(|_| ext4_ranges(window)),
        kind if kind.is_fat() => fat_ranges(window),
        // What was swapped out means nothing to any other boot; only the header does (mkswap(8)).
        VolumeKind::Swap => Ok(vec![ByteRange::new(0, SWAP_HEADER.min(window.size().0))]),
        _ => Ok(vec![ByteRange::new(0, window.size().0)]),
    };
    match used {
        // A medium that cannot be read is an error. What is not understood is only copied whole.
        Err(FsError::Io { doing, source }) => Err(FsError::Io { doing, source }),
        Err(_) => Ok(vec![ByteRange::new(0, window.size().0)]),
        Ok(used) => Ok(used),
    }
}

fn ext4_ranges(window: &dyn ReadAt) -> Result<Vec<ByteRange>, FsError> {
    let sb = Superblock::read(window)?;
    let groups = Groups::read(window, &sb)?;
    let mut ranges = Vec::new();
    // With 1 KiB blocks, the boot block lies before the first group and in no bitmap.
    add(&mut ranges, 0, u64::from(sb.first_data_block) * sb.block_size());
    for group in 0..sb.groups {
        let bitmap = groups.block_bitmap(window, &sb, group)?;
        for (first, count) in bitmap.ranges(sb.group_blocks(group), true) {
            let start = (sb.group_start(group) + u64::from(first)) * sb.block_size();
            add(&mut ranges, start, u64::from(count) * sb.block_size());
        }
    }
    Ok(ranges)
}

fn fat_ranges(window: &dyn ReadAt) -> Result<Vec<ByteRange>, FsError> {
    let volume = FatVolume::read(window)?;
    let mut ranges = Vec::new();
    add(&mut ranges, 0, volume.data_start);
    // Clusters count from 2: the first two entries of a FAT hold the media byte and flags.
    for cluster in (2..volume.clusters.saturating_add(2)).filter(|&cluster| volume.entry(cluster) != 0) {
        // A bad cluster is not free, but to read it may fail.
        if let Some(place) = volume.place(cluster).filter(|_| volume.entry(cluster) != volume.bad_mark()) {
            add(&mut ranges, place.start.0, place.len.0);
        }
    }
    Ok(ranges)
}

fn add(ranges: &mut Vec<ByteRange>, start: u64, len: u64) {
    match ranges.last_mut() {
        _ if len == 0 => {}
        Some(last) if last.end().0 == start => last.len = ByteSize(last.len.0 + len),
        _ => ranges.push(ByteRange::new(start, len)),
    }
}
