//! One start of `flash`, and the lock that tells whether it still lives.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// One start of `flash`. Ends when it is given to [`Ledger::end_run`]; dropped without that, or killed, it counts as
/// crashed and the next run looks after what it left.
pub struct Run {
    pub(super) id: String,
    pub(super) recipe: String,
    // Locked as long as the process lives: the kernel lets go of it whatever kills us, which no entry of ours could.
    pub(super) lock: File,
    pub(super) lock_path: PathBuf,
}

impl Run {
    /// The run's UUID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The recipe's name.
    pub fn recipe(&self) -> &str {
        &self.recipe
    }
}

/// The lock of a run that died. Held while its cards are buried, so that two sweeps do not do it both.
pub(super) enum Lock {
    Taken(#[allow(dead_code)] File),
    Gone,
}

/// The lock of a run that died, or `None` where the run lives.
pub(super) fn lock_of_dead_run(path: &Path) -> io::Result<Option<Lock>> {
    let file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        // It is made before its run is recorded, so this run does not live: the ledger was copied without its locks, or
        // somebody tidied up.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Lock::Gone)),
        Err(error) => return Err(error),
    };
    // Without waiting: a run that lives holds it to its end.
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock::Taken(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
