//! Who owns a byte of an image: asked only when a trace was found, so it may take its time.

use std::fmt;

use super::editable::EditableImage;
use crate::fs::ImagePath;
use crate::fs::owner::FileBlocks;
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

/// Who owns what, of one image.
pub struct Owners<'a> {
    opened: &'a EditableImage,
    /// `None` where the tree cannot be read: then every byte of it counts as left behind, which is the stricter answer.
    files: Option<FileBlocks>,
}

impl<'a> Owners<'a> {
    /// Reads which file has which blocks.
    pub fn of(opened: &'a EditableImage) -> Owners<'a> {
        Owners { opened, files: FileBlocks::of(&opened.root).ok() }
    }

    /// Who owns the byte at `at`.
    pub fn at(&self, at: ByteOffset) -> Owner {
        let byte = ByteRange { start: at, len: crate::units::ByteSize(1) };
        let Some(partition) = self.opened.table.partitions.iter().find(|p| p.range.intersect(&byte).is_some()) else {
            return Owner::Gap;
        };
        if partition.number == self.opened.boot_partition.number {
            return Owner::Boot;
        }
        if partition.number != self.opened.root_partition.number {
            return Owner::OtherPartition(partition.number);
        }
        let inside = ByteOffset(at.0.saturating_sub(partition.range.start.0));
        match self.files.as_ref().and_then(|files| files.file_at(inside)) {
            Some(path) => Owner::File(path.clone()),
            None => Owner::RootStructure,
        }
    }
}
