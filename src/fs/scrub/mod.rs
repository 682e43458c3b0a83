//! Makes what was deleted be gone as bytes: free blocks, unused inodes, slack of directories and files, unwritten
//! extents, the journal; on FAT free clusters, tails and deleted entries. It changes nothing that any file or
//! directory means, no bitmap and no count, and a second run finds nothing. Free space is punched, never written.

mod directories;
mod fat;
mod files;
mod free_blocks;
mod inodes;
mod journal;
mod report;
mod wiper;

use super::FsError;
use super::ext4::Superblock;
use super::ext4::groups::Groups;
use super::fat::{FatTree, FatVolume};
use super::probe;
use crate::image::WriteAt;
use crate::progress::Task;
use crate::units::{ByteRange, ByteSize};
pub use report::ScrubReport;
use wiper::Wiper;

/// Scrubs the whole file system in `window`, ext4 or FAT. Holes are not read.
///
/// # Errors
/// [`FsError::Corrupt`] where the file system is not consistent or has a journal to replay: what is not understood is
/// not scrubbed. [`FsError::Unsupported`], [`FsError::Io`].
pub fn scrub(window: impl WriteAt, task: &mut dyn Task) -> Result<ScrubReport, FsError> {
    scrub_with(&window, None, task)
}

/// Scrubs what lies in `touched`, ranges of the partition, sorted: enough for a card, whose base was scrubbed whole.
///
/// # Errors
/// As [`scrub`].
pub fn scrub_touched(window: impl WriteAt, touched: &[ByteRange], task: &mut dyn Task) -> Result<ScrubReport, FsError> {
    scrub_with(&window, Some(touched), task)
}

/// What of `changed`, ranges of an image, lies in its `partition`, as ranges of that partition.
pub fn inside(changed: &[ByteRange], partition: ByteRange) -> Vec<ByteRange> {
    let cut = changed.iter().filter_map(|range| range.intersect(&partition));
    cut.map(|range| ByteRange::new(range.start.0 - partition.start.0, range.len.0)).collect()
}

fn scrub_with(
    window: &dyn WriteAt,
    touched: Option<&[ByteRange]>,
    task: &mut dyn Task,
) -> Result<ScrubReport, FsError> {
    let wiper = Wiper::new(window, touched);
    match probe::kind_of(window)? {
        kind if kind.is_ext() => ext4(&wiper, task),
        _ => {
            // What is no FAT either is refused here.
            let volume = FatVolume::read(window)?;
            let tree = FatTree::read(window, &volume)?;
            fat::scrub(&wiper, &volume, &tree)
        }
    }
}

fn ext4(wiper: &Wiper<'_>, task: &mut dyn Task) -> Result<ScrubReport, FsError> {
    let sb = Superblock::read_clean(wiper.window)?;
    let groups = Groups::read(wiper.window, &sb)?;
    let mut report = ScrubReport::default();
    // The journal first: should a later step refuse, nothing was changed but copies that mean nothing.
    journal::scrub(wiper, &sb, &groups, &mut report)?;
    for group in 0..sb.groups {
        free_blocks::scrub(wiper, &sb, &groups, group, &mut report)?;
        inodes::scrub(wiper, &sb, &groups, group, &mut report)?;
        task.at(ByteSize(sb.group_start(group + 1).min(sb.blocks) * sb.block_size()));
    }
    Ok(report)
}
