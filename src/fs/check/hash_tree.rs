//! The hash tree of a large directory: by it Linux looks names up, so that a name in the wrong leaf is there and is not
//! found (kernel, Documentation/filesystems/ext4/directory.rst).

use std::collections::HashMap;

use fs_ext4::hash::{HashVersion, NameHash, effective_version, name_hash};

use super::damage::{corrupt, ensure};
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::checksum::crc32c;
use crate::fs::ext4::groups::read_block;
use crate::fs::ext4::inode::{INDEX_FLAG, Inode};
use crate::fs::ext4::mapping::Mapping;
use crate::fs::ext4::raw::{u16_at, u32_at};
use crate::image::ReadAt;

/// Behind `.` and `..` in the first block: `dx_root_info`, and behind it the entries.
const INFO_AT: usize = 0x18;
const ROOT_LIST_AT: usize = 0x20;
/// Behind an unused entry that covers the block.
const NODE_LIST_AT: usize = 8;
/// `dx_entry`: a hash, and the number of a block of the directory.
const ENTRY: usize = 8;
/// `EXT2_FLAGS_UNSIGNED_HASH` of `s_flags`.
const UNSIGNED_HASH: u32 = 2;
/// What hashing begins with where `s_hash_seed` is all zeros: the initial state of MD4.
const DEFAULT_SEED: [u32; 4] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476];

/// The hashes that the names of one leaf have or may have.
#[derive(Clone, Copy)]
struct Hashes {
    least: u32,
    most: u32,
}

/// A directory's hash tree, and what was found in its leaves.
pub(super) struct HashTree {
    directory: u32,
    version: HashVersion,
    seed: [u32; 4],
    /// By block of the directory: blocks of the tree itself have no hashes of names.
    allowed: HashMap<u64, Option<Hashes>>,
    found: HashMap<u64, Hashes>,
}

impl HashTree {
    /// `None` where the directory has none.
    ///
    /// # Errors
    /// [`FsError::Corrupt`] for a tree that Linux would not go through.
    pub(super) fn read(
        window: &dyn ReadAt,
        sb: &Superblock,
        inode: &Inode,
        mapping: &Mapping,
    ) -> Result<Option<HashTree>, FsError> {
        let root = mapping.extents.first().filter(|_| inode.flags() & INDEX_FLAG != 0);
        let Some(root) = root else { return Ok(None) };
        let block = read_block(window, sb, root.physical)?;
        let wrong = || corrupt(format!("the hash tree of directory inode {} cannot be", inode.number));
        // `hash_version` and `info_length`, `indirect_levels` and `unused_flags`, after four bytes of zeros.
        let [version, length] = u16_at(&block, INFO_AT + 4).to_le_bytes();
        let [levels, flags] = u16_at(&block, INFO_AT + 6).to_le_bytes();
        let version = HashVersion::from_u8(version).filter(|version| !version.is_unsigned()).ok_or_else(wrong)?;
        // More levels need `large_dir`, which is refused.
        if u32_at(&block, INFO_AT) != 0 || length != 8 || levels > 1 || flags & 1 != 0 {
            return Err(wrong());
        }
        let seed = [0xEC, 0xF0, 0xF4, 0xF8].map(|at| u32_at(&sb.raw, at));
        let mut tree = HashTree {
            directory: inode.number,
            version: effective_version(version, u32_at(&sb.raw, 0x160) & UNSIGNED_HASH != 0),
            seed: if seed == [0; 4] { DEFAULT_SEED } else { seed },
            allowed: HashMap::from([(0, None)]),
            found: HashMap::new(),
        };
        let all = Hashes { least: 0, most: u32::MAX };
        for (child, hashes) in children(sb, inode, &block, ROOT_LIST_AT, all)? {
            if levels == 0 {
                tree.allow(child, Some(hashes))?;
                continue;
            }
            tree.allow(child, None)?;
            let node = read_block(window, sb, physical(mapping, child).ok_or_else(wrong)?)?;
            for (leaf, hashes) in children(sb, inode, &node, NODE_LIST_AT, hashes)? {
                tree.allow(leaf, Some(hashes))?;
            }
        }
        Ok(Some(tree))
    }

    fn allow(&mut self, block: u64, hashes: Option<Hashes>) -> Result<(), FsError> {
        let twice = self.allowed.insert(block, hashes).is_some();
        ensure(!twice, || format!("the hash tree of directory inode {} leads to a block twice", self.directory))
    }

    /// Whether a block of the directory belongs to the tree itself.
    pub(super) fn is_index(&self, block: u64) -> bool {
        matches!(self.allowed.get(&block), Some(None))
    }

    /// Notes a name in a leaf.
    pub(super) fn holds(&mut self, block: u64, name: &[u8]) {
        let NameHash { major, .. } = name_hash(name, self.version, &self.seed);
        let hashes = self.found.entry(block).or_insert(Hashes { least: major, most: major });
        *hashes = Hashes { least: hashes.least.min(major), most: hashes.most.max(major) };
    }

    /// Whether the tree leads to every block of the directory, and each name is where its hash leads.
    ///
    /// # Errors
    /// [`FsError::Corrupt`].
    pub(super) fn compare(&self, mapping: &Mapping) -> Result<(), FsError> {
        let blocks: u64 = mapping.extents.iter().map(|extent| extent.count).sum();
        let all = self.allowed.len() as u64 == blocks && (0..blocks).all(|block| self.allowed.contains_key(&block));
        ensure(all, || format!("the hash tree of directory inode {} does not lead to all of it", self.directory))?;
        for (block, found) in &self.found {
            let fits = match self.allowed.get(block) {
                Some(Some(allowed)) => found.least >= allowed.least && found.most <= allowed.most,
                _ => false,
            };
            ensure(fits, || format!("directory inode {} has a name where its hash does not lead", self.directory))?;
        }
        Ok(())
    }
}

/// The blocks that a block of the tree leads to, each with the hashes of the names in it.
fn children(
    sb: &Superblock,
    inode: &Inode,
    block: &[u8],
    list_at: usize,
    within: Hashes,
) -> Result<Vec<(u64, Hashes)>, FsError> {
    let wrong = || corrupt(format!("a block of the hash tree of directory inode {} cannot be", inode.number));
    let list = block.get(list_at..).ok_or_else(wrong)?;
    let tail = if sb.has_metadata_csum() { 8 } else { 0 };
    // `limit` and `count` stand in place of the first entry's hash.
    let (limit, count) = (usize::from(u16_at(list, 0)), usize::from(u16_at(list, 2)));
    if limit != (list.len() - tail) / ENTRY || count == 0 || count > limit {
        return Err(wrong());
    }
    if sb.has_metadata_csum() {
        // The entries in use, then `dt_reserved`; `dt_checksum` behind it counts as zeros.
        let tail = list.get(limit * ENTRY..).unwrap_or_default();
        let used = block.get(..list_at + count * ENTRY).unwrap_or_default();
        let sum = [used, tail.get(..4).unwrap_or_default(), &[0; 4]]
            .iter()
            .fold(inode.seed(sb), |sum, part| crc32c(sum, part));
        ensure(sum == u32_at(tail, 4), || {
            format!("a block of the hash tree of directory inode {} does not match its checksum", inode.number)
        })?;
    }
    let entries: Vec<(u32, u64)> = list
        .chunks_exact(ENTRY)
        .take(count)
        .enumerate()
        // The lowest bit says that names with the hash before it go on here; the upper bits of a number are reserved.
        .map(|(n, entry)| (if n == 0 { within.least } else { u32_at(entry, 0) & !1 }, u64::from(u32_at(entry, 4))))
        .collect();
    if entries.windows(2).any(|pair| matches!(pair, [a, b] if a.0 > b.0)) {
        return Err(wrong());
    }
    let ends = entries.iter().skip(1).map(|entry| entry.0).chain([within.most]);
    Ok(entries.iter().zip(ends).map(|(&(least, child), most)| (child & 0x0FFF_FFFF, Hashes { least, most })).collect())
}

fn physical(mapping: &Mapping, logical: u64) -> Option<u64> {
    let extent = mapping.extents.iter().find(|e| (e.logical..e.logical + e.count).contains(&logical))?;
    Some(extent.physical + (logical - extent.logical))
}
