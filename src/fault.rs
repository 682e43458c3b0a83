//! Places where a test can let the process die, as kill -9 or a power cut would.
//!
//! They are compiled with the feature `fault-points` alone, which `scripts/test` switches on: no environment may kill
//! the program that ships. With it, `CARDSMITH_FAULT_AT=n` kills the process with SIGKILL at the n-th fault point that
//! it passes. There is one before and one after every ledger write and every call to AWS, so that counting n up from 1
//! until the run survives visits every boundary between two acts.

/// Dies here, if a test says so. The name is for who reads the code.
#[cfg(not(feature = "fault-points"))]
#[inline]
pub const fn point(_name: &str) {}

#[cfg(feature = "fault-points")]
pub use armed::point;

#[cfg(feature = "fault-points")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    static DEADLY: OnceLock<Option<u64>> = OnceLock::new();

    /// Dies here, if the environment says so. `_name` is for who reads the code.
    pub fn point(_name: &str) {
        let deadly = DEADLY.get_or_init(|| std::env::var("CARDSMITH_FAULT_AT").ok()?.parse().ok());
        let Some(deadly) = *deadly else { return };
        if PASSED.fetch_add(1, Ordering::SeqCst) + 1 == deadly {
            // SIGKILL, not abort: no destructor, no flush, nothing that a power cut would not do either.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }
}
