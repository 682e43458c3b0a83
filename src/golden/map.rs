//! Which bytes of an edited image carry meaning: the table, what the file systems use, and whatever stands in gaps and
//! in partitions that cardsmith does not know.

use std::io;

use super::error::GoldenError;
use super::layout::Opened;
use crate::fs::blockmap::used_ranges;
use crate::image::{ByteOffset, ByteRange, ReadAt, TableKind};

/// All runs that must be on a card, in no particular order; the block map sorts and merges them.
///
/// # Errors
/// Where a file system's maps cannot be read.
pub fn mapped_runs(opened: &Opened) -> Result<Vec<ByteRange>, GoldenError> {
    let io = |source| GoldenError::Io { doing: "read the edited image".to_owned(), source };
    let image: &dyn ReadAt = &*opened.overlay;
    let mut runs = Vec::new();
    let mut behind = 0;
    let mut partitions: Vec<_> = opened.table.partitions.iter().collect();
    partitions.sort_unstable_by_key(|partition| partition.range.start);
    for partition in partitions {
        let start = partition.range.start.0;
        data_within(image, ByteRange::new(behind, start.saturating_sub(behind)), &mut runs).map_err(io)?;
        behind = behind.max(partition.range.end().0);
        let known = [&opened.boot_partition, &opened.root_partition].iter().any(|p| p.number == partition.number);
        if !known {
            data_within(image, partition.range, &mut runs).map_err(io)?;
            continue;
        }
        let used = used_ranges(&opened.window(partition)?).map_err(|source| GoldenError::Fs {
            image: "the edited image".to_owned(),
            doing: "read which blocks its file systems use",
            source,
        })?;
        runs.extend(used.into_iter().map(|run| ByteRange { start: ByteOffset(start + run.start.0), len: run.len }));
    }
    let end = image.size().0;
    data_within(image, ByteRange::new(behind, end.saturating_sub(behind)), &mut runs).map_err(io)?;
    // The first sector is the partition table; it is always there, and the last thing that is written.
    runs.push(ByteRange::new(0, 512));
    Ok(runs)
}

/// The blocks of `range` that are not all zeros: gaps hold boot loaders on some boards, and the backup GPT.
fn data_within(image: &dyn ReadAt, range: ByteRange, runs: &mut Vec<ByteRange>) -> io::Result<()> {
    const BLOCK: u64 = 4096;
    let mut buffer = [0; BLOCK as usize];
    let mut at = range.start;
    while let Some(run) = image.next_data(at)?.and_then(|run| run.intersect(&range)) {
        let mut place = run.start.0;
        while place < run.end().0 {
            let n = (BLOCK - place % BLOCK).min(run.end().0 - place);
            let part = buffer.get_mut(..n as usize).unwrap_or_default();
            image.read_at(ByteOffset(place), part)?;
            if part.iter().any(|&b| b != 0) {
                runs.push(ByteRange::new(place, n));
            }
            place += n;
        }
        at = run.end();
    }
    Ok(())
}

/// Runs of bytes between partitions that hold anything, apart from the partition table itself: for the report, and for
/// `[strip] gaps = true`.
///
/// # Errors
/// The image's read errors.
pub fn gaps_with_data(opened: &Opened) -> io::Result<Vec<ByteRange>> {
    let image: &dyn ReadAt = &*opened.overlay;
    let mut partitions: Vec<_> = opened.table.partitions.iter().map(|partition| partition.range).collect();
    partitions.sort_unstable();
    // MBR: one sector. GPT: protective MBR, header and 32 sectors of entries; header and entries again at the end.
    let (head, tail) = match opened.table.kind {
        TableKind::Mbr => (512, 0),
        TableKind::Gpt => (34 * 512, 33 * 512),
    };
    let (mut runs, mut behind) = (Vec::new(), head);
    for range in partitions.into_iter().chain([ByteRange::new(image.size().0.saturating_sub(tail), 0)]) {
        data_within(image, ByteRange::new(behind, range.start.0.saturating_sub(behind)), &mut runs)?;
        behind = behind.max(range.end().0);
    }
    Ok(runs)
}
