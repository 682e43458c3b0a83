//! Which blocks an inode owns: by extents, or by the older block map.

use super::checksum::crc32c;
use super::groups::{Groups, read_block};
use super::inode::{EXTENTS_FLAG, INLINE_FLAG, Inode, InodeKind};
use super::raw::{halves, u16_at, u32_at};
use super::superblock::Superblock;
use crate::fs::FsError;
use crate::image::ReadAt;
use crate::units::ByteRange;

/// Neighbouring blocks of a file, whether its inode lists them as an extent or in a block map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Its first block, counted in the file.
    pub logical: u64,
    /// Its first block in the file system.
    pub physical: u64,
    /// How many blocks.
    pub count: u64,
    /// Allocated but never written: reads as zeros, whatever the blocks hold.
    pub unwritten: bool,
}

/// All blocks of an inode.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    /// Its content, by position in the file.
    pub extents: Vec<Extent>,
    /// Blocks that hold the map itself.
    pub nodes: Vec<u64>,
}

const EXTENT_MAGIC: u16 = 0xF30A;
const MOST_LEVELS: u16 = 5;
/// It has a block map and no mode.
pub const BAD_BLOCKS_INODE: u32 = 1;

impl Mapping {
    /// The blocks of `inode`.
    ///
    /// # Errors
    /// [`FsError::Corrupt`] for a map that cannot be, [`FsError::Io`].
    pub fn of(window: &dyn ReadAt, sb: &Superblock, inode: &Inode) -> Result<Mapping, FsError> {
        let mut walk = Walk { window, sb, inode, mapping: Mapping::default(), next: 0 };
        let area = inode.block_area();
        // Content in the inode owns no block.
        if inode.flags() & INLINE_FLAG != 0 {
            return Ok(walk.mapping);
        }
        if inode.flags() & EXTENTS_FLAG != 0 {
            // `eh_depth` of the root, which is in `i_block`.
            let depth = u16_at(area, 6);
            walk.extents(area, depth)?;
        } else if inode.number == BAD_BLOCKS_INODE
            || inode.kind() != InodeKind::Other && !(inode.kind() == InodeKind::Symlink && inode.size() < 60)
        {
            // Not of devices, whose number is in `i_block`, nor of short links, whose target is.
            walk.block_map(area)?;
        }
        Ok(walk.mapping)
    }
}

/// Where the file of inode `number` has data, as ranges of the file in order; neighbours are one range.
///
/// # Errors
/// As [`Mapping::of`].
pub fn data_of(window: &dyn ReadAt, number: u32) -> Result<Vec<ByteRange>, FsError> {
    let sb = Superblock::read(window)?;
    let inode = Inode::read(window, &sb, &Groups::read(window, &sb)?, number)?;
    // In the inode itself there is no room for a hole.
    if inode.flags() & INLINE_FLAG != 0 {
        return Ok(vec![ByteRange::new(0, inode.size())]);
    }
    let mut data: Vec<ByteRange> = Vec::new();
    for extent in Mapping::of(window, &sb, &inode)?.extents.iter().filter(|extent| !extent.unwritten) {
        let place = |block: u64| block.saturating_mul(sb.block_size()).min(inode.size());
        let (start, end) = (place(extent.logical), place(extent.logical.saturating_add(extent.count)));
        match data.last_mut().filter(|last| last.end().0 == start) {
            Some(last) => last.len.0 += end - start,
            None => data.push(ByteRange::new(start, end - start)),
        }
    }
    Ok(data)
}

struct Walk<'a> {
    window: &'a dyn ReadAt,
    sb: &'a Superblock,
    inode: &'a Inode,
    mapping: Mapping,
    /// The first block of the file that may come next: extents are in order, which also bounds the walk.
    next: u64,
}

impl Walk<'_> {
    fn extents(&mut self, node: &[u8], depth: u16) -> Result<(), FsError> {
        // `eh_entries` and `eh_max`.
        let (entries, most) = (usize::from(u16_at(node, 2)), usize::from(u16_at(node, 4)));
        // 12 bytes of header, and 12 for each entry.
        let room = node.len().saturating_sub(12) / 12;
        // Up to two places at the end may be left for checksums, as libext2fs has it.
        let fits = node.len() >= 12 && (room.saturating_sub(2)..=room).contains(&most) && entries <= most;
        if u16_at(node, 0) != EXTENT_MAGIC || !fits || u16_at(node, 6) != depth || depth > MOST_LEVELS {
            return Err(self.corrupt("has a damaged extent tree"));
        }
        for entry in node.chunks_exact(12).skip(1).take(entries) {
            let logical = u64::from(u32_at(entry, 0));
            if logical < self.next {
                return Err(self.corrupt("has extents out of order"));
            }
            if depth == 0 {
                // `ee_len`: above 32768 it means "never written", and the length is the rest.
                let stored = u64::from(u16_at(entry, 4));
                let unwritten = stored > 32768;
                let count = if unwritten { stored - 32768 } else { stored };
                let physical = halves(u32::from(u16_at(entry, 6)), u32_at(entry, 8));
                self.add(Extent { logical, physical, count, unwritten })?;
            } else {
                // `ei_leaf_hi` and `ei_leaf_lo`.
                let child = halves(u32::from(u16_at(entry, 8)), u32_at(entry, 4));
                let block = self.node(child)?;
                self.is_child(&block, logical)?;
                // Five levels at most: each node had to have the depth that its parent said.
                self.extents(&block, depth - 1)?;
            }
        }
        Ok(())
    }

    /// A node begins where its parent says, and matches its checksum.
    fn is_child(&self, node: &[u8], begins: u64) -> Result<(), FsError> {
        // The first entry's `ee_block` or `ei_block`, behind the header.
        if u64::from(u32_at(node, 12)) != begins {
            return Err(self.corrupt("has an extent tree whose parts do not fit"));
        }
        // `et_checksum` stands behind the last place for an entry.
        let end = 12 + usize::from(u16_at(node, 4)) * 12;
        let sum = crc32c(self.inode.seed(self.sb), node.get(..end).unwrap_or_default());
        match self.sb.has_metadata_csum() && u32_at(node, end) != sum {
            true => Err(self.corrupt("has an extent tree that does not match its checksum")),
            false => Ok(()),
        }
    }

    fn block_map(&mut self, area: &[u8]) -> Result<(), FsError> {
        for (index, pointer) in area.chunks_exact(4).enumerate() {
            // `i_block` has 12 pointers to blocks, then one each of one, two and three levels.
            let level = index.saturating_sub(11).min(3);
            self.pointer(u32_at(pointer, 0), level)?;
        }
        Ok(())
    }

    fn pointer(&mut self, block: u32, level: usize) -> Result<(), FsError> {
        let per_block = self.sb.block_size() / 4;
        // 0 is a hole, as wide as all that the pointer could have led to.
        if block == 0 {
            let span = per_block.checked_pow(u32::try_from(level).unwrap_or(3)).unwrap_or(u64::MAX);
            self.next = self.next.saturating_add(span);
            return Ok(());
        }
        if level == 0 {
            return self.add(Extent { logical: self.next, physical: u64::from(block), count: 1, unwritten: false });
        }
        let pointers = self.node(u64::from(block))?;
        for pointer in pointers.chunks_exact(4) {
            self.pointer(u32_at(pointer, 0), level - 1)?;
        }
        Ok(())
    }

    fn node(&mut self, block: u64) -> Result<Vec<u8>, FsError> {
        // Even a file of single-block extents needs one node for some hundred blocks.
        if self.mapping.nodes.len() as u64 > self.sb.blocks / 64 + 16 {
            return Err(self.corrupt("has a larger block map than the file system has room for"));
        }
        self.mapping.nodes.push(block);
        read_block(self.window, self.sb, block)
    }

    fn add(&mut self, extent: Extent) -> Result<(), FsError> {
        let end = extent.physical.checked_add(extent.count);
        // Block 0 holds the boot sector or the superblock, and is never a file's.
        if extent.count == 0 || extent.physical == 0 || end.is_none_or(|end| end > self.sb.blocks) {
            return Err(self.corrupt("owns blocks that are not there"));
        }
        self.next = extent.logical.saturating_add(extent.count);
        // What goes on where the last one ended becomes one with it: trees split at 32768 blocks.
        match self.mapping.extents.last_mut() {
            Some(last)
                if last.physical + last.count == extent.physical
                    && last.logical + last.count == extent.logical
                    && last.unwritten == extent.unwritten =>
            {
                last.count += extent.count;
            }
            _ => self.mapping.extents.push(extent),
        }
        Ok(())
    }

    fn corrupt(&self, what: &str) -> FsError {
        FsError::Corrupt { volume: "root", what: format!("inode {} {what}", self.inode.number) }
    }
}
