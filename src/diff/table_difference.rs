//! Everything outside of the two file systems: the partition table, other partitions, and the space between.

use serde::Serialize;

use super::DiffError;
use crate::image::{Partition, PartitionTable, ReadAt, TableKind};
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// Something about an image as a whole that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableDifference {
    /// `size`, `partition table`, `disk id`, `partition 2`, `bytes of partition 3`, `bytes between partitions`.
    pub what: String,
    /// In the first image; `None` where it has none.
    pub before: Option<String>,
    /// In the second image.
    pub after: Option<String>,
}

/// One image: its name for messages, its bytes and its table. `known` are the partitions whose files are compared.
pub struct WholeImage<'a> {
    /// For messages.
    pub name: &'a str,
    /// Its bytes.
    pub image: &'a dyn ReadAt,
    /// Its partition table.
    pub table: &'a PartitionTable,
    /// Numbers of the partitions whose files are compared: their bytes are not.
    pub known: [u32; 2],
}

/// Compares all that is no file.
///
/// # Errors
/// [`DiffError::Read`].
pub fn compare_outside_files(
    before: &WholeImage<'_>,
    after: &WholeImage<'_>,
) -> Result<Vec<TableDifference>, DiffError> {
    let mut found = Vec::new();
    let mut compare = |what: String, old: Option<String>, new: Option<String>| {
        if old != new {
            found.push(TableDifference { what, before: old, after: new });
        }
    };
    let exact = |whole: &WholeImage<'_>| Some(format!("{} bytes", whole.image.size().0));
    compare("size".to_owned(), exact(before), exact(after));
    compare("partition table".to_owned(), Some(before.table.kind.to_string()), Some(after.table.kind.to_string()));
    compare("disk id".to_owned(), Some(before.table.disk_id.clone()), Some(after.table.disk_id.clone()));
    // Of both: a partition may be on one side only.
    let numbers = before.table.partitions.iter().chain(&after.table.partitions).map(|partition| partition.number);
    let numbers: std::collections::BTreeSet<u32> = numbers.collect();
    for &number in &numbers {
        let told = |whole: &WholeImage<'_>| whole.table.partition(number).map(describe);
        compare(format!("partition {number}"), told(before), told(after));
    }

    for &number in &numbers {
        let range = |whole: &WholeImage<'_>| whole.table.partition(number).map(|partition| partition.range);
        let files = before.known.contains(&number) && after.known.contains(&number);
        if let (Some(a), Some(b)) = (range(before), range(after))
            // Bytes of known file systems differ after every mount; their files are compared instead.
            && !files
            && a == b
        {
            found.extend(bytes(before, after, &[a], &format!("bytes of partition {number}"))?);
        }
    }
    let (gaps, others) = (gaps(before), gaps_of(after));
    // Where a partition moved, the gaps are others and cannot be compared; that it moved was said above.
    if gaps.1 == others {
        found.extend(bytes(before, after, &gaps.0, "bytes between partitions")?);
    }
    Ok(found)
}

fn describe(partition: &Partition) -> String {
    let range = partition.range;
    format!("{}, {} bytes from {}, PARTUUID {}", partition.type_text, range.len.0, range.start.0, partition.part_uuid)
}

/// Where the partitions lie and how long the image is: gaps are compared where this is the same.
fn gaps_of(whole: &WholeImage<'_>) -> (u64, TableKind, Vec<ByteRange>) {
    let mut ranges: Vec<ByteRange> = whole.table.partitions.iter().map(|partition| partition.range).collect();
    ranges.sort_unstable();
    (whole.image.size().0, whole.table.kind, ranges)
}

/// Bytes that no partition has, without the table itself, which was compared in words: boot code of the first sector,
/// and what is between and behind the partitions.
fn gaps(whole: &WholeImage<'_>) -> (Vec<ByteRange>, (u64, TableKind, Vec<ByteRange>)) {
    let shape = gaps_of(whole);
    // The table itself: one sector, or the protective MBR, the header and 32 sectors of entries, of which a copy
    // without the MBR is at the end.
    let (head, tail) = match shape.1 {
        TableKind::Mbr => (512, 0),
        TableKind::Gpt => (34 * 512, 33 * 512),
    };
    // Boot code. Behind it are the disk id and the entries, which were compared in words.
    let mut gaps = vec![ByteRange::new(0, 440)];
    let mut behind = head;
    // An empty range at the end makes a gap of what is behind the last partition.
    let end = ByteRange::new(shape.0.saturating_sub(tail), 0);
    for range in shape.2.iter().chain([&end]) {
        gaps.push(ByteRange::new(behind, range.start.0.saturating_sub(behind)));
        behind = behind.max(range.end().0);
    }
    gaps.retain(|gap| !gap.is_empty());
    (gaps, shape)
}

/// Compares the same ranges of both images, byte by byte; what is a hole in both is not read.
fn bytes(
    before: &WholeImage<'_>,
    after: &WholeImage<'_>,
    ranges: &[ByteRange],
    what: &str,
) -> Result<Option<TableDifference>, DiffError> {
    const BLOCK: u64 = 1 << 16;
    let failed = |whole: &WholeImage<'_>| {
        let image = whole.name.to_owned();
        move |source| DiffError::Read { image, source }
    };
    let (mut one, mut other) = (vec![0; BLOCK as usize], vec![0; BLOCK as usize]);
    let (mut first, mut blocks) = (None, 0u64);
    for range in ranges {
        let mut at = range.start;
        while at < range.end() {
            let next = |whole: &WholeImage<'_>| whole.image.next_data(at).map_err(failed(whole));
            // Where neither has data, both are zeros.
            let starts = [next(before)?, next(after)?].into_iter().flatten().map(|data| data.start.max(at));
            let Some(start) = starts.min().filter(|start| *start < range.end()) else { break };
            let n = BLOCK.min(range.end().0 - start.0);
            let (Some(left), Some(right)) = (one.get_mut(..n as usize), other.get_mut(..n as usize)) else { break };
            before.image.read_at(start, left).map_err(failed(before))?;
            after.image.read_at(start, right).map_err(failed(after))?;
            if left != right {
                // The first place is told exactly, and how much differs only in blocks.
                let inside = left.iter().zip(right.iter()).position(|(a, b)| a != b).unwrap_or(0) as u64;
                first.get_or_insert(ByteOffset(start.0 + inside));
                blocks += 1;
            }
            at = ByteOffset(start.0 + n);
        }
    }
    let Some(at) = first else { return Ok(None) };
    let after = format!("differ in {blocks} blocks of {}, first at byte {}", ByteSize(BLOCK), at.0);
    Ok(Some(TableDifference { what: what.to_owned(), before: None, after: Some(after) }))
}
