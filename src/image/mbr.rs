//! Master boot records.

use super::bytes::{ReadAt, Seekable};
use super::partition_table::{Partition, PartitionError, PartitionTable, TableKind, sectors};
use super::volume::VolumeKind;
use crate::units::ByteOffset;

/// What sector 0 says.
pub(super) enum Found {
    /// A table of its own.
    Table(PartitionTable),
    /// Only that the real table is a GPT.
    Protective,
}

pub(super) fn read(reader: &mut Seekable<'_>, image: &dyn ReadAt) -> Result<Found, PartitionError> {
    let Ok(header) = mbrman::MBRHeader::read_from(reader) else {
        return Err(without_table(image, PartitionError::NoTable));
    };
    let used: Vec<_> = header.iter().filter(|(_, entry)| entry.is_used()).collect();
    // A volume that begins at sector 0 can end it in 55 AA like a table. What once was in the gap before the first
    // partition is no argument against a table that has entries, so only then the content decides.
    if used.is_empty() {
        return Err(without_table(image, PartitionError::NoPartitions { kind: TableKind::Mbr }));
    }
    if used.iter().any(|(_, entry)| entry.sys == 0xEE) {
        return Ok(Found::Protective);
    }
    // The kernel prints the id as a little-endian number: PARTUUID=4f2a9c31-02.
    let disk_id = format!("{:08x}", u32::from_le_bytes(header.disk_signature));
    let mut partitions = Vec::new();
    for (index, entry) in used {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        if entry.is_extended() || matches!(entry.sys, 0x05 | 0x0F | 0x85) {
            return Err(PartitionError::Extended { number, type_id: entry.sys });
        }
        partitions.push(Partition {
            number,
            range: sectors(TableKind::Mbr, number, entry.starting_lba.into(), entry.sectors.into())?,
            type_text: type_text(entry.sys),
            part_uuid: format!("{disk_id}-{number:02x}"),
        });
    }
    Ok(Found::Table(PartitionTable { kind: TableKind::Mbr, disk_id, partitions }))
}

/// What to say of an image that has no table: the volume that it is instead, or `otherwise`.
fn without_table(image: &dyn ReadAt, otherwise: PartitionError) -> PartitionError {
    match VolumeKind::probe(image) {
        Ok(VolumeKind::Unknown) => otherwise,
        Ok(found) => PartitionError::BareVolume { found },
        Err(source) => PartitionError::Read { at: ByteOffset(0), source },
    }
}

/// The types that are met on cards, by the names that fdisk prints.
fn type_text(sys: u8) -> String {
    let name = match sys {
        0x01 => "FAT12",
        0x04 | 0x06 => "FAT16",
        0x07 => "HPFS/NTFS/exFAT",
        0x0B => "FAT32",
        0x0C => "FAT32 (LBA)",
        0x0E => "FAT16 (LBA)",
        0x82 => "Linux swap",
        0x83 => "Linux",
        0x8E => "Linux LVM",
        0xEF => "EFI system",
        0xFD => "Linux RAID",
        _ => return format!("0x{sys:02x}"),
    };
    format!("0x{sys:02x} {name}")
}
