//! GUID partition tables.

use std::io::{Read, Seek, SeekFrom};

use ::gpt::disk::LogicalBlockSize;
use ::gpt::header::{Header, read_header_from_arbitrary_device};

use super::bytes::Seekable;
use super::partition_table::{Partition, PartitionError, PartitionTable, TableKind, sectors};
use crate::units::{ByteOffset, Sector};

/// The specification's minimum is 128 entries of 128 bytes, and nobody makes more.
const MOST_ENTRIES: u32 = 1024;
const ENTRY_BYTES: u32 = 128;

/// Reads the primary table. The copy at the end is not looked at: a card's capture is often longer or shorter than the
/// table thinks, and a primary table whose checksums hold is proof enough.
pub(super) fn read(reader: &mut Seekable<'_>) -> Result<PartitionTable, PartitionError> {
    let damaged = |what: &str| PartitionError::DamagedGpt { what: what.to_owned() };
    // Card readers show sectors of 512 bytes. A table that was made for 4096 is not found there, and is called damaged.
    let header = read_header_from_arbitrary_device(reader, LogicalBlockSize::Lb512)
        .map_err(|error| PartitionError::DamagedGpt { what: format!("its header at sector 1: {error}") })?;
    // Asked before the crate sees them: it takes other sizes as a reason to panic.
    if header.part_size != ENTRY_BYTES {
        return Err(PartitionError::DamagedGpt {
            what: format!("its entries have {} bytes instead of {ENTRY_BYTES}", header.part_size),
        });
    }
    // Before memory for them is taken.
    if header.num_parts > MOST_ENTRIES {
        return Err(PartitionError::DamagedGpt { what: format!("it claims {} entries", header.num_parts) });
    }
    // The crate reads the entries whether their checksum holds or not.
    if entries_checksum(reader, &header)? != header.crc32_parts {
        return Err(damaged("the checksum of its entries does not hold"));
    }
    let entries = ::gpt::partition::file_read_partitions(reader, &header, LogicalBlockSize::Lb512)
        .map_err(|error| PartitionError::DamagedGpt { what: format!("its entries: {error}") })?;
    let mut partitions = Vec::new();
    // A number is a place in the array: unused entries between count, as Linux counts.
    for (number, entry) in entries.iter().filter(|(_, entry)| entry.is_used()) {
        // `EndingLBA` belongs to the partition (UEFI 5.3.3). One that ends before it begins gets 0 sectors, which
        // `sectors` refuses.
        let last = entry.last_lba.checked_sub(entry.first_lba).and_then(|n| n.checked_add(1)).unwrap_or(0);
        let guid = entry.part_type_guid.guid;
        partitions.push(Partition {
            number: *number,
            range: sectors(TableKind::Gpt, *number, entry.first_lba, last)?,
            type_text: type_text(&guid.to_string()),
            part_uuid: entry.part_guid.to_string(),
        });
    }
    Ok(PartitionTable { kind: TableKind::Gpt, disk_id: header.disk_guid.to_string(), partitions })
}

fn entries_checksum(reader: &mut Seekable<'_>, header: &Header) -> Result<u32, PartitionError> {
    // `PartitionEntryLBA`: nearly always 2, but it may be anywhere.
    let at = Sector(header.part_start)
        .to_offset()
        .ok_or_else(|| PartitionError::DamagedGpt { what: "its entries lie behind every medium".to_owned() })?;
    let read = |reader: &mut Seekable<'_>| {
        // The cast is safe: the caller has checked both, so these are 128 KiB at most.
        let mut bytes = vec![0; (header.num_parts * ENTRY_BYTES) as usize];
        reader.seek(SeekFrom::Start(at.0))?;
        reader.read_exact(&mut bytes).map(|()| bytes)
    };
    let bytes = read(reader).map_err(|source| PartitionError::Read { at: ByteOffset(at.0), source })?;
    // UEFI's CRC-32 is the one that gzip uses.
    let mut checksum = flate2::Crc::new();
    checksum.update(&bytes);
    Ok(checksum.sum())
}

/// The types that are met on cards; the GUID itself for others.
fn type_text(guid: &str) -> String {
    match guid.to_ascii_lowercase().as_str() {
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" => "EFI system".to_owned(),
        "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7" => "Microsoft basic data".to_owned(),
        "0fc63daf-8483-4772-8e79-3d69d8477de4" => "Linux filesystem".to_owned(),
        // The two roots are those of the Discoverable Partitions Specification.
        "b921b045-1df0-41c3-af44-4c6f280d3fae" => "Linux root (arm64)".to_owned(),
        "69dad710-2ce4-4e3c-b16c-21a1d49abed3" => "Linux root (arm)".to_owned(),
        "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f" => "Linux swap".to_owned(),
        "e6d6d379-f507-44c2-a23c-238f2a3df928" => "Linux LVM".to_owned(),
        "ca7d7ccb-63ed-4c53-861c-1742536059cc" => "LUKS".to_owned(),
        other => other.to_owned(),
    }
}
