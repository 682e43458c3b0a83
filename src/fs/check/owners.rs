//! Which block is owned by something: each by one thing only.

use std::fmt::Display;

use super::damage::corrupt;
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::groups::{Groups, own_blocks, table_blocks};

/// One bit for each block.
pub(super) struct Owners {
    owned: Vec<u64>,
    blocks: u64,
}

impl Owners {
    pub(super) fn of(sb: &Superblock) -> Owners {
        Owners { owned: vec![0; usize::try_from(sb.blocks.div_ceil(64)).unwrap_or(0)], blocks: sb.blocks }
    }

    /// Notes that `owner` owns `count` blocks from `first`.
    ///
    /// # Errors
    /// Where one of them is not there, or is owned by something else.
    pub(super) fn own(&mut self, first: u64, count: u64, owner: &dyn Display) -> Result<(), FsError> {
        for block in first..first.saturating_add(count) {
            let word = usize::try_from(block / 64).ok().and_then(|n| self.owned.get_mut(n));
            let Some(word) = word.filter(|_| block < self.blocks) else {
                return Err(corrupt(format!("{owner} owns block {block}, which is not there")));
            };
            let bit = 1 << (block % 64);
            if *word & bit != 0 {
                return Err(corrupt(format!("block {block} of {owner} is also owned by something else")));
            }
            *word |= bit;
        }
        Ok(())
    }

    /// Superblocks, descriptors, bitmaps and inode tables.
    ///
    /// # Errors
    /// As [`Owners::own`].
    pub(super) fn own_metadata(&mut self, sb: &Superblock, groups: &Groups) -> Result<(), FsError> {
        for group in 0..sb.groups {
            self.own(sb.group_start(group), own_blocks(sb, group), &"the superblock or descriptors")?;
        }
        let table = table_blocks(sb);
        for group in &groups.all {
            self.own(group.block_bitmap, 1, &"a block bitmap")?;
            self.own(group.inode_bitmap, 1, &"an inode bitmap")?;
            self.own(group.inode_table, table, &"an inode table")?;
        }
        Ok(())
    }

    /// Whether something owns `block`.
    pub(super) fn has(&self, block: u64) -> bool {
        let word = usize::try_from(block / 64).ok().and_then(|at| self.owned.get(at)).copied().unwrap_or(0);
        word & (1 << (block % 64)) != 0
    }
}
