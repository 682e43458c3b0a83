//! FAT after a power cut: the mark that it was in use, copies of the table that differ, clusters that belong to
//! nothing, and files whose size does not fit their clusters. Loops and shared clusters are damage, not this.

use super::report::RepairReport;
use crate::fs::FsError;
use crate::fs::fat::volume::FIRST_CLUSTER;
use crate::fs::fat::{FatKind, FatTree, FatVolume};
use crate::image::WriteAt;
use crate::units::ByteOffset;

/// Repairs the FAT in `window`.
///
/// # Errors
/// [`FsError::Corrupt`] for what cannot be told apart from damage.
pub fn repair(window: &dyn WriteAt) -> Result<Option<RepairReport>, FsError> {
    let mut volume = FatVolume::read(window)?;
    let tree = FatTree::read(window, &volume)?;
    let mut done = Vec::new();
    // Before lost clusters are looked for: what is cut off a chain is freed here.
    let sizes = fit_sizes(window, &mut volume, &tree)?;
    if sizes > 0 {
        done.push(format!("fitted {sizes} files to their clusters"));
    }
    let lost: Vec<u32> = (FIRST_CLUSTER..volume.clusters + FIRST_CLUSTER)
        // A bad cluster belongs to no file on purpose.
        .filter(|&n| volume.entry(n) != 0 && volume.entry(n) != volume.bad_mark())
        .filter(|&n| tree.owned.get(n as usize) == Some(&false))
        .collect();
    for &cluster in &lost {
        volume.set_entry(window, cluster, 0)?;
    }
    if !lost.is_empty() {
        done.push(format!("freed {} clusters that belonged to no file", lost.len()));
    }
    // After every change of the table, which goes to all copies: what differs now did before.
    if same_tables(window, &volume)? {
        done.push("made both copies of the allocation table agree".to_owned());
    }
    if clear_in_use(window, &mut volume)? {
        done.push("cleared the mark that the boot file system was in use".to_owned());
    }
    if done.is_empty() {
        return Ok(None);
    }
    // FAT32 keeps a count of free clusters, which the changes above made wrong.
    volume.write_info(window)?;
    Ok(Some(RepairReport { done, by: "cardsmith" }))
}

/// Cuts chains that are longer than their file, and files that are longer than their chain.
fn fit_sizes(window: &dyn WriteAt, volume: &mut FatVolume, tree: &FatTree) -> Result<usize, FsError> {
    let mut fitted = 0;
    for file in tree.nodes.iter().filter(|node| !node.is_directory) {
        let needed = usize::try_from(file.size.div_ceil(volume.cluster_bytes)).unwrap_or(usize::MAX);
        let Some(entry_at) = file.entry_at.filter(|_| needed != file.chain.len()) else { continue };
        fitted += 1;
        if needed > file.chain.len() {
            // `DIR_FileSize`. What is missing was never linked, so the file ends where its clusters do.
            let size = u32::try_from(file.chain.len() as u64 * volume.cluster_bytes).unwrap_or(u32::MAX);
            window.write_at(ByteOffset(entry_at + 28), &size.to_le_bytes()).map_err(changing)?;
            continue;
        }
        for &cluster in file.chain.iter().skip(needed) {
            volume.set_entry(window, cluster, 0)?;
        }
        match needed.checked_sub(1).and_then(|n| file.chain.get(n)) {
            Some(&last) => volume.set_entry(window, last, volume.end_mark())?,
            None => {
                // `DIR_FstClusHI` and `DIR_FstClusLO`: an empty file names no cluster.
                window.write_at(ByteOffset(entry_at + 20), &[0; 2]).map_err(changing)?;
                window.write_at(ByteOffset(entry_at + 26), &[0; 2]).map_err(changing)?;
            }
        }
    }
    Ok(fitted)
}

fn same_tables(window: &dyn WriteAt, volume: &FatVolume) -> Result<bool, FsError> {
    let mut changed = false;
    let len = usize::try_from(volume.table_bytes).unwrap_or(0);
    let (mut first, mut other) = (vec![0; len], vec![0; len]);
    // The first copy is the one that drivers read.
    window.read_at(ByteOffset(volume.table_start), &mut first).map_err(changing)?;
    for copy in 1..volume.tables {
        let at = ByteOffset(volume.table_start + copy * volume.table_bytes);
        window.read_at(at, &mut other).map_err(changing)?;
        if first != other {
            window.write_at(at, &first).map_err(changing)?;
            changed = true;
        }
    }
    Ok(changed)
}

/// The mark stands twice: in the boot sector, where Linux sets it, and in the second entry of the table, where Windows
/// does (there a set bit means clean).
fn clear_in_use(window: &dyn WriteAt, volume: &mut FatVolume) -> Result<bool, FsError> {
    // `BS_Reserved1`, whose lowest bit is Linux's `FAT_STATE_DIRTY`.
    let at = ByteOffset(if volume.kind == FatKind::Fat32 { 0x41 } else { 0x25 });
    let mut state = [0];
    window.read_at(at, &mut state).map_err(changing)?;
    let mut cleared = false;
    if state[0] & 1 != 0 {
        window.write_at(at, &[state[0] & !1]).map_err(changing)?;
        cleared = true;
    }
    // `ClnShutBitMask`. FAT12 has none.
    let clean = match volume.kind {
        FatKind::Fat12 => 0,
        FatKind::Fat16 => 1 << 15,
        FatKind::Fat32 => 1 << 27,
    };
    if volume.entry(1) & clean != clean {
        let entry = volume.entry(1) | clean;
        volume.set_entry(window, 1, entry)?;
        cleared = true;
    }
    Ok(cleared)
}

fn changing(source: std::io::Error) -> FsError {
    FsError::Io { doing: "repair the boot file system".into(), source }
}
