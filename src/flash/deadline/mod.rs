//! A hang is not a wait: a request that takes far longer than the device's others is given up, and the card fails.
//!
//! A thread that hangs in the kernel cannot be stopped. So every request is made on a thread of a small pool, and who
//! wants its answer waits only so long. The thread that hangs keeps the medium open until the kernel returns; nobody
//! waits for it, and no further request is made: what comes late must not be mixed with what another run does to the
//! card. How long is long follows from how fast the device was so far; card readers pause for tens of seconds while a
//! card tidies up, and must be allowed to.

mod io_timeout;

use std::io;
use std::ops::Range;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use io_timeout::IoTimeout;

use super::buffer::{Pooled, SharedBytes};
use super::medium::{Medium, MediumRecord, ReadBack};
use super::request_limits::RequestLimits;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// A sync and a discard have more to do than a write has: everything that the card still keeps in its cache, or a table
/// of all blocks. So the pause is this many times as long for them.
const LONGER: u32 = 4;

/// How fast a device was so far.
struct Pace {
    bytes: u64,
    time: Duration,
    /// Written since the last sync.
    unsynced: u64,
}

impl Pace {
    fn expected(&self, bytes: u64) -> Duration {
        let seconds = self.time.as_secs_f64() * bytes as f64 / self.bytes.max(1) as f64;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    fn transferred(&mut self, bytes: u64, time: Duration) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.time = self.time.saturating_add(time);
    }
}

type Job = Box<dyn FnOnce(&dyn Medium) + Send>;

/// A thread that makes requests.
struct Worker {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

/// A medium that answers in time or not at all.
pub struct WithDeadlines {
    medium: Arc<Box<dyn Medium>>,
    io_timeout: IoTimeout,
    pace: Mutex<Pace>,
    idle: Mutex<Vec<Worker>>,
    /// What it did not answer to.
    unanswered: OnceLock<String>,
}

impl WithDeadlines {
    /// Puts deadlines on a device. A file's file system is not watched: that is this machine's own disk.
    pub fn on(medium: Box<dyn Medium>, io_timeout: IoTimeout) -> Box<dyn Medium> {
        // A network disk may well pause for a minute, and comes back; giving up on it would help nobody.
        if medium.is_fresh() {
            return medium;
        }
        // As slow as the slowest card, until it is known better.
        let pace = Pace { bytes: 1 << 20, time: Duration::from_secs(1), unsynced: 0 };
        Box::new(WithDeadlines {
            medium: Arc::new(medium),
            io_timeout,
            pace: Mutex::new(pace),
            idle: Mutex::default(),
            unanswered: OnceLock::new(),
        })
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn worker(&self) -> io::Result<Worker> {
        // A thread for each request would be simpler. It is kept and used again because a card takes dozens of
        // requests a second.
        let known = self.idle().pop();
        if let Some(worker) = known {
            return Ok(worker);
        }
        let (jobs, work) = channel::<Job>();
        let medium = self.medium.clone();
        let thread = thread::Builder::new().name("card request".to_owned()).spawn(move || {
            for job in work {
                job(&**medium);
            }
        })?;
        Ok(Worker { jobs, thread })
    }

    fn given_up(&self) -> Option<io::Error> {
        let what = self.unanswered.get()?;
        Some(io::Error::new(io::ErrorKind::TimedOut, what.clone()))
    }

    /// Has `request` made on another thread. What it reads from and writes to is its own: it must outlive who waits.
    fn request_within<T: Send + 'static>(
        &self,
        limit: Duration,
        request: impl FnOnce(&dyn Medium) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        if let Some(error) = self.given_up() {
            return Err(error);
        }
        let worker = self.worker()?;
        let (answer, answered) = sync_channel(1);
        let job: Job = Box::new(move |medium| {
            // Who asked may be gone: then nobody wants to know.
            let _ = answer.send(request(medium));
        });
        worker.jobs.send(job).map_err(|_| ended())?;
        match answered.recv_timeout(limit) {
            Ok(result) => {
                self.idle().push(worker);
                // Another request hangs: this card is given up, whatever this one did.
                self.given_up().map_or(result, Err)
            }
            Err(RecvTimeoutError::Timeout) => {
                // The worker is not put back: it hangs. All requests after this one fail at once, so that nothing is
                // written late.
                let _ = self.unanswered.set(format!("no answer within {} seconds", limit.as_secs_f64().ceil()));
                Err(self.given_up().unwrap_or_else(ended))
            }
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
        }
    }

    fn transfer_limit(&self, len: usize) -> Duration {
        self.io_timeout.pause.saturating_add(self.pace().expected(len as u64).saturating_mul(self.io_timeout.times))
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that makes requests ended")
}

impl Drop for WithDeadlines {
    fn drop(&mut self) {
        // These have nothing to do and end at once; then the device is closed when this returns. One that hangs is not
        // among them: it closes the device whenever it can.
        for worker in self.idle().drain(..) {
            drop(worker.jobs);
            let _ = worker.thread.join();
        }
    }
}

impl ReadBack for WithDeadlines {
    fn size(&self) -> ByteSize {
        self.medium.size()
    }

    fn read_back(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        let len = buf.len();
        let buffer = self.read_back_into(at, Pooled::zeroed(len), 0..len)?;
        buf.copy_from_slice(&buffer);
        Ok(())
    }

    fn read_back_into(&self, at: ByteOffset, buffer: Pooled, part: Range<usize>) -> io::Result<Pooled> {
        let (len, since) = (part.len(), Instant::now());
        let buffer =
            self.request_within(self.transfer_limit(len), move |medium| medium.read_back_into(at, buffer, part))?;
        self.pace().transferred(len as u64, since.elapsed());
        Ok(buffer)
    }
}

impl Medium for WithDeadlines {
    fn record(&self) -> MediumRecord {
        self.medium.record()
    }

    fn alignment(&self) -> ByteSize {
        self.medium.alignment()
    }

    fn limits(&self) -> RequestLimits {
        self.medium.limits()
    }

    fn write_at(&self, at: ByteOffset, bytes: &[u8]) -> io::Result<()> {
        self.write_shared(at, &SharedBytes::of(Arc::new(Pooled::copied(bytes)), 0..bytes.len()))
    }

    fn write_shared(&self, at: ByteOffset, bytes: &SharedBytes) -> io::Result<()> {
        let (len, since, bytes) = (bytes.len(), Instant::now(), bytes.clone());
        self.request_within(self.transfer_limit(len), move |medium| medium.write_shared(at, &bytes))?;
        let mut pace = self.pace();
        pace.transferred(len as u64, since.elapsed());
        pace.unsynced = pace.unsynced.saturating_add(len as u64);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        // The lock is not held while it waits: other threads go on writing, and what they write belongs to the next
        // sync.
        let behind = { self.pace().unsynced };
        let limit = self.io_timeout.pause.saturating_mul(LONGER).saturating_add(self.pace().expected(behind));
        self.request_within(limit, |medium| medium.sync())?;
        let mut pace = self.pace();
        pace.unsynced = pace.unsynced.saturating_sub(behind);
        Ok(())
    }

    fn discard(&self, range: ByteRange) -> io::Result<()> {
        // Some erase what they are told to discard, at the speed of writing.
        let limit = self.io_timeout.pause.saturating_mul(LONGER).saturating_add(self.pace().expected(range.len.0));
        self.request_within(limit, move |medium| medium.discard(range))
    }

    fn is_fresh(&self) -> bool {
        self.medium.is_fresh()
    }

    fn check_identity(&self) -> Result<(), String> {
        // No request to the device: it is sysfs and the kernel that are asked.
        self.medium.check_identity()
    }

    fn name_slot(&mut self, name: &str) {
        // No request was made yet, or all of its threads would have it, too.
        if let Some(medium) = Arc::get_mut(&mut self.medium) {
            medium.name_slot(name);
        }
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        if let Some(error) = self.given_up() {
            return Err(error);
        }
        let medium = self.medium.clone();
        drop(self);
        // All its threads ended, so nobody else has it.
        Arc::into_inner(medium).ok_or_else(ended)?.finish()
    }
}
