//! The repair by `e2fsck -fp`, which corrects without asking what is safe to correct. It works on a private sparse copy
//! of the partition; what it changed is then taken over.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::report::RepairReport;
use crate::fs::e2fsck::{PROGRAM, words};
use crate::fs::private_copy::{PrivateCopy, program};
use crate::fs::{Clock, FsError};
use crate::image::WriteAt;
use crate::units::{ByteOffset, ByteRange};

const CHUNK: u64 = 1 << 20;
const BLOCK: usize = 4096;

/// Has e2fsck repair what our own way could not: `finding` says why.
///
/// # Errors
/// `finding`, where e2fsck is not installed; [`FsError::Corrupt`] with its words where it gives up;
/// [`FsError::NoRoom`].
pub fn repair(window: &dyn WriteAt, clock: Clock, finding: FsError) -> Result<RepairReport, FsError> {
    // Without it our own finding is the answer. To guess on would be a repair that nobody checked.
    let Some(program) = program(PROGRAM) else { return Err(finding) };
    // All that is no hole: before the journal is replayed, the bitmaps do not tell what is in use.
    let whole = [ByteRange::new(0, window.size().0)];
    let copy = PrivateCopy::of(&window, &whole, "copy the root file system for its repair by e2fsck")?;
    // What it stamps into the superblock.
    let clock = clock.seconds.to_string();
    let output = copy.judged_by(&program, "-fp", &[("E2FSCK_TIME", clock.clone()), ("SOURCE_DATE_EPOCH", clock)])?;
    // 0 clean, 1 corrected, 2 corrected and the system should be restarted.
    if !matches!(output.status.code(), Some(0..=2)) {
        let what = format!("{finding}; e2fsck -fp gave up: {}", words(&output));
        return Err(FsError::Corrupt { volume: "root", what });
    }
    // Only now: until e2fsck ended well, the image is as it was.
    take_over(window, copy.file()).map_err(copying)?;
    let done = vec!["repaired the root file system: journal, orphaned inodes and counts".to_owned()];
    Ok(RepairReport { done, by: "e2fsck -fp on a private copy" })
}

fn take_over(window: &dyn WriteAt, copy: &File) -> io::Result<()> {
    let size = window.size().0;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < size {
        // Where neither has data there is nothing to compare.
        let next = [window.next_data(ByteOffset(at))?.map(|data| data.start.0), next_data(copy, at)];
        let Some(start) = next.into_iter().flatten().min() else { return Ok(()) };
        // From a block's start, but not back into what was compared already.
        at = (start - start % BLOCK as u64).max(at);
        let len = usize::try_from(CHUNK.min(size - at)).unwrap_or(0);
        ours.resize(len, 0);
        theirs.resize(len, 0);
        window.read_at(ByteOffset(at), &mut ours)?;
        copy.read_exact_at(&mut theirs, at)?;
        // Block by block: only what e2fsck changed may count as an edit.
        for (n, (old, new)) in ours.chunks(BLOCK).zip(theirs.chunks(BLOCK)).enumerate() {
            if old != new {
                window.write_at(ByteOffset(at + (n * BLOCK) as u64), new)?;
            }
        }
        at += len as u64;
    }
    Ok(())
}

fn next_data(copy: &File, from: u64) -> Option<u64> {
    // An error means that no data follows (`ENXIO`).
    rustix::fs::seek(copy, rustix::fs::SeekFrom::Data(from)).ok()
}

pub fn copying(source: io::Error) -> FsError {
    FsError::Io { doing: "keep a private copy of the root file system for its repair".into(), source }
}
