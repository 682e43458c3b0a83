//! Where the content of live files lies in an ext4, read from the inode tables by the audit's own code: which bytes of the
//! partition a file accounts for. Holes of files lie nowhere, so that one of a terabyte costs nothing.
//! Source of all offsets: the kernel's Documentation/filesystems/ext4.

use std::io;

use super::inode_tables::{Layout, size, u16_at, u32_at};
use crate::image::ReadAt;
use crate::units::ByteRange;

/// An extent tree is five levels deep at most.
const DEEPEST: u16 = 5;
const EXTENTS: u32 = 0x80000;
const INLINE: u32 = 0x1000_0000;

/// The ranges of `window` that hold content of regular files, those of one file in its order.
///
/// # Errors
/// The image's.
pub(super) fn live_ranges(window: &dyn ReadAt) -> io::Result<Vec<ByteRange>> {
    let layout = Layout::read(window)?;
    let mut live = Vec::new();
    layout.each_file(&mut |slot, at| content(&layout, slot, at, &mut live))?;
    Ok(live)
}

/// Adds the ranges of one file.
fn content(layout: &Layout<'_>, slot: &[u8], at: u64, live: &mut Vec<ByteRange>) -> io::Result<()> {
    let flags = u32_at(slot, 0x20);
    let area = slot.get(0x28..0x64).unwrap_or_default();
    if flags & INLINE != 0 {
        // In the inode: behind `i_block` it goes on as an attribute.
        live.push(ByteRange::new(at, layout.inode_bytes));
        return Ok(());
    }
    let mut file = File { layout, size: size(slot), logical: 0, live };
    if flags & EXTENTS != 0 {
        return file.extents(area, u16_at(area, 6));
    }
    // Twelve blocks, then one each of one, two and three levels of pointers.
    for (n, pointer) in area.chunks_exact(4).enumerate() {
        file.pointer(u32_at(pointer, 0), n.saturating_sub(11).min(3) as u32)?;
    }
    Ok(())
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
