//! The digest of a base image's file as it was published: known, or being computed beside other work.
//!
//! To hash a raw image takes longer than to plan and make all the edits. Nothing that is made of it appears before the
//! digest is known, so it need not be waited for until then.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::error::SourceError;
use crate::digest::Sha256Digest;
use crate::image::bytes::ReadAt;
use crate::image::hashing::digest_of;
use crate::image::stoppable::Stoppable;
use crate::progress::Task;
use crate::units::ByteOffset;

/// A digest, or the promise of one.
pub struct PublishedDigest(State);

enum State {
    Known(Sha256Digest),
    Computed(JoinHandle<Result<Sha256Digest, SourceError>>, Unwanted),
}

/// Dropped, it ends the work.
struct Unwanted(Arc<AtomicBool>);

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl PublishedDigest {
    pub(super) fn known(digest: Sha256Digest) -> PublishedDigest {
        PublishedDigest(State::Known(digest))
    }

    /// Computes the digest of `image`, the file `path`, on a thread of its own, and has it looked at by `check`.
    ///
    /// # Errors
    /// [`SourceError::Open`] where this machine has no thread for it.
    pub(super) fn computed(
        image: Arc<dyn ReadAt>,
        path: &Path,
        mut task: Box<dyn Task>,
        check: impl Fn(Sha256Digest) -> Result<(), SourceError> + Send + 'static,
    ) -> Result<PublishedDigest, SourceError> {
        // The promise holds it: when nobody waits any more, the hashing stops.
        let unwanted = Unwanted(Arc::default());
        let image = Stoppable::new(image, unwanted.0.clone());
        let read = path.to_owned();
        let hash = move || {
            task.stage("checksum", Some(image.size()));
            // How far it came, for the message of a read error.
            let mut at = ByteOffset(0);
            let found = digest_of(&image, &mut |done| {
                at = ByteOffset(done.0);
                task.at(done);
            });
            let checked = found.map_err(|source| SourceError::Read { path: read, at, source });
            // On this thread, so that an error is told in the progress at once, and not when somebody comes to wait.
            let checked = checked.and_then(|found| check(found).map(|()| found));
            match &checked {
                Ok(_) => task.done(&format!("raw image of {}", image.size())),
                Err(_) => task.failed("not usable"),
            }
            checked
        };
        let thread = thread::Builder::new().name("base digest".to_owned()).spawn(hash);
        let thread = thread.map_err(|source| SourceError::Open { path: path.to_owned(), source })?;
        Ok(PublishedDigest(State::Computed(thread, unwanted)))
    }

    /// The digest, as soon as it is there. It is the one that was asked for, where one was.
    ///
    /// # Errors
    /// [`SourceError::Checksum`] where it is another one, [`SourceError::Changed`], [`SourceError::Read`].
    pub fn wait(self) -> Result<Sha256Digest, SourceError> {
        match self.0 {
            State::Known(digest) => Ok(digest),
            // Bound, not ignored: dropped before the join, it would stop the thread.
            State::Computed(thread, _still_wanted) => {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
        }
    }
}
