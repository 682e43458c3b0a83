//! FAT: free clusters, the rest of last clusters, deleted directory entries with their long-name fragments, and copies
//! of the table that do not agree.

use super::report::ScrubReport;
use super::wiper::Wiper;
use crate::fs::FsError;
use crate::fs::fat::names::short_name_sum;
use crate::fs::fat::volume::FIRST_CLUSTER;
use crate::fs::fat::walk::{ATTR_LONG_NAME, DELETED, ENTRY_BYTES, Node, directory_places};
use crate::fs::fat::{FatTree, FatVolume};
use crate::units::ByteRange;

pub fn scrub(wiper: &Wiper<'_>, volume: &FatVolume, tree: &FatTree) -> Result<ScrubReport, FsError> {
    let mut report = ScrubReport::default();
    free_clusters(wiper, volume, &mut report)?;
    for node in &tree.nodes {
        if node.is_directory {
            directory(wiper, volume, node, &mut report)?;
        } else {
            tail(wiper, volume, node, &mut report)?;
        }
    }
    table_copies(wiper, volume, &mut report)?;
    // Last: it follows from the table, which nothing changes any more.
    volume.write_info(wiper.window)?;
    Ok(report)
}

fn free_clusters(wiper: &Wiper<'_>, volume: &FatVolume, report: &mut ScrubReport) -> Result<(), FsError> {
    let end = volume.clusters + FIRST_CLUSTER;
    let mut cluster = FIRST_CLUSTER;
    while cluster < end {
        let first = cluster;
        while cluster < end && volume.entry(cluster) == 0 {
            cluster += 1;
        }
        if let Some(place) = volume.place(first).filter(|_| cluster > first) {
            let free = ByteRange::new(place.start.0, u64::from(cluster - first) * volume.cluster_bytes);
            report.free_bytes += wiper.punch(free)?;
        }
        // The cluster that ended the stretch is in use.
        cluster += 1;
    }
    // What is too small for a cluster behind the last one belongs to nobody.
    let behind = volume.data_start + u64::from(volume.clusters) * volume.cluster_bytes;
    report.free_bytes += wiper.punch(ByteRange::new(behind, volume.total_bytes.saturating_sub(behind)))?;
    Ok(())
}

fn tail(wiper: &Wiper<'_>, volume: &FatVolume, file: &Node, report: &mut ScrubReport) -> Result<(), FsError> {
    let mut left = file.size;
    for place in file.chain.iter().filter_map(|&cluster| volume.place(cluster)) {
        let used = left.min(place.len.0);
        left -= used;
        let rest = ByteRange::new(place.start.0 + used, place.len.0 - used);
        if !rest.is_empty() && wiper.zero(rest)? {
            report.file_tails += 1;
        }
    }
    Ok(())
}

fn directory(wiper: &Wiper<'_>, volume: &FatVolume, node: &Node, report: &mut ScrubReport) -> Result<(), FsError> {
    let places = directory_places(volume, node);
    if !places.iter().any(|place| wiper.touches(*place)) {
        return Ok(());
    }
    // As a whole, because a long name may reach from one cluster into the next.
    let mut before = Vec::new();
    for place in &places {
        before.extend(wiper.read(*place)?);
    }
    let mut after = before.clone();
    report.directory_entries += clean_entries(&mut after);
    let mut at = 0;
    for place in &places {
        let end = at + usize::try_from(place.len.0).unwrap_or(0);
        let (old, new) = (before.get(at..end).unwrap_or_default(), after.get(at..end).unwrap_or_default());
        if old != new {
            wiper.replace(place.start, new)?;
        }
        at = end;
    }
    Ok(())
}

/// Empties deleted entries, long names that belong to no entry, and everything behind the last one. Returns how many
/// entries that changed.
fn clean_entries(entries: &mut [u8]) -> u64 {
    let mut cleaned = 0;
    let mut live_end = 0;
    let mut ended = false;
    // Long-name fragments that wait for their short entry.
    let mut waiting: Vec<usize> = Vec::new();
    let count = entries.len() / ENTRY_BYTES;
    let entry = |entries: &[u8], n: usize| -> [u8; ENTRY_BYTES] {
        entries.get(n * ENTRY_BYTES..).and_then(|rest| rest.first_chunk().copied()).unwrap_or([0; ENTRY_BYTES])
    };
    let mut dead: Vec<usize> = Vec::new();
    for n in 0..count {
        let here = entry(entries, n);
        // The first zero ends the directory.
        ended |= here[0] == 0;
        if ended || here[0] == DELETED {
            // Fragments without a short entry behind them belong to nothing.
            dead.append(&mut waiting);
            dead.push(n);
        } else if here[11] & ATTR_LONG_NAME == ATTR_LONG_NAME {
            // The first fragment that is stored is the last of the name, and marked.
            if here[0] & 0x40 != 0 {
                dead.append(&mut waiting);
            }
            waiting.push(n);
        } else {
            // `LDIR_Chksum` is byte 13 of a fragment.
            let belongs = |&fragment: &usize| entry(entries, fragment)[13] == short_name_sum(&here);
            if waiting.iter().all(belongs) {
                waiting.clear();
            } else {
                dead.append(&mut waiting);
            }
            // Up to here no entry may become zeros: that would end the directory.
            live_end = n + 1;
        }
    }
    dead.append(&mut waiting);
    for n in dead {
        let mut clean = [0; ENTRY_BYTES];
        if n < live_end {
            clean[0] = DELETED;
        }
        if let Some(place) = entries.get_mut(n * ENTRY_BYTES..(n + 1) * ENTRY_BYTES)
            && *place != clean
        {
            place.copy_from_slice(&clean);
            cleaned += 1;
        }
    }
    cleaned
}

fn table_copies(wiper: &Wiper<'_>, volume: &FatVolume, report: &mut ScrubReport) -> Result<(), FsError> {
    const CHUNK: u64 = 1 << 20;
    for copy in 1..volume.tables {
        let mut differs = false;
        let mut at = 0;
        while at < volume.table_bytes {
            let len = CHUNK.min(volume.table_bytes - at);
            let first = wiper.read(ByteRange::new(volume.table_start + at, len))?;
            let place = ByteRange::new(volume.table_start + copy * volume.table_bytes + at, len);
            if wiper.read(place)? != first {
                wiper.replace(place.start, &first)?;
                differs = true;
            }
            at += len;
        }
        report.table_copies += u64::from(differs);
    }
    Ok(())
}
