//! What a scrub wiped, by kind.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::ByteSize;

/// What a scrub wiped. All zeros where there was nothing left to wipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ScrubReport {
    /// Bytes of free blocks or clusters that held data.
    pub free_bytes: u64,
    /// Bytes of the journal that held data.
    pub journal_bytes: u64,
    /// Inode slots in no use that were not empty.
    pub unused_inodes: u64,
    /// Directory blocks with names in their slack, or deleted entries on FAT.
    pub directory_entries: u64,
    /// Files with bytes behind their end.
    pub file_tails: u64,
    /// Bytes of blocks that a file owns but never wrote, or that lie behind its end.
    pub unwritten_bytes: u64,
    /// Inodes in use with remains in their inline area.
    pub inline_areas: u64,
    /// Blocks of a file's block map with remains behind the last entry.
    pub map_nodes: u64,
    /// Copies of the FAT that differed from the first one.
    pub table_copies: u64,
}

impl ScrubReport {
    /// Whether nothing was there to wipe.
    pub fn is_empty(&self) -> bool {
        *self == ScrubReport::default()
    }
}

impl fmt::Display for ScrubReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = [
            (self.free_bytes, "of free space"),
            (self.journal_bytes, "of journal"),
            (self.unwritten_bytes, "of unwritten blocks"),
        ];
        let counts = [
            (self.unused_inodes, "unused inodes"),
            (self.directory_entries, "places in directories"),
            (self.file_tails, "file tails"),
            (self.inline_areas, "inline areas"),
            (self.map_nodes, "block maps"),
            (self.table_copies, "table copies"),
        ];
        let sizes = sizes.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", ByteSize(*n)));
        let counts = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
        let all: Vec<String> = sizes.chain(counts).collect();
        if all.is_empty() { f.write_str("nothing to wipe") } else { write!(f, "wiped {}", all.join(", ")) }
    }
}
