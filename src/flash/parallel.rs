//! Several requests to one medium at a time, each on a thread of its own, taken up strictly in order.
//!
//! A device is idle between two requests of a program that makes one after the other. With a second one waiting it
//! never is, and what a thread does beside the request (reading the golden image, hashing) costs no time at all.
//!
//! Threads and not `io_uring`: its safe wrappers own their buffers and want an executor, the plain ones are `unsafe`,
//! which this crate forbids outside of `storage/ioctl.rs`; container sandboxes often switch it off; and it has nothing to win
//! here, where a request is a MiB or two and two or three at a time fill every card reader. fio, three requests of 1 MiB at
//! a time on a loop device with direct I/O (Linux 6.18, 2026-11-28): 333 to 413 MB/s from threads, 351 to 369 from
//! `io_uring`, with the same CPU time.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Runs `work` on what `next` gives out, `at_once` at a time, until there is no more or the first error of either.
///
/// `next` is never called by two threads at once, and a thread goes to work as soon as it has its job: requests reach the
/// device in the order of `next`, give or take the threads, which is sequential as far as a card can tell.
pub(super) fn in_parallel<J, E>(
    at_once: usize,
    next: impl FnMut() -> Result<Option<J>, E> + Send,
    work: impl Fn(J) -> Result<(), E> + Sync,
) -> Result<(), E>
where
    E: Send + From<io::Error>,
{
    let next = Mutex::new(next);
    let stopped = AtomicBool::new(false);
    let first_error = Mutex::new(None);
    let worker = || {
        while !stopped.load(Ordering::Relaxed) {
            let job = (*next.lock().unwrap_or_else(PoisonError::into_inner))();
            let error = match job {
                Ok(None) => return,
                Ok(Some(job)) => work(job).err(),
                Err(error) => Some(error),
            };
            if let Some(error) = error {
                stopped.store(true, Ordering::Relaxed);
                first_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..at_once {
            // One thread is enough to get the work done, and this thread is one.
            let _ = thread::Builder::new().name("card worker".to_owned()).spawn_scoped(scope, worker);
        }
        worker();
    });
    first_error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
