//! Files by path, read from the structures of this folder alone. Stands in where `ext4-view` does not know a feature
//! (content inside inodes); like it, shares no code with the writer.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::directory::{entries, inline_places, inline_value};
use super::groups::{Groups, place_of, read_block};
use super::inode::{INLINE_FLAG, Inode, InodeKind, ROOT_INODE};
use super::mapping::Mapping;
use super::raw::u16_at;
use super::superblock::Superblock;
use crate::digest::Sha256Digest;
use crate::fs::path::ImagePath;
use crate::fs::tree::{Attributes, FsError, resolve_with};
use crate::image::ReadAt;

/// A target is never longer: a link is one block at most.
const MOST_LINK_BYTES: u64 = 4096;

/// A read-only view of an ext4.
pub struct Reader {
    window: Arc<dyn ReadAt>,
    sb: Superblock,
    groups: Groups,
}

impl Reader {
    /// Opens the ext4 in `window`.
    ///
    /// # Errors
    /// As [`Superblock::read_clean`].
    pub fn open(window: Arc<dyn ReadAt>) -> Result<Reader, FsError> {
        let sb = Superblock::read_clean(&window)?;
        let groups = Groups::read(&window, &sb)?;
        Ok(Reader { window, sb, groups })
    }

    /// The inode at `path`, whose last component is not followed; `None` where nothing is there.
    ///
    /// # Errors
    /// Damage, or a loop of links.
    pub fn find(&self, path: &ImagePath) -> Result<Option<Inode>, FsError> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return self.inode(ROOT_INODE).map(Some) };
        let parent = resolve_with(&parent, &|at: &ImagePath| match self.walk(at)? {
            Some(inode) if inode.kind() == InodeKind::Symlink => self.target(&inode).map(Some),
            _ => Ok(None),
        })?;
        match self.walk(&parent)? {
            Some(directory) => self.lookup(&directory, name),
            None => Ok(None),
        }
    }

    /// Mode and owner of an inode.
    pub fn attributes(inode: &Inode) -> Attributes {
        // `l_i_uid_high` and `l_i_gid_high` hold the upper halves.
        let wide = |low, high| u32::from(u16_at(&inode.raw, low)) | (u32::from(u16_at(&inode.raw, high)) << 16);
        Attributes { mode: u16_at(&inode.raw, 0) & 0o7777, uid: wide(2, 0x78), gid: wide(0x18, 0x7A) }
    }

    /// The digest of a file's content.
    ///
    /// # Errors
    /// Damage.
    pub fn digest(&self, inode: &Inode) -> Result<Sha256Digest, FsError> {
        let mut hasher = Sha256::new();
        self.chunks(inode, &mut |chunk| hasher.update(chunk))?;
        Ok(Sha256Digest::from_hasher(hasher))
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// Damage.
    pub fn target(&self, inode: &Inode) -> Result<Vec<u8>, FsError> {
        if inode.size() > MOST_LINK_BYTES {
            let what = format!("the link of inode {} is longer than any can be", inode.number);
            return Err(FsError::Corrupt { volume: "root", what });
        }
        let mut target = Vec::new();
        self.chunks(inode, &mut |chunk| target.extend_from_slice(chunk))?;
        Ok(target)
    }

    fn inode(&self, number: u32) -> Result<Inode, FsError> {
        Inode::read(&self.window, &self.sb, &self.groups, number)
    }

    /// Goes down a path that has no links in it.
    fn walk(&self, path: &ImagePath) -> Result<Option<Inode>, FsError> {
        let mut here = self.inode(ROOT_INODE)?;
        for name in path.components() {
            match self.lookup(&here, name)? {
                Some(next) => here = next,
                None => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    fn lookup(&self, directory: &Inode, name: &[u8]) -> Result<Option<Inode>, FsError> {
        if directory.kind() != InodeKind::Directory {
            return Ok(None);
        }
        let named_in = |block: &[u8]| -> Result<Option<u32>, FsError> {
            let found = entries(block).map_err(|what| FsError::Corrupt { volume: "root", what: what.to_owned() })?;
            // Inode 0 marks an entry that names nothing.
            let entry = found.iter().find(|entry| entry.inode != 0 && block.get(entry.name()) == Some(name));
            Ok(entry.map(|entry| entry.inode))
        };
        if directory.flags() & INLINE_FLAG != 0 {
            for place in inline_places(directory) {
                if let Some(number) = named_in(directory.raw.get(place).unwrap_or_default())? {
                    return self.inode(number).map(Some);
                }
            }
            return Ok(None);
        }
        // All blocks, not by the hash tree: the less this reader relies on, the better. Index blocks look like one
        // unused entry.
        for extent in Mapping::of(&self.window, &self.sb, directory)?.extents {
            for n in 0..extent.count {
                if let Some(number) = named_in(&read_block(&self.window, &self.sb, extent.physical + n)?)? {
                    return self.inode(number).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// Hands out the content, holes as zeros.
    fn chunks(&self, inode: &Inode, take: &mut dyn FnMut(&[u8])) -> Result<(), FsError> {
        let mut left = inode.size();
        let mut give = |chunk: &[u8]| {
            // The last block is cut at the file's size.
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            take(chunk.get(..n).unwrap_or_default());
            left -= n as u64;
            left > 0
        };
        let fast = inode.kind() == InodeKind::Symlink && inode.size() < 60;
        if inode.flags() & INLINE_FLAG != 0 || fast {
            // The first 60 bytes, and then what the attribute holds.
            give(inode.block_area());
            give(inline_value(inode).and_then(|place| inode.raw.get(place)).unwrap_or_default());
            return Ok(());
        }
        let zeros = vec![0; self.sb.block_bytes as usize];
        let mut next = 0;
        let size = self.sb.block_size();
        for extent in Mapping::of(&self.window, &self.sb, inode)?.extents {
            // What no extent covers is a hole.
            while next < extent.logical {
                if !give(&zeros) {
                    return Ok(());
                }
                next += 1;
            }
            for n in 0..extent.count {
                // Checked although it may not be read: a bad number is damage in any case.
                place_of(&self.sb, extent.physical + n)?;
                let block = if extent.unwritten {
                    zeros.clone()
                } else {
                    read_block(&self.window, &self.sb, extent.physical + n)?
                };
                if !give(&block) {
                    return Ok(());
                }
                next += 1;
            }
        }
        // Behind the last extent there may be a hole, too.
        while next < inode.size().div_ceil(size) && give(&zeros) {
            next += 1;
        }
        Ok(())
    }
}
