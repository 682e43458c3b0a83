//! Which live file a byte of the root file system belongs to. Walks the whole tree once: for when something was found
//! that should not be there.

use std::collections::HashSet;

use super::ext4::Superblock;
use super::ext4::groups::Groups;
use super::ext4::inode::Inode;
use super::ext4::mapping::Mapping;
use super::path::ImagePath;
use super::rootfs::RootFs;
use super::tree::FsError;
use crate::units::ByteOffset;

const ROOT_INODE: u32 = 2;

/// The blocks of all live files of a root file system.
pub struct FileBlocks {
    block_bytes: u64,
    /// First block, how many, and whose: sorted, and of a sound file system without overlaps.
    runs: Vec<(u64, u64, usize)>,
    paths: Vec<ImagePath>,
}

impl FileBlocks {
    /// Reads which blocks are whose. What cannot be read is passed over: its blocks then belong to no file, which is the
    /// stricter answer.
    ///
    /// # Errors
    /// Where the file system cannot be read at all.
    pub fn of(root: &RootFs) -> Result<FileBlocks, FsError> {
        let window = root.window();
        let sb = Superblock::read_clean(&window)?;
        let groups = Groups::read(&window, &sb)?;
        let mut found = FileBlocks { block_bytes: sb.block_size(), runs: Vec::new(), paths: Vec::new() };
        root.with(|fs| {
            let mut ahead = vec![(ImagePath::root(), ROOT_INODE)];
            let mut seen = HashSet::new();
            while let Some((path, number)) = ahead.pop() {
                // Of a file with several names one is enough, and a directory with two would be walked for ever.
                if !seen.insert(number) {
                    continue;
                }
                for entry in fs.read_dir_ino(number).unwrap_or_default() {
                    // `.` and `..` are no names in a path.
                    if let Ok(below) = path.join(&entry.name) {
                        ahead.push((below, entry.inode));
                    }
                }
                let mapping = Inode::read(&window, &sb, &groups, number)
                    .and_then(|inode| Mapping::of(&window, &sb, &inode))
                    .unwrap_or_default();
                let whose = found.paths.len();
                found.runs.extend(mapping.extents.iter().map(|extent| (extent.physical, extent.count, whose)));
                found.paths.push(path);
            }
            Ok(())
        })?;
        found.runs.sort_unstable();
        Ok(found)
    }

    /// The regular file (or directory, or long symlink) whose content has the byte at `at` of the partition; `None`
    /// where no live inode maps its block.
    pub fn file_at(&self, at: ByteOffset) -> Option<&ImagePath> {
        let block = at.0.checked_div(self.block_bytes)?;
        let before = self.runs.partition_point(|(first, ..)| *first <= block);
        let (first, count, whose) = self.runs.get(before.checked_sub(1)?)?;
        (block - first < *count).then(|| self.paths.get(*whose)).flatten()
    }
}
