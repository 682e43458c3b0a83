//! Bringing a large file to the disk while it is still being made: at its end the disk would be the only one at work.

use std::fs::File;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// So much is written before the disk is told to begin.
const STEP: u64 = 64 << 20;

/// Has what was written to a file put on the disk by another thread, step by step. It does not wait for the last step:
/// whoever gives the file its name does that.
pub(super) struct Flusher {
    unflushed: u64,
    begin: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Flusher {
    /// For `file`, to which nothing was written yet.
    ///
    /// # Errors
    /// What this machine reports when it has no thread or descriptor for it.
    pub(super) fn of(file: &File) -> io::Result<Flusher> {
        let file = file.try_clone()?;
        // One step waits at most: a disk that cannot follow gets larger steps, not more of them.
        let (begin, asked) = sync_channel::<()>(1);
        // Data only: the times of a file that is not complete are of no use.
        let flush = move || asked.into_iter().try_for_each(|()| file.sync_data());
        let thread = thread::Builder::new().name("flusher".to_owned()).spawn(flush)?;
        Ok(Flusher { unflushed: 0, begin, thread })
    }

    /// So many bytes more are written.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.unflushed = self.unflushed.saturating_add(bytes);
        if self.unflushed >= STEP {
            self.unflushed = 0;
            // Where it is still at it, or gave up, the next time is early enough.
            let _ = self.begin.try_send(());
        }
    }

    /// No more is written.
    ///
    /// # Errors
    /// Those of the disk. They are told only once, so they must not be lost.
    pub(super) fn finish(self) -> io::Result<()> {
        // Closing the channel ends the thread's loop behind the step that it is at.
        drop(self.begin);
        // A panic goes on here: lost, it would pass for a file that is on the disk.
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
