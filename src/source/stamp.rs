//! Which file it is and when it was last written to, to tell whether it is still what it was.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The clock of a file system may be so coarse (FAT: two seconds) that a second change of a file in the same moment cannot
/// be seen.
const COARSEST: Duration = Duration::from_secs(3);

/// What changes when anybody writes to a regular file: its change time cannot be set back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of a regular file. Block devices have no useful one.
    pub(super) fn of(file: &File) -> Option<Stamp> {
        // The times of a block device say nothing about its bytes.
        let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let (modified, changed) = ((meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
        Some(Stamp { device: meta.dev(), inode: meta.ino(), size: meta.len(), modified, changed })
    }

    /// Whether nothing was written between two looks at a file. Another name or other rights do not count.
    pub(super) fn unwritten(before: &Option<Stamp>, after: &Option<Stamp>) -> bool {
        // Not the change time, which moves with names and rights.
        let written = |stamp: &Option<Stamp>| stamp.as_ref().map(|stamp| (stamp.size, stamp.modified));
        written(before) == written(after)
    }

    /// Whether a change that came at `now` or later would change the stamp, however coarse the clock is.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let changed = u64::try_from(self.changed.0).ok().map(Duration::from_secs);
        // What no clock can say counts as not settled.
        let latest = changed.and_then(|changed| UNIX_EPOCH.checked_add(changed)?.checked_add(COARSEST));
        latest.is_some_and(|latest| latest < now)
    }
}
