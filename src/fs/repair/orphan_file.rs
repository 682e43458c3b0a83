//! The orphan file: blocks of inode numbers, each with a magic number and a checksum at its end (kernel,
//! `fs/ext4/orphan.c`). Its inodes are moved over to the older list, which runs from the superblock through the deletion
//! times of the inodes; from there they are released like any other.

use std::collections::BTreeSet;

use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::features::ro_compat;
use crate::fs::ext4::groups::{Groups, place_of, read_block};
use crate::fs::ext4::inode::{Inode, slot_at};
use crate::fs::ext4::mapping::Mapping;
use crate::fs::ext4::orphan_block::{self, TAIL_BYTES};
use crate::fs::ext4::raw::{put_u32, u32_at};
use crate::image::WriteAt;

/// In an inode: when it was deleted, or the next orphan.
const DELETED_AT: usize = 0x14;

/// Empties the orphan file and clears the mark that it lists something. Returns how many inodes it listed.
///
/// # Errors
/// [`FsError::Corrupt`] for a list that does not match its checksum or names inodes that are not in use.
pub fn empty(window: &dyn WriteAt, mut sb: Superblock, groups: &Groups) -> Result<usize, FsError> {
    let file = Inode::read(window, &sb, groups, sb.orphan_file_inode)?;
    let mapping = Mapping::of(window, &sb, &file)?;
    // A set, in order: an inode that is listed twice is linked once, and the same card gives the same bytes.
    let mut orphans = BTreeSet::new();
    for extent in &mapping.extents {
        for number in extent.physical..extent.physical + extent.count {
            let mut block = read_block(window, &sb, number)?;
            let end = block.len() - TAIL_BYTES;
            // A torn block could name inodes that are in use.
            if orphan_block::list(&block).is_none() || !orphan_block::sum_fits(&sb, &file, number, &block) {
                return Err(corrupt("a block of its orphan file does not match its checksum"));
            }
            let list = block.get_mut(..end).unwrap_or_default();
            orphans.extend(list.chunks_exact(4).map(|entry| u32_at(entry, 0)).filter(|&inode| inode != 0));
            // A block that lists nothing is not written.
            if list.iter().any(|&byte| byte != 0) {
                list.fill(0);
                let sum = orphan_block::sum_of(&sb, &file, number, list);
                if sb.has_metadata_csum() {
                    put_u32(&mut block, end + 4, sum);
                }
                window.write_at(place_of(&sb, number)?, &block).map_err(changing)?;
            }
        }
    }
    // After all blocks: should one be damaged, no inode is on two lists.
    for &number in &orphans {
        link(window, &mut sb, groups, number)?;
    }
    let features = sb.ro_compat & !ro_compat::ORPHAN_PRESENT;
    // `s_feature_ro_compat`, and below `s_last_orphan`.
    put_u32(&mut sb.raw, 0x64, features);
    let head = sb.last_orphan;
    put_u32(&mut sb.raw, 0xE8, head);
    sb.write(window)?;
    Ok(orphans.len())
}

/// Puts an inode at the head of the list.
fn link(window: &dyn WriteAt, sb: &mut Superblock, groups: &Groups, number: u32) -> Result<(), FsError> {
    // A reserved inode on the list would be deleted.
    let index = number.checked_sub(1).filter(|_| number >= sb.first_inode && number <= sb.inodes);
    let group = index.map(|n| (n / sb.inodes_per_group, n % sb.inodes_per_group));
    let in_use = match group {
        Some((group, bit)) => groups.inode_bitmap(window, sb, group)?.has(bit),
        None => false,
    };
    if !in_use || number == sb.orphan_file_inode {
        return Err(corrupt("its orphan file names an inode that is not in use"));
    }
    let mut inode = Inode::read(window, sb, groups, number)?;
    // `i_dtime` links the list until the inode is deleted.
    put_u32(&mut inode.raw, DELETED_AT, sb.last_orphan);
    inode.stamp(sb);
    window.write_at(slot_at(sb, groups, number)?, &inode.raw).map_err(changing)?;
    sb.last_orphan = number;
    Ok(())
}

fn corrupt(what: &str) -> FsError {
    FsError::Corrupt { volume: "root", what: what.to_owned() }
}

fn changing(source: std::io::Error) -> FsError {
    FsError::Io { doing: "empty the root file system's orphan file".into(), source }
}
