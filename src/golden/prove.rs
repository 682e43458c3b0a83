//! What must be true of an image after edits, checked by readers that did not write it.

use std::collections::{BTreeMap, BTreeSet};

use super::editable::EditableImage;
use super::error::GoldenError;
use super::startable::{self, Part};
use crate::digest::Sha256Digest;
use crate::fs::reread::{self, Expect};
use crate::fs::{ImagePath, Tree};
use crate::prepare::{Change, Content, Plan, Volume};

/// Runs every check on the partitions of `opened` after `plan` was applied to them. `had` is what the base image had of
/// what a card needs to start. Returns what was checked, in words.
///
/// # Errors
/// [`GoldenError::Check`] with what a check said, [`GoldenError::Unbootable`] where no card would start.
pub fn prove(opened: &EditableImage, plan: &Plan, had: &BTreeSet<Part>) -> Result<Vec<String>, GoldenError> {
    let mut passed = read_again(opened, plan)?;
    passed.push(starts(opened, had)?);
    let root = opened.window(&opened.root_partition)?;

    // Two opinions on the whole file system. The own check knows what cardsmith's writer could get wrong and is always
    // there; e2fsck knows everything else, and is not installed everywhere.
    crate::fs::check::check(root.clone()).map_err(|what| failed("consistency", what.to_string()))?;
    passed.push("own consistency check of the root file system: clean".to_owned());

    if crate::fs::e2fsck::check(&*root).map_err(|what| failed("e2fsck -fn", what.to_string()))?.is_some() {
        passed.push("e2fsck -fn: clean".to_owned());
    }
    let boot = opened.window(&opened.boot_partition)?;
    if crate::fs::fsck_fat::check(&*boot).map_err(|what| failed("fsck.fat -n", what.to_string()))? {
        passed.push("fsck.fat -n: clean".to_owned());
    }
    Ok(passed)
}

/// An image that is sound in every block is none all the same where nothing would start.
fn starts(opened: &EditableImage, had: &BTreeSet<Part>) -> Result<String, GoldenError> {
    let has =
        startable::parts(&opened.root, &opened.boot).map_err(|error| failed("what starts it", error.to_string()))?;
    let lost: BTreeSet<Part> = had.difference(&has).copied().collect();
    match lost.is_empty() {
        true => Ok(format!("it has what a card needs to start: {}", startable::listed(&has))),
        false => Err(GoldenError::Unbootable { missing: startable::listed(&lost) }),
    }
}

/// The checks for one card's few edits: what was written is read again by others. The whole of the file system was
/// checked with the golden image.
///
/// # Errors
/// As [`prove`].
pub fn prove_card(opened: &EditableImage, plan: &Plan) -> Result<(), GoldenError> {
    read_again(opened, plan).map(drop)
}

fn read_again(opened: &EditableImage, plan: &Plan) -> Result<Vec<String>, GoldenError> {
    let root = opened.window(&opened.root_partition)?;
    let mut passed = Vec::new();

    // Not by the writer's own code: a mistake in how it lays out a file would be read back as cleverly as it was made.
    let expected = expectations(plan, Volume::Root);
    reread::verify(root.clone(), &expected)
        .map_err(|what| failed("ext4 read again by another reader", what.to_string()))?;
    passed.push(format!("ext4-view read {} edited paths of the root file system as planned", expected.len()));

    let expected = expectations(plan, Volume::Boot);
    for (path, expect) in &expected {
        check_boot_path(&opened.boot, path, expect).map_err(|what| failed("FAT read again", what))?;
    }
    passed.push(format!("{} edited paths of the boot file system read as planned", expected.len()));

    Ok(passed)
}

fn failed(check: &'static str, what: String) -> GoldenError {
    GoldenError::Check { check, what }
}

/// What each edited path must be in the end: the last edit of a path has the word, and a removal also speaks for
/// what was proposed below it before.
pub fn expectations(plan: &Plan, volume: Volume) -> Vec<(ImagePath, Expect)> {
    let mut last: BTreeMap<ImagePath, Expect> = BTreeMap::new();
    for edit in plan.edits.iter().filter(|edit| edit.volume == volume) {
        let expect = match &edit.change {
            Change::Remove => {
                // Otherwise a file that a later step removed with its directory would be missed.
                last.retain(|path, _| !path.is_within(&edit.path));
                Expect::Absent
            }
            Change::Write { content, attributes } => {
                let sha256 = match content {
                    Content::Bytes(bytes) => Sha256Digest::of(bytes),
                    Content::Secret(bytes) => Sha256Digest::of(bytes),
                    Content::HostFile { sha256, .. } => *sha256,
                };
                Expect::File { sha256, size: content.size(), attributes: *attributes }
            }
            Change::Directory { attributes } => Expect::Directory { attributes: *attributes },
            Change::Symlink { target } => Expect::Symlink { target: target.clone() },
            Change::Attributes { attributes } => match last.get(&edit.path) {
                Some(Expect::File { sha256, size, .. }) => {
                    Expect::File { sha256: *sha256, size: *size, attributes: *attributes }
                }
                // The plan does not say what the base image's file holds, so nothing can be said of its content.
                _ => Expect::Attributes { attributes: *attributes },
            },
        };
        last.insert(edit.path.clone(), expect);
    }
    last.into_iter().collect()
}

fn check_boot_path(boot: &dyn Tree, path: &ImagePath, expect: &Expect) -> Result<(), String> {
    let stat = boot.stat(path).map_err(|e| e.to_string())?;
    match (expect, stat) {
        (Expect::Absent, None) => Ok(()),
        (Expect::Absent, Some(_)) => Err(format!("{path} is still there")),
        (_, None) => Err(format!("{path} is missing")),
        (Expect::File { sha256, size, .. }, Some(_)) => {
            let content = boot.read(path, *size).map_err(|e| e.to_string())?;
            match Sha256Digest::of(&content) == *sha256 {
                true => Ok(()),
                false => Err(format!("{path} does not hold what was written")),
            }
        }
        // FAT has neither owners nor links, and directories are there for the files in them.
        _ => Ok(()),
    }
}
