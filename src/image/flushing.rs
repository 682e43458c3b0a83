//! Bringing a large file to the disk while it is still being made: at its end the disk would be the only one at work.

use std::fs::File;
use std::io;
use std::sync::mpsc::sync_channel;
use std::thread;

/// So much is written before the disk is told to begin.
const STEP: u64 = 64 << 20;

/// What the maker of a file tells how much it has written.
pub(super) struct Flusher<'f> {
    unflushed: u64,
    begin: Box<dyn Fn() + 'f>,
}

impl Flusher<'_> {
    /// So many bytes more are written.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.unflushed = self.unflushed.saturating_add(bytes);
        if self.unflushed >= STEP {
            self.unflushed = 0;
            (self.begin)();
        }
    }
}

/// Does `work`, which writes to `file`, while another thread has what is there already put on the disk. It does not wait
/// for the rest: whoever gives the file its name does that.
///
/// # Errors
/// Those of `work`. Those of the disk: they are told once, so they must not be lost here.
pub(super) fn while_flushing<T>(file: &File, work: impl FnOnce(&mut Flusher<'_>) -> io::Result<T>) -> io::Result<T> {
    thread::scope(|scope| {
        let (send, asked) = sync_channel::<()>(1);
        let flushing = scope.spawn(move || asked.into_iter().try_for_each(|()| file.sync_data()));
        // Where it is still at it, or gave up, the next time is early enough.
        let begin = Box::new(move || _ = send.try_send(()));
        let mut flusher = Flusher { unflushed: 0, begin };
        let done = work(&mut flusher)?;
        drop(flusher);
        flushing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(done)
    })
}
