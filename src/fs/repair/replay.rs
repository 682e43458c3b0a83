//! The repair in our own code: `rust-fs-ext4` replays the journal and releases inodes on the orphan list; the orphan
//! file, which it does not know how to empty, and stale counts are ours.

use std::sync::Arc;

use fs_ext4::Filesystem;
use fs_ext4::error::Error as Ext4Error;

use super::{counts, orphan_file};
use crate::fs::ext4::Superblock;
use crate::fs::ext4::device::{FixedRuntime, PartitionDevice};
use crate::fs::ext4::features::{incompat, ro_compat};
use crate::fs::ext4::groups::Groups;
use crate::fs::ext4::lookup::fail;
use crate::fs::path::ImagePath;
use crate::fs::{Clock, FsError};
use crate::image::WriteAt;

/// Repairs the file system in `window`; says what was done.
///
/// # Errors
/// [`FsError`]; what was begun then stands in `window`.
pub fn repair(window: Arc<dyn WriteAt>, clock: Clock) -> Result<Vec<String>, FsError> {
    let mut done = Vec::new();
    let before = Superblock::read(&window)?;
    if before.incompat & incompat::RECOVER != 0 {
        replay(&window, clock)?;
        done.push("replayed the journal of the root file system".to_owned());
    }
    // Read anew: the journal may have held a newer superblock.
    let replayed = Superblock::read(&window)?;
    if replayed.incompat & incompat::RECOVER != 0 {
        return Err(FsError::Corrupt { volume: "root", what: "its journal could not be replayed".into() });
    }
    // Before the list, to which the inodes of the orphan file are moved.
    if replayed.ro_compat & ro_compat::ORPHAN_PRESENT != 0 {
        let groups = Groups::read(&window, &replayed)?;
        let moved = orphan_file::empty(&window, replayed, &groups)?;
        done.push(format!("emptied the orphan file ({moved} inodes)"));
    }
    let listed = Superblock::read(&window)?;
    if listed.last_orphan != 0 {
        let finished = mount(&window, clock)?;
        // On the way from mounting to giving it back, the library releases them.
        finished.finish().map_err(|e| fail(e, "release the orphaned inodes of", &ImagePath::root()))?;
        if Superblock::read(&window)?.last_orphan != 0 {
            let what = "its orphaned inodes could not be released".into();
            return Err(FsError::Corrupt { volume: "root", what });
        }
        done.push("released inodes that were deleted or cut short while in use".to_owned());
    }
    // Last, when bitmaps and inodes are as they will be.
    if counts::correct(&window)? {
        done.push("corrected free counts".to_owned());
    }
    Ok(done)
}

fn replay(window: &Arc<dyn WriteAt>, clock: Clock) -> Result<(), FsError> {
    match mount(window, clock) {
        Ok(fs) => fs.finish().or_else(only_orphans),
        // The journal may be replayed all the same: the caller looks.
        Err(FsError::Unsupported { .. }) => Ok(()),
        Err(e) => return Err(e),
    }
    .map_err(|e| fail(e, "replay the journal of", &ImagePath::root()))
}

/// With inodes in the orphan file the library replays the journal and then declines to write any further.
fn only_orphans(error: Ext4Error) -> Result<(), Ext4Error> {
    match error {
        Ext4Error::UnsupportedRoCompat(ro_compat::ORPHAN_PRESENT) => Ok(()),
        other => Err(other),
    }
}

fn mount(window: &Arc<dyn WriteAt>, clock: Clock) -> Result<Filesystem, FsError> {
    let device = Arc::new(PartitionDevice(window.clone()));
    Filesystem::mount_with_runtime(device, Arc::new(FixedRuntime::new(clock)))
        .map_err(|e| fail(e, "open", &ImagePath::root()))
}
