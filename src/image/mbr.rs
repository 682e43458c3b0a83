//! Master boot records.

use super::bytes::ReadAt;
use super::partition_table::{Partition, PartitionError, PartitionTable, TableKind, sectors};
use super::volume::VolumeKind;
use crate::units::{ByteOffset, SECTOR_BYTES};

/// What sector 0 says.
pub(super) enum Found {
    /// A table of its own.
    Table(PartitionTable),
    /// Only that the real table is a GPT.
    Protective,
}

/// One of the four entries, as far as it is used here: a medium's cylinders and heads mean nothing any more.
struct Entry {
    number: u32,
    sys: u8,
    first: u32,
    sectors: u32,
}

/// The bytes of sector 0 from `at`, a constant of the format; where it would leave the sector, zeros.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// The entries that say something. `None` where sector 0 is no table at all.
fn entries(sector: &[u8]) -> Option<Vec<Entry>> {
    // The boot signature, in the last two bytes of every MBR.
    if field(sector, 510) != [0x55, 0xAA] {
        return None;
    }
    let mut used = Vec::new();
    // Four entries of 16 bytes. What is before them is boot code.
    for (number, entry) in (1..).zip(sector.get(446..510)?.chunks_exact(16)) {
        let [boot, ..] = field::<16>(entry, 0);
        // What else is there at 55 AA is code, or the start of a volume.
        if boot & 0x7F != 0 {
            return None;
        }
        // Type, first sector and count; the cylinders and heads between them are not read.
        let [sys] = field(entry, 4);
        let (first, sectors) = (u32::from_le_bytes(field(entry, 8)), u32::from_le_bytes(field(entry, 12)));
        if sys != 0 {
            used.push(Entry { number, sys, first, sectors });
        }
    }
    Some(used)
}

pub(super) fn read(image: &dyn ReadAt) -> Result<Found, PartitionError> {
    let mut sector = [0; SECTOR_BYTES as usize];
    // A read error is not lost: `without_table` reads the same bytes again, and tells it.
    let used = image.read_at(ByteOffset(0), &mut sector).ok().and_then(|()| entries(&sector));
    let Some(used) = used else {
        return Err(without_table(image, PartitionError::NoTable));
    };
    // A volume that begins at sector 0 can end it in 55 AA like a table. What once was in the gap before the first
    // partition is no argument against a table that has entries, so only then the content decides.
    if used.is_empty() {
        return Err(without_table(image, PartitionError::NoPartitions { kind: TableKind::Mbr }));
    }
    // One entry of this type is enough: hybrid tables have others beside it.
    if used.iter().any(|entry| entry.sys == 0xEE) {
        return Ok(Found::Protective);
    }
    // The kernel prints the id as a little-endian number: PARTUUID=4f2a9c31-02.
    let disk_id = format!("{:08x}", u32::from_le_bytes(field(&sector, 440)));
    let mut partitions = Vec::new();
    for Entry { number, sys, first, sectors: length } in used {
        // 05 and 0F are the extended types of DOS and Windows, 85 is Linux's, C5 and D5 are those of DR-DOS and
        // Multiuser DOS.
        if matches!(sys, 0x05 | 0x0F | 0x85 | 0xC5 | 0xD5) {
            return Err(PartitionError::Extended { number, type_id: sys });
        }
        partitions.push(Partition {
            number,
            range: sectors(TableKind::Mbr, number, first.into(), length.into())?,
            type_text: type_text(sys),
            // Two hex digits, as the kernel names partitions of an MBR.
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
