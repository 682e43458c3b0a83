//! `e2fsck` of e2fsprogs, where it is installed: a judge that shares no code with us.
//!
//! It gets a private sparse copy of what it looks at, as a file of its own: after a journal replay it cannot
//! open an image at an offset again, and an overlay is no file at all.

use std::process::Output;

use super::FsError;
use super::blockmap::used_ranges;
use super::ext4::Superblock;
use super::ext4::groups::Groups;
use super::ext4::inode::{InodeKind, walk_table};
use super::ext4::mapping::Mapping;
use super::private_copy::{PrivateCopy, in_one_line, program};
use crate::image::ReadAt;
use crate::printable::Printable;
use crate::units::ByteRange;

/// The program's name.
pub(super) const PROGRAM: &str = "e2fsck";

/// What e2fsck said.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Its first line: name and version.
    pub version: String,
}

/// Runs `e2fsck -fn` on the root file system in `window`. `None` where e2fsck is not installed.
///
/// # Errors
/// [`FsError::Corrupt`] with e2fsck's words where it finds anything, [`FsError::NoRoom`], [`FsError::Io`].
pub fn check(window: &dyn ReadAt) -> Result<Option<Verdict>, FsError> {
    let Some(program) = program(PROGRAM) else { return Ok(None) };
    // Where the structures cannot be walked, e2fsck shall see everything, to say what is wrong.
    let ranges = match structures(window) {
        Ok(ranges) => ranges,
        Err(_) => used_ranges(window)?,
    };
    let copy = PrivateCopy::of(window, &ranges, "copy the root file system's structures for e2fsck")?;
    let output = copy.judged_by(&program, "-fn", &[])?;
    // 0 is the only code that means "nothing was wrong" (e2fsck(8)).
    match output.status.code() {
        Some(0) => Ok(Some(Verdict { version: first_line(&output.stderr) })),
        _ => Err(FsError::Corrupt { volume: "root", what: format!("e2fsck -fn: {}", words(&output)) }),
    }
}

/// What it said, without the lines that only count, as one line.
pub(crate) fn words(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout);
    in_one_line(said.lines().filter(|line| !line.trim_start().starts_with("Pass ")))
}

fn first_line(bytes: &[u8]) -> String {
    Printable::of(bytes.split(|&b| b == b'\n').next().unwrap_or_default()).to_string()
}

/// The used ranges without the contents of files, which e2fsck does not read: some MiB instead of some GiB.
fn structures(window: &dyn ReadAt) -> Result<Vec<ByteRange>, FsError> {
    let sb = Superblock::read(window)?;
    let groups = Groups::read(window, &sb)?;
    let mut contents: Vec<ByteRange> = Vec::new();
    for group in 0..sb.groups {
        let used = groups.inode_bitmap(window, &sb, group)?;
        walk_table(window, &sb, &groups, group, sb.inodes_per_group, &used, &mut |inode, in_use, _| {
            let journal = inode.number == sb.journal_inode;
            // The other reserved inodes and the orphan file are structures, whose blocks e2fsck reads.
            let plain = inode.number >= sb.first_inode && inode.number != sb.orphan_file_inode;
            if in_use && inode.kind() == InodeKind::File && (journal || plain) {
                // The journal's superblock is looked at, the journal is not: it is empty.
                let kept = u64::from(journal);
                for extent in Mapping::of(window, &sb, inode)?.extents {
                    let skipped = kept.saturating_sub(extent.logical).min(extent.count);
                    let start = (extent.physical + skipped) * sb.block_size();
                    contents.push(ByteRange::new(start, (extent.count - skipped) * sb.block_size()));
                }
            }
            Ok(())
        })?;
    }
    // Inodes come in the order of their numbers, their blocks in any.
    contents.sort_unstable_by_key(|range| range.start);
    Ok(without(&used_ranges(window)?, &contents))
}

/// What of `ranges` lies in none of `holes`; both sorted.
fn without(ranges: &[ByteRange], holes: &[ByteRange]) -> Vec<ByteRange> {
    let mut left = Vec::new();
    let mut holes = holes.iter().peekable();
    for range in ranges {
        let mut at = range.start.0;
        let end = range.end().0;
        while at < end {
            // Ranges only go forward, so a hole that was passed never comes back.
            while holes.next_if(|hole| hole.end().0 <= at).is_some() {}
            let (gap_end, next) = match holes.peek() {
                Some(hole) => (hole.start.0.clamp(at, end), hole.end().0.min(end)),
                None => (end, end),
            };
            if gap_end > at {
                left.push(ByteRange::new(at, gap_end - at));
            }
            at = next.max(gap_end);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_cut_out_wherever_they_lie() {
        let range = |start, end| ByteRange::new(start, end - start);
        let ranges = [range(0, 10), range(20, 30), range(40, 50)];
        let cut = |holes: &[ByteRange]| without(&ranges, holes);
        assert_eq!(cut(&[]), ranges);
        assert_eq!(cut(&[range(0, 50)]), []);
        assert_eq!(cut(&[range(5, 25)]), [range(0, 5), range(25, 30), range(40, 50)]);
        assert_eq!(cut(&[range(2, 4), range(6, 8), range(20, 21)]).len(), 5);
        assert_eq!(cut(&[range(10, 20), range(30, 45)]), [range(0, 10), range(20, 30), range(45, 50)]);
    }
}
