//! Who owns a byte of an image: asked only when a trace was found, so it may take its time.

use std::fmt;

use super::editable::EditableImage;
use crate::fs::ImagePath;
use crate::units::{ByteOffset, ByteRange};

/// What a byte belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A live file of the root file system.
    File(ImagePath),
    /// The root file system, but no live file: free space, journal, directory or another structure.
    RootStructure,
    /// The boot partition.
    Boot,
    /// A partition that cardsmith does not know, by number.
    OtherPartition(u32),
    /// No partition.
    Gap,
}

impl Owner {
    /// Whether live content holds it, rather than what was left behind. FAT's free clusters are zeros after the scrub,
    /// so what stands in the boot partition is taken for a file's.
    pub fn is_file(&self) -> bool {
        matches!(self, Owner::File(_) | Owner::Boot)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::File(path) => write!(f, "{path}"),
            Owner::RootStructure => f.write_str("the root file system outside of any file"),
            Owner::Boot => f.write_str("the boot partition"),
            Owner::OtherPartition(number) => write!(f, "partition {number}"),
            Owner::Gap => f.write_str("the space between partitions"),
        }
    }
}

/// Who owns the byte at `at`.
pub fn owner(opened: &EditableImage, at: ByteOffset) -> Owner {
    let byte = ByteRange { start: at, len: crate::units::ByteSize(1) };
    let Some(partition) = opened.table.partitions.iter().find(|p| p.range.intersect(&byte).is_some()) else {
        return Owner::Gap;
    };
    if partition.number == opened.boot_partition.number {
        return Owner::Boot;
    }
    if partition.number != opened.root_partition.number {
        return Owner::OtherPartition(partition.number);
    }
    let inside = ByteOffset(at.0.saturating_sub(partition.range.start.0));
    match opened.root.file_at(inside) {
        Ok(Some(path)) => Owner::File(path),
        // Where the tree cannot be read it counts as residue, which is the stricter answer.
        _ => Owner::RootStructure,
    }
}
