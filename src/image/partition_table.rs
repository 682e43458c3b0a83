//! What a partition table says, and why one cannot be used. How each kind is read stands in files of their own.

use std::fmt;
use std::io;

use super::volume::VolumeKind;
use crate::units::{ByteOffset, ByteRange, ByteSize, Sector};

/// Which kind of table an image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// Master boot record: what every Raspberry Pi OS image has.
    Mbr,
    /// GUID partition table: met on disks of Pi 4 and 5.
    Gpt,
}

impl fmt::Display for TableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TableKind::Mbr => "MBR",
            TableKind::Gpt => "GPT",
        })
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number as Linux counts: `2` for `/dev/mmcblk0p2`.
    pub number: u32,
    /// Where it lies. Inside the image, and apart from every other partition.
    pub range: ByteRange,
    /// Its type as the table states it, for people: `0x0c FAT32 (LBA)`, `Linux filesystem`.
    pub type_text: String,
    /// What `PARTUUID=` in cmdline.txt and fstab calls it: `4f2a9c31-02`, or the GPT entry's GUID, in lower case.
    pub part_uuid: String,
}

/// A partition table that holds what it says: each partition lies inside the image and none overlaps another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTable {
    /// MBR or GPT.
    pub kind: TableKind,
    /// The disk's id: eight hex digits of the MBR, or the GPT's disk GUID, in lower case.
    pub disk_id: String,
    /// In the order of their numbers.
    pub partitions: Vec<Partition>,
}

/// Why a partition table cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartitionError {
    /// The image could not be read.
    #[error("could not read the partition table at {at}")]
    Read {
        /// Where.
        at: ByteOffset,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Too short to hold a table.
    #[error("the image has {size}: too short to hold a partition table; it is empty or cut off")]
    TooShort {
        /// How long the image is.
        size: ByteSize,
    },
    /// No table, but something that is known by its first bytes.
    #[error(
        "there is no partition table: the image begins with {found}. A whole card is needed, with its boot and root partition"
    )]
    BareVolume {
        /// What it is instead.
        found: VolumeKind,
    },
    /// No table.
    #[error("there is no partition table (no 55 AA signature in sector 0): this is not the image of a card")]
    NoTable,
    /// A table without partitions.
    #[error("the {kind} partition table is empty: there is no boot and no root partition")]
    NoPartitions {
        /// MBR or GPT.
        kind: TableKind,
    },
    /// Logical partitions.
    #[error(
        "partition {number} is an extended partition (type 0x{type_id:02x}). Raspberry Pi OS has none, NOOBS and PINN cards do: \
         take an image of one operating system"
    )]
    Extended {
        /// Which partition.
        number: u32,
        /// Its MBR type.
        type_id: u8,
    },
    /// It reaches behind the end of the image.
    #[error(
        "partition {number} ends at {end}, but the image ends at {size}: the image is cut off, or its table is wrong. \
         Read the card again, or download the image again"
    )]
    OutOfRange {
        /// Which partition.
        number: u32,
        /// Where it ends by the table.
        end: ByteOffset,
        /// Where the image ends.
        size: ByteOffset,
    },
    /// It has no bytes, its numbers make no sense, or it covers the table itself.
    #[error("partition {number} {what}: the {kind} partition table is damaged")]
    Senseless {
        /// MBR or GPT.
        kind: TableKind,
        /// Which partition.
        number: u32,
        /// In words.
        what: &'static str,
    },
    /// Two share bytes.
    #[error("partitions {first} and {second} overlap at {at}: the partition table is damaged")]
    Overlap {
        /// The one that begins first.
        first: u32,
        /// The other.
        second: u32,
        /// Where the shared bytes begin.
        at: ByteOffset,
    },
    /// The MBR announces a GPT that is not there or that is damaged.
    #[error(
        "the GUID partition table (GPT) is damaged: {what}. `sgdisk --verify` on a copy says more; read the card again"
    )]
    DamagedGpt {
        /// In words.
        what: String,
    },
}

/// The bytes of `sectors` sectors from `first`.
pub(super) fn sectors(kind: TableKind, number: u32, first: u64, sectors: u64) -> Result<ByteRange, PartitionError> {
    let senseless = |what| PartitionError::Senseless { kind, number, what };
    // Sector 0 holds the MBR, on a disk with a GPT as well.
    if first == 0 {
        return Err(senseless("covers the partition table itself"));
    }
    if sectors == 0 {
        return Err(senseless("has no sectors"));
    }
    let start = Sector(first).to_offset();
    // Sums that may overflow: the sector numbers of a GPT have 64 bits, and anybody may have written them.
    let end = first.checked_add(sectors).and_then(|end| Sector(end).to_offset());
    match (start, end) {
        (Some(start), Some(end)) => Ok(ByteRange::new(start.0, end.0 - start.0)),
        _ => Err(senseless("lies behind the end of every medium")),
    }
}
