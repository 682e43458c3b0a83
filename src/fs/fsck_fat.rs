//! `fsck.fat` of dosfstools, where it is installed: a judge of the boot file system that shares no code with us.

use super::FsError;
use super::blockmap::used_ranges;
use super::fat::walk::directory_places;
use super::fat::{FatTree, FatVolume};
use super::private_copy::{PrivateCopy, in_one_line, program};
use crate::image::ReadAt;
use crate::units::ByteRange;

/// What is no damage: a label that was changed in one of its places, and a backup of the boot sector that differs from it
/// in that. Each has more about it on the lines behind.
const HARMLESS: &[&str] = &[
    "fsck.fat ",
    "Volume label ",
    "Auto-copying volume label",
    "Leaving filesystem unchanged",
    "There are differences between boot sector and its backup",
    "This is mostly harmless",
    "Not automatically fixing this",
];

/// Runs `fsck.fat -n` on the boot file system in `window`. Says whether it is installed.
///
/// # Errors
/// [`FsError::Corrupt`] with its words where it finds damage, [`FsError::NoRoom`], [`FsError::Io`].
pub fn check(window: &dyn ReadAt) -> Result<bool, FsError> {
    let Some(program) = program("fsck.fat") else { return Ok(false) };
    // Where directories cannot be walked, it shall see everything, to say what is wrong.
    let ranges = match structures(window) {
        Ok(ranges) => ranges,
        Err(_) => used_ranges(window)?,
    };
    let copy = PrivateCopy::of(window, &ranges, "copy the boot file system's structures for fsck.fat")?;
    let output = copy.judged_by(&program, "-n", &[])?;
    if output.status.code() == Some(0) {
        return Ok(true);
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let harmless = |line: &&str| is_listing(line.trim()) || HARMLESS.iter().any(|known| line.trim().starts_with(known));
    let what = in_one_line(said.lines().filter(|line| !harmless(line)));
    // Exit code 1 means that something could be corrected; what it says tells whether that is damage.
    if output.status.code() == Some(1) && what.is_empty() {
        return Ok(true);
    }
    Err(FsError::Corrupt { volume: "boot", what: format!("fsck.fat -n: {what}") })
}

/// A line that only lists differences of the backup, as `71:4f/62, 72:54/6f`.
fn is_listing(line: &str) -> bool {
    line.contains(':') && line.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'/' | b',' | b' '))
}

/// The reserved sectors, the tables and all directories: fsck.fat reads no contents of files.
fn structures(window: &dyn ReadAt) -> Result<Vec<ByteRange>, FsError> {
    let volume = FatVolume::read(window)?;
    let tree = FatTree::read(window, &volume)?;
    let directories = tree.nodes.iter().filter(|node| node.is_directory && !node.chain.is_empty());
    let mut ranges: Vec<ByteRange> = directories.flat_map(|node| directory_places(&volume, node)).collect();
    ranges.push(ByteRange::new(0, volume.data_start));
    ranges.sort_unstable_by_key(|range| range.start);
    Ok(ranges)
}
