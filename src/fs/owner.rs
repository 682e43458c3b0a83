//! Which live file a byte of the root file system belongs to. Walks the whole tree: for messages about one byte only.

use std::collections::HashSet;

use fs_ext4::Filesystem;

use super::path::ImagePath;
use super::rootfs::RootFs;
use super::tree::FsError;
use crate::units::ByteOffset;

const ROOT_INODE: u32 = 2;

impl RootFs {
    /// The regular file (or directory, or long symlink) whose content has the byte at `at` of the partition; `None`
    /// where no live inode maps its block.
    ///
    /// # Errors
    /// Damage.
    pub fn file_at(&self, at: ByteOffset) -> Result<Option<ImagePath>, FsError> {
        self.with(|fs| {
            let block = at.0 / u64::from(fs.sb.block_size());
            let mut ahead = vec![(ImagePath::root(), ROOT_INODE)];
            let mut seen = HashSet::new();
            while let Some((path, number)) = ahead.pop() {
                // Of a file with several names one is enough, and a directory with two would be walked for ever.
                if !seen.insert(number) {
                    continue;
                }
                if maps(fs, number, block) {
                    return Ok(Some(path));
                }
                // What cannot be read is passed over: the answer is for a message about something else.
                for entry in fs.read_dir_ino(number).unwrap_or_default() {
                    // So is a name that cannot be in a path.
                    if let Ok(below) = path.join(&entry.name) {
                        ahead.push((below, entry.inode));
                    }
                }
            }
            Ok(None)
        })
    }
}

fn maps(fs: &Filesystem, number: u32, block: u64) -> bool {
    let Ok(inode) = fs.stat_ino(number) else { return false };
    let blocks = inode.size.div_ceil(u64::from(fs.sb.block_size()));
    // Block by block: slow, but asked only for a message.
    (0..blocks).any(|logical| matches!(fs.map_inode_logical(&inode, logical), Ok(Some(physical)) if physical == block))
}
