//! Which bytes of an edited image carry meaning: the table, what the file systems use, gaps that boot code may use, and
//! partitions that cardsmith does not know.

use std::io;

use super::editable::EditableImage;
use super::error::GoldenError;
use crate::fs::blockmap::{used_if_known, used_ranges};
use crate::image::zeros::all_zeros;
use crate::image::{ReadAt, TableKind};
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// So much is looked at together.
const BLOCK: u64 = 4096;

/// All runs that must be on a card, in no particular order; the block map sorts and merges them.
///
/// What is written is written with its zeros. A boot loader that ends in zeros is not the same with what a card held
/// before in their place, so a gap that holds anything is there whole, and so is a partition of which nothing is known.
///
/// # Errors
/// Where a file system's maps cannot be read.
pub fn mapped_runs(opened: &EditableImage) -> Result<Vec<ByteRange>, GoldenError> {
    let io = |source| GoldenError::Io { doing: "read the edited image".to_owned(), source };
    let image: &dyn ReadAt = &*opened.overlay;
    let (head, tail) = table(opened);
    // The partition table is always there, and the last thing that is written.
    let mut runs = vec![head, tail];
    for gap in gaps(opened) {
        // One block that holds anything is enough: then all of the gap goes onto the card.
        if data_runs(image, gap).next().transpose().map_err(io)?.is_some() {
            runs.push(gap);
        }
    }
    for partition in &opened.table.partitions {
        let window = opened.window(partition)?;
        let edited = [&opened.boot_partition, &opened.root_partition].iter().any(|p| p.number == partition.number);
        // Of a stranger's partition less is known, and what is not known counts as used.
        let used = if edited { used_ranges(&window) } else { used_if_known(&window) };
        let used = used.map_err(|source| GoldenError::Fs {
            image: "the edited image".to_owned(),
            doing: "read which blocks its file systems use",
            source,
        })?;
        let start = partition.range.start.0;
        runs.extend(used.into_iter().map(|run| ByteRange { start: ByteOffset(start + run.start.0), len: run.len }));
    }
    Ok(runs)
}

/// Runs of bytes between partitions that hold anything, apart from the partition table itself: for the report, and for
/// `[strip] gaps = true`.
///
/// # Errors
/// The image's read errors.
pub fn gaps_with_data(opened: &EditableImage) -> io::Result<Vec<ByteRange>> {
    gaps(opened).into_iter().flat_map(|gap| data_runs(&*opened.overlay, gap)).collect()
}

/// The partition table at the beginning and, of GPT, its copy at the end.
fn table(opened: &EditableImage) -> (ByteRange, ByteRange) {
    // MBR: one sector. GPT: protective MBR, header and 32 sectors of entries; header and entries again at the end.
    let (head, tail) = match opened.table.kind {
        TableKind::Mbr => (512, 0),
        TableKind::Gpt => (34 * 512, 33 * 512),
    };
    let size = opened.overlay.size().0;
    (ByteRange::new(0, head.min(size)), ByteRange::new(size.saturating_sub(tail), tail.min(size)))
}

/// What lies between the table and the partitions, in order.
fn gaps(opened: &EditableImage) -> Vec<ByteRange> {
    let (head, tail) = table(opened);
    let mut partitions: Vec<_> = opened.table.partitions.iter().map(|partition| partition.range).collect();
    // A table may list them in another order than they lie in.
    partitions.sort_unstable();
    let (mut gaps, mut behind) = (Vec::new(), head.end().0);
    for range in partitions.into_iter().chain([ByteRange { start: tail.start, len: tail.len }]) {
        gaps.push(ByteRange::new(behind, range.start.0.saturating_sub(behind)));
        // The farthest end so far: ranges may lie inside one another.
        behind = behind.max(range.end().0);
    }
    gaps.retain(|gap| !gap.is_empty());
    gaps
}

/// The blocks of `range` that are not all zeros.
fn data_runs(image: &dyn ReadAt, range: ByteRange) -> impl Iterator<Item = io::Result<ByteRange>> {
    let mut at = range.start;
    let mut buffer = [0; BLOCK as usize];
    std::iter::from_fn(move || {
        loop {
            let run = match image.next_data(at) {
                Ok(run) => run?.intersect(&range)?,
                Err(error) => {
                    // Nothing comes after an error: the same place would be asked for ever.
                    at = range.end();
                    return Some(Err(error));
                }
            };
            // To the edge of the block, so that all that follow are aligned.
            let len = (BLOCK - run.start.0 % BLOCK).min(run.len.0);
            let block = ByteRange { start: run.start, len: ByteSize(len) };
            at = block.end();
            let bytes = buffer.get_mut(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
            match image.read_at(block.start, bytes) {
                Ok(()) if all_zeros(bytes) => {}
                Ok(()) => return Some(Ok(block)),
                Err(error) => {
                    at = range.end();
                    return Some(Err(error));
                }
            }
        }
    })
}
