//! Finds cards that say they are larger than they are.
//!
//! Samples are written at every power of two, right before each, and at the very end; then all are read back. A card
//! that drops what lies behind its true size fails at the last sample at the latest. One that folds addresses back is
//! found when a sample overwrites another one, or the beginning, which the caller looks at. What was folded onto the
//! image itself is found when the image is verified. A card that passes is not proven genuine; one that fails is bad.

use std::sync::atomic::{AtomicBool, Ordering};

use super::buffer::AlignedBuffer;
use super::failure::Trouble;
use super::medium::Medium;
use super::region::HEAD;
use crate::image::{ByteOffset, ByteSize, Sha256Digest};

const SAMPLE: u64 = 4096;

/// Where the samples lie on a medium of this size: all behind the head, whole and aligned.
fn places(size: ByteSize) -> Vec<ByteOffset> {
    let last = (size.0 / SAMPLE).saturating_sub(1).saturating_mul(SAMPLE);
    let powers = (21..63).map(|bit| 1u64 << bit).take_while(|&place| place < last);
    let mut places: Vec<u64> = powers.flat_map(|place| [place - SAMPLE, place]).collect();
    places.push(last);
    places.sort_unstable();
    places.dedup();
    places.retain(|&place| place >= HEAD);
    places.into_iter().map(ByteOffset).collect()
}

/// Writes samples, reads them back, and writes zeros over them.
pub(super) fn probe(medium: &dyn Medium, cancel: &AtomicBool) -> Result<(), Trouble> {
    let places = places(medium.size());
    let salt = uuid::Uuid::new_v4();
    let sample = |at: ByteOffset| {
        let mut bytes = AlignedBuffer::zeroed(usize::try_from(SAMPLE).unwrap_or(0));
        let mut seed = Sha256Digest::of(format!("{salt} {}", at.0).as_bytes());
        for part in bytes.chunks_mut(seed.0.len()) {
            part.copy_from_slice(seed.0.get(..part.len()).unwrap_or_default());
            seed = Sha256Digest::of(&seed.0);
        }
        bytes
    };
    let write = |at: ByteOffset, bytes: &[u8]| {
        let what = || format!("writing a sample at {at}, to see whether the card is as large as it says");
        medium.write_at(at, bytes).map_err(|source| Trouble::Write { what: what(), source })
    };
    let sync = || {
        let what = "the device could not bring samples onto the card".to_owned();
        medium.sync().map_err(|source| Trouble::Write { what, source })
    };
    for &at in &places {
        if cancel.load(Ordering::Relaxed) {
            return Err(Trouble::Cancelled);
        }
        write(at, &sample(at))?;
    }
    sync()?;
    let mut found = AlignedBuffer::zeroed(usize::try_from(SAMPLE).unwrap_or(0));
    for &at in &places {
        let read = medium.read_back(at, &mut found);
        if read.is_err() || *found != *sample(at) {
            let size = medium.size();
            let why = read.err().map(|error| format!(" ({error})")).unwrap_or_default();
            let what = format!("it says that it holds {size}, but a sample at {at} did not come back{why}");
            return Err(Trouble::Fake { what });
        }
    }
    let zeros = AlignedBuffer::zeroed(usize::try_from(SAMPLE).unwrap_or(0));
    places.iter().try_for_each(|&at| write(at, &zeros))?;
    sync()
}
