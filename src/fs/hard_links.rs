//! Files of the root file system that have several names.

use std::collections::{HashMap, HashSet};

use fs_ext4::Filesystem;
use fs_ext4::dir::DirEntryType;

use super::ext4::lookup::{ROOT_INODE, entries_of, inode};
use super::path::ImagePath;
use super::tree::{FsError, HardLinks};

/// Every name of each regular file that has several. Two walks: the first counts names, so that the second one need
/// remember the paths of those alone, which are few.
pub(super) fn find(fs: &Filesystem) -> Result<HardLinks, FsError> {
    let mut counts: HashMap<u32, u32> = HashMap::new();
    walk(fs, &mut |number, _| {
        *counts.entry(number).or_default() += 1;
        Ok(())
    })?;
    counts.retain(|_, names| *names > 1);
    let mut found = HardLinks::new();
    if !counts.is_empty() {
        walk(fs, &mut |number, path| {
            if counts.contains_key(&number) {
                found.entry(number).or_default().push(path()?);
            }
            Ok(())
        })?;
    }
    found.values_mut().for_each(|names| names.sort());
    Ok(found)
}

type NameOf<'p> = &'p dyn Fn() -> Result<ImagePath, FsError>;

/// Looks at each name of a regular file. Of a directory that a damaged tree names twice, once.
fn walk(fs: &Filesystem, look: &mut dyn FnMut(u32, NameOf<'_>) -> Result<(), FsError>) -> Result<(), FsError> {
    let (mut ahead, mut seen) = (vec![(ImagePath::root(), ROOT_INODE)], HashSet::from([ROOT_INODE]));
    while let Some((directory, number)) = ahead.pop() {
        for entry in entries_of(fs, number, &directory)? {
            let path = || Ok(directory.join(&entry.name)?);
            // The entry saves a look at the inode, where it tells.
            let (is_directory, is_file) = match entry.file_type {
                DirEntryType::Directory => (true, false),
                DirEntryType::RegFile => (false, true),
                DirEntryType::Unknown => {
                    let inode = inode(fs, entry.inode, &directory)?;
                    (inode.is_dir(), inode.is_file())
                }
                _ => (false, false),
            };
            if is_directory && seen.insert(entry.inode) {
                ahead.push((path()?, entry.inode));
            } else if is_file {
                look(entry.inode, &path)?;
            }
        }
    }
    Ok(())
}
