//! Whether a FAT can be walked to an end: `fatfs` trusts its chains, and would go round in one that meets itself.

use std::io;

use crate::image::{ReadAt, Window};
use crate::units::ByteOffset;

/// A larger table is no boot partition's: 16 Mi clusters of FAT32.
const MOST_TABLE_BYTES: u64 = 64 << 20;
/// A directory holds 65,536 entries of 32 bytes at most.
const MOST_DIRECTORY_BYTES: u64 = 2 << 20;
const ENTRY: usize = 32;
const FIRST_CLUSTER: u32 = 2;

/// The allocation table, and which clusters a chain has led to.
struct Chains<'w> {
    window: &'w Window<dyn ReadAt>,
    table: Vec<u8>,
    bits: u32,
    clusters: u32,
    cluster_bytes: u64,
    data_at: u64,
    met: Vec<bool>,
}

/// Says what is wrong with the chains of the FAT in `window`; `None` where they all end.
///
/// # Errors
/// The image's.
pub(super) fn what_is_wrong(window: &Window<dyn ReadAt>) -> io::Result<Option<String>> {
    let mut boot = [0; 512];
    window.read_at(ByteOffset(0), &mut boot)?;
    let byte = |at: usize| u64::from(boot.get(at).copied().unwrap_or_default());
    let u16 = |at| byte(at) | byte(at + 1) << 8;
    let u32 = |at| u16(at) | u16(at + 2) << 16;
    // `BPB_BytsPerSec`, `BPB_SecPerClus`, `BPB_RsvdSecCnt`, `BPB_NumFATs`, `BPB_RootEntCnt`; each size has two fields.
    let (sector, reserved, tables, root_entries) = (u16(0x0B), u16(0x0E), byte(0x10), u16(0x11));
    let cluster_bytes = sector * byte(0x0D);
    let table_bytes = sector * if u16(0x16) != 0 { u16(0x16) } else { u32(0x24) };
    let total = sector * if u16(0x13) != 0 { u16(0x13) } else { u32(0x20) };
    let root_at = sector * reserved + table_bytes * tables;
    let root_bytes = (root_entries * ENTRY as u64).next_multiple_of(sector.max(1));
    let data_at = root_at + root_bytes;
    if cluster_bytes == 0 || table_bytes > MOST_TABLE_BYTES || total > window.size().0 || data_at > total {
        return Ok(Some("its sizes cannot be".to_owned()));
    }
    let clusters = u32::try_from((total - data_at) / cluster_bytes).unwrap_or(u32::MAX);
    let bits = match clusters {
        0..4085 => 12,
        4085..65525 => 16,
        _ => 32,
    };
    let mut table = vec![0; usize::try_from(table_bytes).unwrap_or_default()];
    window.read_at(ByteOffset(sector * reserved), &mut table)?;
    // The table may have entries for fewer clusters than there are; the others are never led to.
    let met = vec![false; table.len() * 8 / bits as usize];
    let mut chains = Chains { window, table, bits, clusters, cluster_bytes, data_at, met };
    match root_entries {
        // `BPB_RootClus`.
        0 => chains.walk(u32(0x2C) as u32, Vec::new()),
        _ => {
            let mut root = vec![0; usize::try_from(root_bytes).unwrap_or_default()];
            window.read_at(ByteOffset(root_at), &mut root)?;
            chains.walk(0, root)
        }
    }
}

impl Chains<'_> {
    /// Goes through all directories from the root, which is a chain or these bytes.
    fn walk(&mut self, root: u32, fixed: Vec<u8>) -> io::Result<Option<String>> {
        let mut ahead = Vec::new();
        if root == 0 {
            ahead.extend(below(&fixed, self.bits == 32));
        } else {
            ahead.push((root, true));
        }
        while let Some((first, is_directory)) = ahead.pop() {
            let chain = match self.chain(first) {
                Ok(chain) => chain,
                Err(wrong) => return Ok(Some(wrong)),
            };
            if !is_directory {
                continue;
            }
            if chain.len() as u64 * self.cluster_bytes > MOST_DIRECTORY_BYTES {
                return Ok(Some("a directory is larger than any can be".to_owned()));
            }
            let mut entries = Vec::new();
            for cluster in chain {
                let mut bytes = vec![0; usize::try_from(self.cluster_bytes).unwrap_or_default()];
                let place = self.data_at + u64::from(cluster - FIRST_CLUSTER) * self.cluster_bytes;
                self.window.read_at(ByteOffset(place), &mut bytes)?;
                entries.extend(bytes);
            }
            ahead.extend(below(&entries, self.bits == 32));
        }
        Ok(None)
    }

    fn chain(&mut self, first: u32) -> Result<Vec<u32>, String> {
        let (mut chain, mut cluster) = (Vec::new(), first);
        loop {
            let inside = cluster.checked_sub(FIRST_CLUSTER).is_some_and(|n| n < self.clusters);
            let Some(met) = self.met.get_mut(cluster as usize).filter(|_| inside) else {
                return Err(format!("a chain of clusters leads to {cluster}, which is none"));
            };
            if std::mem::replace(met, true) {
                return Err(format!("cluster {cluster} belongs to two chains, or twice to one"));
            }
            chain.push(cluster);
            cluster = self.next(cluster);
            // The marks of a chain's end are the eight largest numbers.
            if cluster >= (u32::MAX >> (32 - self.bits.min(28))) - 7 {
                return Ok(chain);
            }
        }
    }

    fn next(&self, cluster: u32) -> u32 {
        let n = cluster as usize;
        let byte = |at: usize| u32::from(self.table.get(at).copied().unwrap_or_default());
        match self.bits {
            // Two entries share three bytes.
            12 => ((byte(n + n / 2) | byte(n + n / 2 + 1) << 8) >> if n.is_multiple_of(2) { 0 } else { 4 }) & 0xFFF,
            16 => byte(2 * n) | byte(2 * n + 1) << 8,
            _ => (byte(4 * n) | byte(4 * n + 1) << 8 | byte(4 * n + 2) << 16 | byte(4 * n + 3) << 24) & 0x0FFF_FFFF,
        }
    }
}

/// First clusters of what a directory names, and whether each is a directory itself. Only `.` and `..` are left out: what
/// merely begins like them is followed.
fn below(entries: &[u8], wide: bool) -> Vec<(u32, bool)> {
    let mut found = Vec::new();
    for entry in entries.chunks_exact(ENTRY).take_while(|entry| entry.first() != Some(&0)) {
        let byte = |at: usize| u32::from(entry.get(at).copied().unwrap_or_default());
        let is_dot = entry.starts_with(b".          ") || entry.starts_with(b"..         ");
        // Deleted, or a label or a fragment of a long name.
        if byte(0) == 0xE5 || byte(11) & 0x08 != 0 || is_dot {
            continue;
        }
        let high = if wide { byte(20) | byte(21) << 8 } else { 0 };
        let (first, is_directory) = (high << 16 | byte(26) | byte(27) << 8, byte(11) & 0x10 != 0);
        // A file without a cluster is empty. A directory without one would lead back to the root.
        if first != 0 || is_directory {
            found.push((first, is_directory));
        }
    }
    found
}
