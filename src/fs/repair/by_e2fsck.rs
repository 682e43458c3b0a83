//! The repair by `e2fsck -fp`, which corrects without asking what is safe to correct. It works on a private sparse copy
//! of the partition; what it changed is then taken over.

use std::io;
use std::os::unix::fs::FileExt;
use std::process::Command;

use tempfile::NamedTempFile;

use super::report::RepairReport;
use crate::fs::e2fsck::{program, words};
use crate::fs::{Clock, FsError};
use crate::image::zeros::all_zeros;
use crate::image::{ReadAt, WriteAt};
use crate::units::ByteOffset;

const CHUNK: u64 = 1 << 20;
const BLOCK: usize = 4096;

/// Has e2fsck repair what our own way could not: `finding` says why.
///
/// # Errors
/// `finding`, where e2fsck is not installed; [`FsError::Corrupt`] with its words where it gives up.
pub fn repair(window: &dyn WriteAt, clock: Clock, finding: FsError) -> Result<RepairReport, FsError> {
    // Without it our own finding is the answer. To guess on would be a repair that nobody checked.
    let Some(program) = program() else { return Err(finding) };
    let copy = whole_copy(window).map_err(copying)?;
    let output = Command::new(&program)
        .arg("-fp")
        .arg(copy.path())
        .env("LC_ALL", "C")
        // What it stamps into the superblock.
        .env("E2FSCK_TIME", clock.seconds.to_string())
        .env("SOURCE_DATE_EPOCH", clock.seconds.to_string())
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|source| FsError::Io { doing: format!("run {}", program.display()), source })?;
    // 0 clean, 1 corrected, 2 corrected and the system should be restarted.
    if !matches!(output.status.code(), Some(0..=2)) {
        let what = format!("{finding}; e2fsck -fp gave up: {}", words(&output));
        return Err(FsError::Corrupt { volume: "root", what });
    }
    // Only now: until e2fsck ended well, the image is as it was.
    take_over(window, &copy).map_err(copying)?;
    let done = vec!["repaired the root file system: journal, orphaned inodes and counts".to_owned()];
    Ok(RepairReport { done, by: "e2fsck -fp on a private copy" })
}

/// All that is no hole: before the journal is replayed, the bitmaps do not tell what is in use.
fn whole_copy(window: &dyn ReadAt) -> io::Result<NamedTempFile> {
    let copy = NamedTempFile::with_prefix("cardsmith-e2fsck-")?;
    copy.as_file().set_len(window.size().0)?;
    each_chunk(window, &mut |at, bytes| {
        // Zeros stay holes, so that the copy takes no more space than the card holds data.
        if !all_zeros(bytes) { copy.as_file().write_all_at(bytes, at) } else { Ok(()) }
    })?;
    Ok(copy)
}

fn take_over(window: &dyn WriteAt, copy: &NamedTempFile) -> io::Result<()> {
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
        copy.as_file().read_exact_at(&mut theirs, at)?;
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

fn next_data(copy: &NamedTempFile, from: u64) -> Option<u64> {
    // An error means that no data follows (`ENXIO`).
    rustix::fs::seek(copy.as_file(), rustix::fs::SeekFrom::Data(from)).ok()
}

fn each_chunk(window: &dyn ReadAt, see: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut from = ByteOffset(0);
    while let Some(data) = window.next_data(from)? {
        let mut at = data.start.0;
        while at < data.end().0 {
            buffer.resize(usize::try_from(CHUNK.min(data.end().0 - at)).unwrap_or(0), 0);
            window.read_at(ByteOffset(at), &mut buffer)?;
            see(at, &buffer)?;
            at += buffer.len() as u64;
        }
        from = data.end();
    }
    Ok(())
}

pub fn copying(source: io::Error) -> FsError {
    FsError::Io { doing: "keep a private copy of the root file system for its repair".into(), source }
}
