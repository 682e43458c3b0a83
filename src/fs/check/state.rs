//! What is known while the inodes are gone through.

use super::attributes::SharedAttributes;
use super::damage::ensure;
use super::names::Names;
use super::owners::Owners;
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::groups::Groups;
use crate::fs::ext4::inode::Inode;
use crate::fs::ext4::mapping::Mapping;
use crate::image::ReadAt;

/// What is known while the inodes are gone through.
pub(super) struct Check<'a> {
    pub(super) window: &'a dyn ReadAt,
    pub(super) sb: &'a Superblock,
    pub(super) groups: &'a Groups,
    pub(super) owners: Owners,
    pub(super) names: Names,
    pub(super) attributes: SharedAttributes,
    pub(super) inodes: u64,
}

impl Check<'_> {
    /// Notes what it owns, which has to be as much as it says.
    pub(super) fn own_blocks(&mut self, inode: &Inode) -> Result<Mapping, FsError> {
        let mapping = Mapping::of(self.window, self.sb, inode)?;
        let owner = format!("inode {}", inode.number);
        for &node in &mapping.nodes {
            self.owners.own(node, 1, &owner)?;
        }
        for extent in &mapping.extents {
            self.owners.own(extent.physical, extent.count, &owner)?;
        }
        // `i_blocks` counts data, nodes of the extent tree and the attribute block.
        let blocks = mapping.extents.iter().map(|extent| extent.count).sum::<u64>() + mapping.nodes.len() as u64;
        has_allocated(self.sb, inode, blocks + u64::from(inode.xattr_block() != 0))?;
        Ok(mapping)
    }
}

/// # Errors
/// Where `i_blocks` is not that many.
pub(super) fn has_allocated(sb: &Superblock, inode: &Inode, blocks: u64) -> Result<(), FsError> {
    let said = inode.allocated(sb);
    ensure(said == blocks.saturating_mul(sb.block_size()), || {
        format!("inode {} says that {said} bytes are allocated, and owns {blocks} blocks", inode.number)
    })
}
