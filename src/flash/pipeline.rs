//! Two threads and a few buffers: one fills while the other drains.
//!
//! Every card has a pipeline of its own, from its own reads of the golden image. Cards that run in step share those
//! reads through the page cache; one that is slow or fails holds up nobody, because no card waits for another one's
//! buffers, and one that lags far behind just reads the local image again. That costs one digest per card and byte,
//! a few per cent of a core at the speed of a card, and it bounds memory at a few pieces per card.

use std::io;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use super::buffer::AlignedBuffer;
use super::region::PIECE;
use crate::image::ByteRange;

/// One is being filled, one drained, and one each lies ready on both sides.
const BUFFERS: usize = 4;

/// Runs `fill` for every job on a thread of its own and `drain` on what it filled, in order, on this one. Ends at the
/// first error of either. A job's length is at most [`PIECE`] (and the grain around it).
pub(super) fn overlapped<J, T, E>(
    jobs: impl Iterator<Item = J> + Send,
    range: impl Fn(&J) -> ByteRange + Send,
    mut fill: impl FnMut(&J, &mut [u8]) -> Result<T, E> + Send,
    mut drain: impl FnMut(J, T, &[u8]) -> Result<(), E>,
) -> Result<(), E>
where
    J: Send,
    T: Send,
    E: Send + From<io::Error>,
{
    let (full, filled) = sync_channel::<Result<(J, T, AlignedBuffer), E>>(BUFFERS);
    let (back, empty) = channel::<AlignedBuffer>();
    for _ in 0..BUFFERS {
        // The receiver is alive here: nothing to be done about an error that cannot be.
        let _ = back.send(AlignedBuffer::zeroed(usize::try_from(2 * PIECE).unwrap_or(usize::MAX)));
    }
    thread::scope(|scope| {
        thread::Builder::new().name("card reader".to_owned()).spawn_scoped(scope, move || {
            for job in jobs {
                // The other side went away with an error: nobody wants more.
                let Ok(mut buffer) = empty.recv() else { return };
                let run = range(&job);
                let outcome = usize::try_from(run.len.0).ok().filter(|&len| buffer.set_len(len)).map_or_else(
                    || Err(io::Error::new(io::ErrorKind::InvalidInput, "a piece is too long for its buffer").into()),
                    |_| fill(&job, &mut buffer).map(|value| (job, value, buffer)),
                );
                let failed = outcome.is_err();
                if full.send(outcome).is_err() || failed {
                    return;
                }
            }
        })?;
        // Owned by this closure, so that an error drops both ends and the thread finds its channels closed.
        let (filled, back) = (filled, back);
        for outcome in &filled {
            let (job, value, buffer) = outcome?;
            drain(job, value, &buffer)?;
            let _ = back.send(buffer);
        }
        Ok(())
    })
}
