//! Makes the checksums of a patched ext4 right again, at the places that its base has them. What was patched to lie
//! elsewhere keeps its wrong ones.

use std::sync::Arc;

use cardsmith::fs::ext4::Superblock;
use cardsmith::fs::ext4::checksum::{crc32c, inode_seed};
use cardsmith::fs::ext4::groups::Groups;
use cardsmith::fs::ext4::inode::{Inode, InodeKind, slot_at};
use cardsmith::fs::ext4::mapping::Mapping;
use cardsmith::image::{Memory, ReadAt, WriteAt};
use cardsmith::units::ByteOffset;

use super::bases::Base;

/// Where the checksums of a base are.
pub struct Seals {
    superblock: Superblock,
    groups: Groups,
    /// The inode of every directory, with its blocks.
    directories: Vec<(u32, Vec<u64>)>,
}

impl Seals {
    /// Of a file system with `metadata_csum`; `None` of another, which has no checksums to speak of.
    pub fn of(base: &'static Base) -> Option<Seals> {
        let image: Arc<dyn ReadAt> = Arc::new(Memory::new(base.bytes.clone()));
        let superblock = Superblock::read(&image).expect("the base is sound");
        if !superblock.has_metadata_csum() {
            return None;
        }
        let groups = Groups::read(&image, &superblock).expect("the base is sound");
        let mut directories = Vec::new();
        for number in 2..=superblock.inodes {
            let Ok(inode) = Inode::read(&image, &superblock, &groups, number) else { continue };
            let Ok(mapping) = Mapping::of(&image, &superblock, &inode) else { continue };
            if inode.kind() == InodeKind::Directory && inode.links() > 0 {
                let blocks = mapping.extents.iter().flat_map(|run| run.physical..run.physical + run.count);
                directories.push((number, blocks.collect()));
            }
        }
        Some(Seals { superblock, groups, directories })
    }

    pub fn put(&self, image: &dyn WriteAt) {
        let sb = &self.superblock;
        let read = |at: u64, len: usize| {
            let mut bytes = vec![0; len];
            image.read_at(ByteOffset(at), &mut bytes).expect("it is inside");
            bytes
        };
        let write = |at: u64, bytes: &[u8]| image.write_at(ByteOffset(at), bytes).expect("it is inside");
        let block = |number: u64| number * u64::from(sb.block_bytes);

        for number in 1..=sb.inodes {
            let at = slot_at(sb, &self.groups, number).expect("the base has it").0;
            let mut raw = read(at, usize::from(sb.inode_bytes));
            if raw.iter().any(|&byte| byte != 0) {
                raw[0x7C..0x7E].fill(0);
                raw[0x82..0x84].fill(0);
                let generation = u32::from_le_bytes([raw[0x64], raw[0x65], raw[0x66], raw[0x67]]);
                let sum = crc32c(inode_seed(sb.checksum_seed, number, generation), &raw).to_le_bytes();
                raw[0x7C..0x7E].copy_from_slice(&sum[..2]);
                raw[0x82..0x84].copy_from_slice(&sum[2..]);
                write(at, &raw);
            }
        }
        for (number, blocks) in &self.directories {
            let inode = slot_at(sb, &self.groups, *number).expect("the base has it").0;
            let generation = read(inode + 0x64, 4);
            let seed = inode_seed(sb.checksum_seed, *number, u32::from_le_bytes(generation.try_into().expect("four")));
            for &number in blocks {
                let mut bytes = read(block(number), sb.block_bytes as usize);
                let end = bytes.len() - 12;
                if bytes[end..end + 8] == [0, 0, 0, 0, 12, 0, 0, 0xDE] {
                    let sum = crc32c(seed, &bytes[..end]);
                    bytes[end + 8..].copy_from_slice(&sum.to_le_bytes());
                    write(block(number), &bytes);
                }
            }
        }
        for (number, group) in self.groups.all.iter().enumerate() {
            let at = cardsmith::fs::ext4::groups::descriptor_place(sb, number as u32).expect("the base has it").0;
            let mut raw = read(at, usize::from(sb.descriptor_bytes));
            let wide = raw.len() >= 64;
            let blocks = crc32c(sb.checksum_seed, &read(block(group.block_bitmap), sb.blocks_per_group as usize / 8));
            let inodes = crc32c(sb.checksum_seed, &read(block(group.inode_bitmap), sb.inodes_per_group as usize / 8));
            raw[0x18..0x1A].copy_from_slice(&blocks.to_le_bytes()[..2]);
            raw[0x1A..0x1C].copy_from_slice(&inodes.to_le_bytes()[..2]);
            if wide {
                raw[0x38..0x3A].copy_from_slice(&blocks.to_le_bytes()[2..]);
                raw[0x3A..0x3C].copy_from_slice(&inodes.to_le_bytes()[2..]);
            }
            raw[0x1E..0x20].fill(0);
            let sum = crc32c(crc32c(sb.checksum_seed, &(number as u32).to_le_bytes()), &raw);
            raw[0x1E..0x20].copy_from_slice(&sum.to_le_bytes()[..2]);
            write(at, &raw);
        }
        let mut raw = read(1024, 1024);
        let sum = crc32c(u32::MAX, &raw[..0x3FC]);
        raw[0x3FC..].copy_from_slice(&sum.to_le_bytes());
        write(1024, &raw);
    }
}
