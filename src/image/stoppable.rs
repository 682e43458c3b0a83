//! An image that stops being readable when nobody wants the work any more for which it is read.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bytes::ReadAt;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// Reads as `image` does until `stop` is set; from then on every read fails.
pub struct Stoppable<T> {
    image: T,
    stop: Arc<AtomicBool>,
}

impl<T: ReadAt> Stoppable<T> {
    /// `image`, until `stop` is set.
    pub fn new(image: T, stop: Arc<AtomicBool>) -> Stoppable<T> {
        Stoppable { image, stop }
    }
}

impl<T: ReadAt> ReadAt for Stoppable<T> {
    fn size(&self) -> ByteSize {
        self.image.size()
    }

    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        match self.stop.load(Ordering::Relaxed) {
            // Not `Interrupted`, which many a reader takes for an invitation to try again.
            true => Err(io::Error::other("it is not wanted any more")),
            false => self.image.read_at(at, buf),
        }
    }

    fn next_data(&self, from: ByteOffset) -> io::Result<Option<ByteRange>> {
        // Not stopped: this only says where data is, and the read that follows fails.
        self.image.next_data(from)
    }
}
