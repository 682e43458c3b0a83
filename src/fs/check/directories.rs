//! The blocks of a directory: `.` and `..` first, then names that can be, each once.

use std::collections::HashSet;

use super::damage::{corrupt, ensure};
use super::hash_tree::HashTree;
use super::names::DIRECTORY;
use super::state::Check;
use crate::fs::FsError;
use crate::fs::ext4::directory::{RawEntry, entries, inline_places, leaf_checksum};
use crate::fs::ext4::groups::read_block;
use crate::fs::ext4::inode::{INLINE_FLAG, Inode};
use crate::fs::ext4::mapping::Mapping;
use crate::fs::ext4::raw::u32_at;

impl Check<'_> {
    /// # Errors
    /// The first thing in it that cannot be.
    pub(super) fn directory(&mut self, inode: &Inode, mapping: &Mapping) -> Result<(), FsError> {
        let mut known = HashSet::new();
        if inode.flags() & INLINE_FLAG != 0 {
            // `.` and `..` are not stored: the parent's number is.
            self.names.dots(inode.number, u32_at(inode.block_area(), 0))?;
            for place in inline_places(inode) {
                let area = inode.raw.get(place).unwrap_or_default();
                let found = parse(inode, area)?;
                self.names_in(inode, area, &found, &mut known)?;
            }
            return Ok(());
        }
        let mut tree = HashTree::read(self.window, self.sb, inode, mapping)?;
        for extent in &mapping.extents {
            for n in 0..extent.count {
                let (at, block) = (extent.logical + n, read_block(self.window, self.sb, extent.physical + n)?);
                let mut found = parse(inode, &block)?;
                if at == 0 {
                    self.dots(inode, &block, &found)?;
                    found.drain(..2);
                }
                self.names_in(inode, &block, &found, &mut known)?;
                if tree.as_ref().is_some_and(|tree| tree.is_index(at)) {
                    continue;
                }
                if let Some(tree) = &mut tree {
                    let named = found.iter().filter(|entry| entry.inode != 0);
                    named.for_each(|entry| tree.holds(at, block.get(entry.name()).unwrap_or_default()));
                }
                let fits = leaf_checksum(self.sb, inode, &block) == Some(u32_at(&block, block.len().saturating_sub(4)));
                ensure(fits || !self.sb.has_metadata_csum(), || {
                    format!("a block of directory inode {} does not match its checksum", inode.number)
                })?;
            }
        }
        tree.map_or(Ok(()), |tree| tree.compare(mapping))
    }

    /// The first two entries.
    fn dots(&mut self, inode: &Inode, block: &[u8], found: &[RawEntry]) -> Result<(), FsError> {
        let wrong = || corrupt(format!("directory inode {} does not begin with `.` and `..`", inode.number));
        let [dot, up, ..] = found else { return Err(wrong()) };
        // With the NUL behind them, as old kernels expect.
        let is = |entry: &RawEntry, name: &[u8]| {
            let shown = block.get(entry.name().start..).is_some_and(|rest| rest.starts_with(name));
            shown && entry.name_len == name.len() - 1 && entry.kind == DIRECTORY
        };
        if !is(dot, b".\0") || !is(up, b"..\0") || dot.inode != inode.number || up.inode == 0 {
            return Err(wrong());
        }
        self.names.dots(inode.number, up.inode)
    }

    fn names_in(
        &mut self,
        directory: &Inode,
        block: &[u8],
        found: &[RawEntry],
        known: &mut HashSet<Vec<u8>>,
    ) -> Result<(), FsError> {
        for entry in found.iter().filter(|entry| entry.inode != 0) {
            let name = block.get(entry.name()).unwrap_or_default();
            let can_be = !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, 0 | b'/'));
            ensure(can_be, || format!("directory inode {} holds a name that cannot be", directory.number))?;
            // Linux would find only one of the two.
            ensure(known.insert(name.to_vec()), || {
                format!("directory inode {} holds the name of inode {} twice", directory.number, entry.inode)
            })?;
            self.names.entry(directory.number, entry.inode, entry.kind)?;
        }
        Ok(())
    }
}

fn parse(directory: &Inode, block: &[u8]) -> Result<Vec<RawEntry>, FsError> {
    entries(block).map_err(|what| corrupt(format!("{what} (directory inode {})", directory.number)))
}
