//! Makes file systems of a card whose power was cut fit for editing, inside the overlay: replays the journal, releases
//! orphaned inodes, brings counts and copies of tables up to date. Done in our own code and checked; where that does
//! not do, by `e2fsck -fp` on a private copy. It repairs what a power cut leaves, nothing more.

mod by_e2fsck;
mod counts;
mod fat;
mod orphan_file;
mod replay;
mod report;

use std::sync::Arc;

use super::ext4::Superblock;
use super::ext4::features::{compat, incompat};
use super::probe;
use super::{Clock, FsError, check, e2fsck, fsck_fat};
use crate::image::overlay::Overlay;
use crate::image::{ReadAt, WriteAt};
pub use report::RepairReport;

/// Repairs the file system in `window`, ext4 or FAT, where that is needed, and makes sure that it is consistent.
/// `None` where it was clean. Times that are written are `clock`'s.
///
/// # Errors
/// [`FsError::Corrupt`] for damage that a power cut does not explain, [`FsError::Unsupported`], [`FsError::Io`].
/// `window` is then as it was.
pub fn repair(window: Arc<dyn WriteAt>, clock: Clock) -> Result<Option<RepairReport>, FsError> {
    match probe::kind_of(&window)? {
        kind if kind.is_fat() => boot(&*window, Arc::new(Overlay::new(window.clone()).map_err(by_e2fsck::copying)?)),
        _ => ext4(window, clock),
    }
}

fn boot(window: &dyn WriteAt, attempt: Arc<Overlay>) -> Result<Option<RepairReport>, FsError> {
    let report = fat::repair(&attempt)?;
    if report.is_some() {
        // What was put right is judged by others before it is taken over.
        fsck_fat::check(&attempt)?;
        adopt(window, &attempt)?;
    }
    Ok(report)
}

fn ext4(window: Arc<dyn WriteAt>, clock: Clock) -> Result<Option<RepairReport>, FsError> {
    let sb = Superblock::read(&window)?;
    if sb.incompat & incompat::RECOVER != 0 && sb.compat & compat::FAST_COMMIT != 0 {
        // e2fsck 1.47.0 drops fast commits, which the kernel would replay: files that the card had would be missing.
        let what = "its power was cut and its journal has fast commits, which only Linux replays: mount it once";
        return Err(FsError::Unsupported { volume: "root", what: what.into() });
    }
    // Kept, not returned: our own way must not touch such a file system, but e2fsck may.
    let errors_noted = sb.refuse_noted_errors();
    let put_away = errors_noted.is_ok() && !sb.needs_repair() && sb.is_marked_clean();
    // A clean mark alone is not believed: it says how the last mount ended, not what became of the blocks since.
    if put_away && check::check(window.clone()).is_ok() {
        return Ok(None);
    }
    // On top of the window, so that an attempt that fails leaves nothing behind.
    let base: Arc<dyn ReadAt> = window.clone();
    let attempt = Arc::new(Overlay::new(base).map_err(by_e2fsck::copying)?);
    // Checked before anything is taken over, by the code that golden trusts afterwards, too.
    let result = errors_noted.and_then(|()| replay::repair(attempt.clone(), clock));
    match result.and_then(|done| check::check(attempt.clone()).map(|_| done)) {
        Ok(done) => {
            adopt(&*window, &attempt)?;
            Ok(Some(RepairReport { done, by: "cardsmith, and checked" }))
        }
        Err(finding) if put_away => second_opinion(&window, clock, finding),
        Err(finding) => by_e2fsck::repair(&*window, clock, finding).map(Some),
    }
}

/// Our check finds something in a file system that calls itself clean, and correcting counts does not help. e2fsck has
/// the last word where it is installed.
fn second_opinion(window: &Arc<dyn WriteAt>, clock: Clock, finding: FsError) -> Result<Option<RepairReport>, FsError> {
    match e2fsck::check(&**window) {
        // e2fsck finds nothing wrong, so our check is too strict.
        Ok(Some(_)) => Ok(None),
        Ok(None) => Err(finding),
        // It agrees, so it may repair.
        Err(_) => by_e2fsck::repair(&**window, clock, finding).map(Some),
    }
}

/// Takes what the attempt changed over into the window.
fn adopt(window: &dyn WriteAt, attempt: &Overlay) -> Result<(), FsError> {
    const CHUNK: u64 = 1 << 20;
    // Only what differs: a block that was written with what stood there would count as an edit of the image.
    for range in attempt.differing().map_err(by_e2fsck::copying)? {
        let mut at = range.start.0;
        while at < range.end().0 {
            let mut bytes = vec![0; usize::try_from(CHUNK.min(range.end().0 - at)).unwrap_or(0)];
            let place = crate::units::ByteOffset(at);
            attempt.read_at(place, &mut bytes).map_err(by_e2fsck::copying)?;
            window.write_at(place, &bytes).map_err(by_e2fsck::copying)?;
            at += bytes.len() as u64;
        }
    }
    Ok(())
}
