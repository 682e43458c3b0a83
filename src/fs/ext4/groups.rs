//! Group descriptors and the two bitmaps of a group, also where the bitmap on disk was never written.

use fs_ext4::checksum::crc16;

use super::checksum::crc32c;
use super::features::incompat;
use super::raw::{halves, u16_at, u32_at};
use super::superblock::Superblock;
use crate::fs::FsError;
use crate::image::ReadAt;
use crate::units::{BlockNumber, ByteOffset, ByteSize};

/// `bg_flags`: inode table and bitmap are not initialised.
pub const INODE_UNINIT: u16 = 1;
/// `bg_flags`: the block bitmap is not initialised.
pub const BLOCK_UNINIT: u16 = 2;

/// One group descriptor.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// The block of the block bitmap.
    pub block_bitmap: u64,
    /// The block of the inode bitmap.
    pub inode_bitmap: u64,
    /// The first block of the inode table.
    pub inode_table: u64,
    /// `bg_flags`, 0 where the file system does not have them.
    pub flags: u16,
    /// How many inodes at the end of the table were never used.
    pub itable_unused: u32,
    /// Free blocks, as the descriptor says.
    pub free_blocks: u32,
    /// Free inodes, as the descriptor says.
    pub free_inodes: u32,
    /// Directories, as the descriptor says.
    pub directories: u32,
}

/// All groups of a file system.
#[derive(Debug, Clone)]
pub struct Groups {
    /// By group number.
    pub all: Vec<Group>,
    /// Blocks that hold bitmaps and inode tables of any group: (first, count), sorted, apart.
    metadata: Vec<(u64, u64)>,
}

impl Groups {
    /// Reads all descriptors and checks that what they point to lies apart and inside the file system.
    ///
    /// # Errors
    /// [`FsError::Corrupt`], [`FsError::Io`].
    pub fn read(window: &dyn ReadAt, sb: &Superblock) -> Result<Groups, FsError> {
        let size = usize::from(sb.descriptor_bytes);
        // A descriptor never spans two blocks: both sizes are powers of two.
        let per_block = u64::from(sb.block_bytes) / size as u64;
        let mut all = Vec::with_capacity(usize::try_from(sb.groups).unwrap_or(0));
        let mut block = Vec::new();
        for number in 0..sb.groups {
            let index = u64::from(number) % per_block;
            // Block by block: with `meta_bg` the table is not in one piece.
            if index == 0 {
                block = read_block(window, sb, descriptor_block(sb, u64::from(number) / per_block))?;
            }
            let from = usize::try_from(index).unwrap_or(0) * size;
            all.push(parse(sb, block.get(from..from + size).unwrap_or_default()));
        }
        let table = table_blocks(sb);
        let mut metadata: Vec<(u64, u64)> =
            all.iter().flat_map(|g| [(g.block_bitmap, 1), (g.inode_bitmap, 1), (g.inode_table, table)]).collect();
        // Sorted, so that one pass finds every overlap.
        metadata.sort_unstable();
        // The superblock's block comes first, and belongs to no group's structures.
        let mut end = u64::from(sb.first_data_block) + 1;
        for &(start, count) in &metadata {
            if start < end || start.checked_add(count).is_none_or(|past| past > sb.blocks) {
                let what = format!("a bitmap or inode table at block {start} overlaps another one or lies outside");
                return Err(FsError::Corrupt { volume: "root", what });
            }
            end = start + count;
        }
        Ok(Groups { all, metadata })
    }

    /// Which blocks of `group` are in use, one bit each. Bits past the end of a short last group are set.
    ///
    /// # Errors
    /// [`FsError::Io`].
    pub fn block_bitmap(&self, window: &dyn ReadAt, sb: &Superblock, group: u32) -> Result<Bitmap, FsError> {
        let Some(descriptor) = self.all.get(group as usize) else { return Ok(Bitmap(Vec::new())) };
        let blocks = sb.group_blocks(group);
        let mut bitmap = if descriptor.flags & BLOCK_UNINIT != 0 {
            // Never written, so its bytes are what the card held before.
            self.computed_bitmap(sb, group)
        } else {
            Bitmap(read_block(window, sb, descriptor.block_bitmap)?)
        };
        // mke2fs sets these bits; a bitmap that was computed does not have them yet.
        for past in blocks..sb.blocks_per_group {
            bitmap.set(past);
        }
        Ok(bitmap)
    }

    /// Which inodes of `group` are in use, one bit each.
    ///
    /// # Errors
    /// [`FsError::Io`].
    pub fn inode_bitmap(&self, window: &dyn ReadAt, sb: &Superblock, group: u32) -> Result<Bitmap, FsError> {
        match self.all.get(group as usize) {
            Some(descriptor) if descriptor.flags & INODE_UNINIT == 0 => {
                Ok(Bitmap(read_block(window, sb, descriptor.inode_bitmap)?))
            }
            // A table that is not initialised has no inode in use.
            _ => Ok(Bitmap(vec![0; sb.block_bytes as usize])),
        }
    }

    /// What a group holds whose bitmap was never written: the backup of superblock and descriptors, and bitmaps and
    /// inode tables of any group.
    fn computed_bitmap(&self, sb: &Superblock, group: u32) -> Bitmap {
        let mut bitmap = Bitmap(vec![0; sb.block_bytes as usize]);
        let start = sb.group_start(group);
        let end = start + u64::from(sb.group_blocks(group));
        for n in 0..u32::try_from(own_blocks(sb, group)).unwrap_or(u32::MAX).min(sb.blocks_per_group) {
            bitmap.set(n);
        }
        let from = self.metadata.partition_point(|&(first, count)| first + count <= start);
        // With `flex_bg`, bitmaps and tables of other groups may lie in this one.
        for &(first, count) in self.metadata.iter().skip(from).take_while(|&&(first, _)| first < end) {
            for block in first.max(start)..(first + count).min(end) {
                bitmap.set(u32::try_from(block - start).unwrap_or(u32::MAX));
            }
        }
        bitmap
    }
}

/// A bitmap: one bit for each block or inode of a group.
#[derive(Debug, Clone)]
pub struct Bitmap(pub Vec<u8>);

impl Bitmap {
    /// Whether bit `n` is set; what lies behind the end counts as set.
    pub fn has(&self, n: u32) -> bool {
        self.0.get((n / 8) as usize).is_none_or(|byte| byte & (1 << (n % 8)) != 0)
    }

    fn set(&mut self, n: u32) {
        if let Some(byte) = self.0.get_mut((n / 8) as usize) {
            *byte |= 1 << (n % 8);
        }
    }

    /// The ranges of bits below `count` that are `wanted`, as (first, length).
    pub fn ranges(&self, count: u32, wanted: bool) -> Vec<(u32, u32)> {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        let mut n = 0;
        while n < count {
            // Whole bytes at once: most of a bitmap is all set or all clear.
            let byte = self.0.get((n / 8) as usize).copied().unwrap_or(0xFF);
            let (step, same) = match byte {
                0 if n % 8 == 0 && n + 8 <= count => (8, !wanted),
                0xFF if n % 8 == 0 && n + 8 <= count => (8, wanted),
                _ => (1, self.has(n) == wanted),
            };
            if same {
                match ranges.last_mut() {
                    Some((first, len)) if *first + *len == n => *len += step,
                    _ => ranges.push((n, step)),
                }
            }
            n += step;
        }
        ranges
    }
}

/// Blocks in one group's inode table.
pub fn table_blocks(sb: &Superblock) -> u64 {
    (u64::from(sb.inodes_per_group) * u64::from(sb.inode_bytes)).div_ceil(sb.block_size())
}

/// Reads one block.
///
/// # Errors
/// [`FsError::Corrupt`] for a block outside the file system, [`FsError::Io`].
pub fn read_block(window: &dyn ReadAt, sb: &Superblock, block: u64) -> Result<Vec<u8>, FsError> {
    let at = place_of(sb, block)?;
    let mut bytes = vec![0; sb.block_bytes as usize];
    window
        .read_at(at, &mut bytes)
        .map_err(|source| FsError::Io { doing: format!("read block {block} of the root file system"), source })?;
    Ok(bytes)
}

/// Where `block` lies in the partition.
///
/// # Errors
/// [`FsError::Corrupt`] for a block outside the file system.
pub fn place_of(sb: &Superblock, block: u64) -> Result<ByteOffset, FsError> {
    let place = BlockNumber(block).to_offset(ByteSize(sb.block_size())).filter(|_| block < sb.blocks);
    place.ok_or_else(|| FsError::Corrupt { volume: "root", what: format!("block {block} lies outside of it") })
}

/// Where the descriptor of `group` lies in the partition.
///
/// # Errors
/// [`FsError::Corrupt`] for a group that is not there.
pub fn descriptor_place(sb: &Superblock, group: u32) -> Result<ByteOffset, FsError> {
    let size = u64::from(sb.descriptor_bytes);
    let per_block = u64::from(sb.block_bytes) / size;
    let block = place_of(sb, descriptor_block(sb, u64::from(group) / per_block))?;
    Ok(ByteOffset(block.0 + u64::from(group) % per_block * size))
}

/// What `bg_checksum` of the descriptor `raw` of `group` should be; `None` where the file system has no such sums.
pub fn descriptor_sum(sb: &Superblock, group: u32, raw: &[u8]) -> Option<u16> {
    const CHECKSUM_AT: usize = 0x1E;
    // The field counts as zeros in the sum of all, of which it keeps the lower half.
    let parts = [raw.get(..CHECKSUM_AT), Some(&[0; 2][..]), raw.get(CHECKSUM_AT + 2..)];
    if sb.has_metadata_csum() {
        let begin = crc32c(sb.checksum_seed, &group.to_le_bytes());
        let sum = parts.into_iter().flatten().fold(begin, crc32c);
        return Some((sum & 0xFFFF) as u16);
    }
    // The older kind leaves it out: crc16 over the file system's id, the number and the descriptor.
    let parts =
        [sb.raw.get(0x68..0x78), Some(&group.to_le_bytes()), raw.get(..CHECKSUM_AT), raw.get(CHECKSUM_AT + 2..)];
    sb.has_uninit_flags().then(|| parts.into_iter().flatten().fold(u16::MAX, crc16))
}

/// Where the `index`th block of the descriptor table lies.
fn descriptor_block(sb: &Superblock, index: u64) -> u64 {
    // One piece behind the superblock.
    if sb.incompat & incompat::META_BG == 0 || index < u64::from(sb.first_meta_group) {
        return u64::from(sb.first_data_block) + 1 + index;
    }
    let per_block = u64::from(sb.block_bytes) / u64::from(sb.descriptor_bytes);
    // Each meta group keeps its own block of the table at its start.
    let group = u32::try_from(index * per_block).unwrap_or(u32::MAX);
    sb.group_start(group) + u64::from(sb.group_has_superblock(group))
}

/// How many blocks at the start of `group` hold the superblock, descriptors and room for more of them.
pub fn own_blocks(sb: &Superblock, group: u32) -> u64 {
    let superblock = u64::from(sb.group_has_superblock(group));
    // Fits: a block has 4096 bytes at most.
    let per_block = u32::from(u16::try_from(sb.block_bytes).unwrap_or(4096) / sb.descriptor_bytes.max(1));
    let meta = sb.incompat & incompat::META_BG != 0;
    if meta && group / per_block >= sb.first_meta_group {
        // The first, second and last group of a meta group each hold a copy of its block.
        let holds_descriptors = matches!(group % per_block, 0 | 1) || group % per_block == per_block - 1;
        return superblock + u64::from(holds_descriptors);
    }
    let table =
        if meta { u64::from(sb.first_meta_group) } else { sb.descriptor_blocks() + u64::from(sb.reserved_gdt_blocks) };
    // A group without a superblock has no copy of the table either.
    superblock * (1 + table)
}

fn parse(sb: &Superblock, raw: &[u8]) -> Group {
    // The `_hi` fields exist only in descriptors of 64 bytes.
    let wide = raw.len() >= 64;
    let high32 = |at| if wide { u32_at(raw, at) } else { 0 };
    let high16 = |at| if wide { u32::from(u16_at(raw, at)) << 16 } else { 0 };
    let low16 = |at| u32::from(u16_at(raw, at));
    let flagged = sb.has_uninit_flags();
    Group {
        block_bitmap: halves(high32(0x20), u32_at(raw, 0x00)),
        inode_bitmap: halves(high32(0x24), u32_at(raw, 0x04)),
        inode_table: halves(high32(0x28), u32_at(raw, 0x08)),
        flags: if flagged { u16_at(raw, 0x12) } else { 0 },
        // Bounded, because it is subtracted from the number of inodes.
        itable_unused: if flagged { (high16(0x32) | low16(0x1C)).min(sb.inodes_per_group) } else { 0 },
        free_blocks: high16(0x2C) | low16(0x0C),
        free_inodes: high16(0x2E) | low16(0x0E),
        directories: high16(0x30) | low16(0x10),
    }
}
