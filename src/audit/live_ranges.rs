//! Where the content of live files lies in an ext4, read from the inode tables by the audit's own code: which bytes of the
//! partition a file accounts for. Holes of files lie nowhere, so that one of a terabyte costs nothing.
//! Source of all offsets: the kernel's Documentation/filesystems/ext4.

use std::io;

use crate::image::ReadAt;
use crate::units::{ByteOffset, ByteRange};

/// An extent tree is five levels deep at most.
const DEEPEST: u16 = 5;
const EXTENTS: u32 = 0x80000;
const INLINE: u32 = 0x1000_0000;
/// The inodes below are the file system's own: the journal holds copies, not files.
const FIRST_INODE: u64 = 11;

/// What of the superblock is needed.
struct Layout<'w> {
    window: &'w dyn ReadAt,
    block: u64,
    blocks: u64,
    inode_bytes: u64,
    per_group: u64,
    /// The part of each inode table that was used: where it begins, and how many inodes.
    tables: Vec<(u64, u64)>,
}

/// The ranges of `window` that hold content of regular files, those of one file in its order. An inode counts that has a
/// name and no time of deletion; what bitmaps say is not asked.
///
/// # Errors
/// The image's.
pub(super) fn live_ranges(window: &dyn ReadAt) -> io::Result<Vec<ByteRange>> {
    let layout = Layout::read(window)?;
    let mut live = Vec::new();
    for (group, &(table, count)) in (0u64..).zip(&layout.tables) {
        let mut slots = vec![0; usize::try_from(count * layout.inode_bytes).unwrap_or_default()];
        window.read_at(ByteOffset(table), &mut slots)?;
        for (n, slot) in (0u64..).zip(slots.chunks_exact(usize::try_from(layout.inode_bytes).unwrap_or(128))) {
            let number = group * layout.per_group + n + 1;
            // `i_mode`, `i_links_count`, `i_dtime`.
            let is_file = u16_at(slot, 0) >> 12 == 8 && u16_at(slot, 0x1A) > 0 && u32_at(slot, 0x14) == 0;
            if is_file && number >= FIRST_INODE {
                layout.content(slot, table + n * layout.inode_bytes, &mut live)?;
            }
        }
    }
    Ok(live)
}

impl<'w> Layout<'w> {
    fn read(window: &'w dyn ReadAt) -> io::Result<Layout<'w>> {
        let mut sb = [0; 1024];
        window.read_at(ByteOffset(1024), &mut sb)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "its superblock cannot be");
        // `s_log_block_size`, `s_blocks_per_group`, `s_inodes_per_group`, `s_inode_size`.
        let block = 1024u64.checked_shl(u32_at(&sb, 0x18)).filter(|&block| block <= 65536).ok_or_else(damaged)?;
        let (blocks_per_group, per_group) = (u64::from(u32_at(&sb, 0x20)), u64::from(u32_at(&sb, 0x28)));
        let (inode_bytes, first) = (u64::from(u16_at(&sb, 0x58)), u64::from(u32_at(&sb, 0x14)));
        // `64bit`, `meta_bg`; checksums of groups, without which nothing is marked as unused.
        let (incompat, ro_compat) = (u32_at(&sb, 0x60), u32_at(&sb, 0x64));
        let (wide, meta, marked) = (incompat & 0x80 != 0, incompat & 0x10 != 0, ro_compat & 0x410 != 0);
        let descriptor = if wide { u64::from(u16_at(&sb, 0xFE)).max(64) } else { 32 };
        let blocks = u64::from(u32_at(&sb, 4)) | if wide { u64::from(u32_at(&sb, 0x150)) << 32 } else { 0 };
        let fits = blocks.checked_mul(block).is_some_and(|bytes| bytes <= window.size().0);
        if !fits
            || blocks_per_group == 0
            || inode_bytes < 128
            || inode_bytes > block
            || descriptor > block
            || first > blocks
        {
            return Err(damaged());
        }
        let per_block = block / descriptor;
        let mut layout = Layout { window, block, blocks, inode_bytes, per_group, tables: Vec::new() };
        for group in 0..(blocks - first).div_ceil(blocks_per_group) {
            let index = group / per_block;
            // `s_first_meta_bg`: from there on each meta group keeps its descriptors at its own start.
            let at = match meta && index >= u64::from(u32_at(&sb, 0x104)) {
                false => first + 1 + index,
                true => {
                    let start = index * per_block;
                    first + start * blocks_per_group + u64::from(has_superblock(start, &sb))
                }
            };
            let mut raw = vec![0; usize::try_from(descriptor).unwrap_or_default()];
            layout.read_at(at * block + group % per_block * descriptor, &mut raw)?;
            let table = u64::from(u32_at(&raw, 8)) | if wide { u64::from(u32_at(&raw, 0x28)) << 32 } else { 0 };
            // `bg_flags` and `bg_itable_unused`: what was never used holds whatever was there.
            let high = if wide { u64::from(u16_at(&raw, 0x32)) << 16 } else { 0 };
            let unused = u64::from(u16_at(&raw, 0x1C)) | high;
            let count = match marked {
                true if u16_at(&raw, 0x12) & 1 != 0 => 0,
                true => per_group.saturating_sub(unused),
                false => per_group,
            };
            if count > block * 8 || table.checked_mul(block).is_none_or(|at| at > window.size().0) {
                return Err(damaged());
            }
            layout.tables.push((table * block, count));
        }
        Ok(layout)
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.window.read_at(ByteOffset(at), bytes)
    }

    /// Adds the ranges of one file.
    fn content(&self, slot: &[u8], at: u64, live: &mut Vec<ByteRange>) -> io::Result<()> {
        let flags = u32_at(slot, 0x20);
        let area = slot.get(0x28..0x64).unwrap_or_default();
        // `i_size_lo` and `i_size_high`.
        let size = u64::from(u32_at(slot, 4)) | u64::from(u32_at(slot, 0x6C)) << 32;
        if flags & INLINE != 0 {
            // In the inode: behind `i_block` it goes on as an attribute.
            live.push(ByteRange::new(at, self.inode_bytes));
            return Ok(());
        }
        let mut file = File { layout: self, size, logical: 0, live };
        if flags & EXTENTS != 0 {
            return file.extents(area, u16_at(area, 6));
        }
        // Twelve blocks, then one each of one, two and three levels of pointers.
        for (n, pointer) in area.chunks_exact(4).enumerate() {
            file.pointer(u32_at(pointer, 0), n.saturating_sub(11).min(3) as u32)?;
        }
        Ok(())
    }
}

/// A file whose blocks are gone through.
struct File<'l> {
    layout: &'l Layout<'l>,
    size: u64,
    /// The next block of it, of a file with a block map.
    logical: u64,
    live: &'l mut Vec<ByteRange>,
}

impl File<'_> {
    fn extents(&mut self, node: &[u8], depth: u16) -> io::Result<()> {
        // `eh_magic`, `eh_depth`; damage gives no account of anything.
        if u16_at(node, 0) != 0xF30A || u16_at(node, 6) != depth || depth > DEEPEST {
            return Ok(());
        }
        for entry in node.chunks_exact(12).skip(1).take(usize::from(u16_at(node, 2))) {
            let logical = u64::from(u32_at(entry, 0));
            if depth == 0 {
                let (count, high) = (u64::from(u16_at(entry, 4)), u64::from(u16_at(entry, 6)));
                // Above 32768 it was allocated and never written: what stands there is no content of the file.
                if count <= 32768 {
                    self.add(logical, high << 32 | u64::from(u32_at(entry, 8)), count);
                }
            } else {
                let child = u64::from(u16_at(entry, 8)) << 32 | u64::from(u32_at(entry, 4));
                if let Some(block) = self.block(child)? {
                    self.extents(&block, depth - 1)?;
                }
            }
        }
        Ok(())
    }

    fn pointer(&mut self, block: u32, level: u32) -> io::Result<()> {
        let per_block = self.layout.block / 4;
        // A hole, as wide as all that the pointer could have led to; and nothing is behind the end.
        if block == 0 || self.logical * self.layout.block >= self.size {
            self.logical = self.logical.saturating_add(per_block.saturating_pow(level));
            return Ok(());
        }
        if level == 0 {
            self.add(self.logical, u64::from(block), 1);
            self.logical += 1;
            return Ok(());
        }
        let pointers = self.block(u64::from(block))?.unwrap_or_default();
        pointers.chunks_exact(4).try_for_each(|pointer| self.pointer(u32_at(pointer, 0), level - 1))
    }

    fn block(&self, number: u64) -> io::Result<Option<Vec<u8>>> {
        if number >= self.layout.blocks {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(self.layout.block).unwrap_or_default()];
        self.layout.read_at(number * self.layout.block, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// Adds `count` blocks, as far as the file reaches.
    fn add(&mut self, logical: u64, physical: u64, count: u64) {
        let block = self.layout.block;
        let inside = physical.checked_add(count).is_some_and(|end| end <= self.layout.blocks);
        let len = self.size.saturating_sub(logical.saturating_mul(block)).min(count.saturating_mul(block));
        if !inside || len == 0 {
            return;
        }
        match self.live.last_mut() {
            // What goes on where the last range ended is one with it, so that nothing is cut.
            Some(last) if last.end().0 == physical * block => *last = ByteRange::new(last.start.0, last.len.0 + len),
            _ => self.live.push(ByteRange::new(physical * block, len)),
        }
    }
}

/// Whether a group begins with a copy of the superblock.
fn has_superblock(group: u64, sb: &[u8]) -> bool {
    let power_of = |base: u64| {
        std::iter::successors(Some(base), |n| n.checked_mul(base)).take_while(|&n| n <= group).any(|n| n == group)
    };
    // `sparse_super2` names two groups; without `sparse_super` all have one.
    if u32_at(sb, 0x5C) & 0x200 != 0 {
        return group == 0 || [0x24C, 0x250].iter().any(|&at| u64::from(u32_at(sb, at)) == group);
    }
    u32_at(sb, 0x64) & 1 == 0 || group <= 1 || [3, 5, 7].into_iter().any(power_of)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
}
