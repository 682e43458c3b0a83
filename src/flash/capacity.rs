//! Finds cards that say they are larger than they are, before minutes are spent on them.
//!
//! Samples are written and then all are read back. A card that drops what lies behind its true size fails at the very
//! last sample at the latest. One that folds addresses back at its true size is found when two samples meet in one
//! place, or when one lands on the zeroed beginning, which the caller looks at. To make two meet, they lie
//!
//! - at every power of two, and right before it;
//! - on a grid of [`STEP`]: a run of neighbours at the front, and behind it one sample per length of that run. Any
//!   multiple of the step is the distance between one of the former and one of the latter, so a fold at any such size
//!   is found, not only at powers of two;
//! - at the end of the medium, however odd, and at random places behind the image.
//!
//! What folds at a size that is no multiple of the step, onto the image itself, is found when that is verified. A card
//! that passes is not proven genuine; one that fails is suspect, and is not used.

use std::sync::atomic::{AtomicBool, Ordering};

use super::buffer::AlignedBuffer;
use super::chunks::HEAD;
use super::failure::CardError;
use super::medium::Medium;
use super::write_check::noise;
use super::write_report::ProbeReport;
use crate::units::{ByteOffset, ByteSize};

const SAMPLE: u64 = 4096;
/// How flash is put together: true sizes of fakes that were taken apart are multiples of it.
const STEP: u64 = 4 << 20;
/// No more steps than this on a grid: a thousand samples in a run, and a thousand runs.
const STEPS: u64 = 1 << 20;
/// Random places behind the image.
const RANDOM: usize = 16;

/// Where the samples lie: all behind the head, aligned to the alignment, none overlapping another one.
fn places(size: ByteSize, image: ByteSize, alignment: u64, mut random: impl FnMut(u64) -> u64) -> Vec<ByteOffset> {
    let alignment = alignment.max(1);
    // The last bytes that there are, also where the size is no multiple of a sample.
    let last = size.0.saturating_sub(SAMPLE) / alignment * alignment;
    let powers = (21..63).map(|bit| 1u64 << bit).take_while(|&place| place < last);
    let mut places: Vec<u64> = powers.flat_map(|place| [place - SAMPLE, place]).collect();
    places.push(last);

    let mut step = STEP;
    while size.0 / step > STEPS {
        step *= 2;
    }
    // Anywhere within the step where no power of two is, but the same for all: only distances matter.
    let first = 2 * HEAD + SAMPLE;
    let base = first + random((step - first) / SAMPLE - 1) * SAMPLE;
    let steps = last.saturating_sub(base) / step;
    let run = steps.isqrt().max(1);
    let near = 0..run;
    let far = (1..=steps / run).map(|n| n * run).chain([steps]);
    places.extend(near.chain(far).map(|n| base + n * step));

    let behind = image.0.max(HEAD).next_multiple_of(SAMPLE);
    let room = last.saturating_sub(behind) / SAMPLE;
    if room > 0 {
        for _ in 0..RANDOM {
            let free = |place: &u64| places.iter().all(|other| other.abs_diff(*place) >= SAMPLE);
            let drawn = (0..8).map(|_| behind + random(room) * SAMPLE).find(free);
            places.extend(drawn);
        }
    }

    places.retain(|&place| place >= HEAD && place <= last);
    places.sort_unstable();
    // The last sample stays, whatever lies right before it.
    let mut apart: Vec<u64> = Vec::with_capacity(places.len());
    for place in places.into_iter().rev() {
        if apart.last().is_none_or(|&next| place + SAMPLE <= next) {
            apart.push(place);
        }
    }
    apart.into_iter().rev().map(ByteOffset).collect()
}

/// Writes samples and reads them back. Afterwards the places hold what they held before where `keep`, and zeros
/// otherwise. (A power cut in between leaves samples: 4 KiB each of what the image does not use.)
pub(super) fn probe(
    medium: &dyn Medium,
    image: ByteSize,
    keep: bool,
    cancel: &AtomicBool,
) -> Result<ProbeReport, CardError> {
    // New for each run: samples that an earlier run left on the card must not be taken for those of this one.
    let salt = uuid::Uuid::new_v4();
    let mut drawn = 0u64;
    let random = |below: u64| {
        drawn += 1;
        let bytes = noise(&salt, ByteOffset(u64::MAX - drawn), 8);
        let number = bytes.iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
        number.checked_rem(below).unwrap_or(0)
    };
    let places = places(medium.size(), image, medium.alignment().0, random);
    let len = usize::try_from(SAMPLE).unwrap_or(0);
    let sample = |at: ByteOffset| noise(&salt, at, len);
    let write = |at: ByteOffset, bytes: &[u8]| {
        let what = || format!("writing a sample at {at}, to see whether the card is as large as it says");
        medium.write_at(at, bytes).map_err(|source| CardError::Write { what: what(), source })
    };
    let sync = || {
        let what = "the device could not bring samples onto the card".to_owned();
        medium.sync().map_err(|source| CardError::Write { what, source })
    };
    let go_on = || if cancel.load(Ordering::Relaxed) { Err(CardError::Cancelled) } else { Ok(()) };

    let mut before = Vec::new();
    for &at in &places {
        go_on()?;
        let mut held = AlignedBuffer::zeroed(len);
        if keep {
            // What cannot be read cannot be kept; whether the card is at fault is for the sample to say.
            let _ = medium.read_back(at, &mut held);
        }
        before.push((at, held));
    }
    // All are written before the first one is read: a fold shows only when a later sample has overwritten an earlier
    // one.
    for &at in &places {
        go_on()?;
        write(at, &sample(at))?;
    }
    sync()?;
    // Without the sync they might come back from the cache of the reader, which holds any of them at any address.
    let mut found = AlignedBuffer::zeroed(len);
    for &at in &places {
        go_on()?;
        let says = medium.size();
        match medium.read_back(at, &mut found) {
            Ok(()) if *found == *sample(at) => {}
            // Silence says nothing of the size: such a card is told as hung, not as suspect.
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                return Err(CardError::Read { what: format!("a sample at {at}"), source: error });
            }
            Err(error) => {
                let what = format!("it says that it holds {says}, but a sample at {at} cannot be read back ({error})");
                return Err(CardError::Suspect { what });
            }
            Ok(()) => {
                let from = places.iter().find(|&&other| other != at && *found == *sample(other));
                let what = match from {
                    Some(from) => format!("what was written at {from} came out at {at}"),
                    None => format!("a sample at {at} did not come back"),
                };
                return Err(CardError::Suspect { what: format!("it says that it holds {says}, but {what}") });
            }
        }
    }
    // Zeros, too, are written back where nothing is kept: random bytes in unused space would be taken for data by
    // whoever looks.
    before.iter().try_for_each(|(at, bytes)| write(*at, bytes))?;
    sync()?;
    Ok(ProbeReport::NothingSuspect { samples: places.len() as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether two samples meet, or one lands on the head, where addresses are folded at `real`.
    fn found(places: &[ByteOffset], real: u64) -> bool {
        let mut folded: Vec<u64> = places.iter().map(|at| at.0 % real / SAMPLE).collect();
        folded.sort_unstable();
        folded.windows(2).any(|pair| pair[0] == pair[1]) || folded.first().is_some_and(|&at| at < HEAD / SAMPLE)
    }

    #[test]
    fn a_fold_at_any_multiple_of_the_step_makes_two_samples_meet() {
        for size in [64 << 20, (31 << 30) + 512 * 77, 7640 << 20, 128 << 30] {
            let mut n = 0u64;
            let mut random = |below: u64| {
                n = n.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (n >> 20) % below
            };
            let places = places(ByteSize(size), ByteSize(20 << 20), 512, &mut random);
            assert!(places.len() < 1000, "{} samples", places.len());
            assert_eq!(places.last().unwrap().0, size - SAMPLE);
            assert!(places.windows(2).all(|pair| pair[0].0 + SAMPLE <= pair[1].0));
            let step = ((size / STEP / 5000).max(1)) * STEP;
            let mut real = STEP;
            while real < size - STEP {
                assert!(found(&places, real), "{size} folded at {real}");
                real += step;
            }
        }
    }

    #[test]
    fn a_medium_of_any_size_has_samples_inside_of_it_only() {
        for size in [0, 1, 512, 4096, HEAD, HEAD + 4096, HEAD + 4608, 5 << 20, u64::MAX / 2] {
            let places = places(ByteSize(size), ByteSize(0), 512, |below| below.saturating_sub(1));
            assert!(places.iter().all(|at| at.0 >= HEAD && at.0 + SAMPLE <= size), "{size}");
            assert!(places.len() < 5000, "{size}");
        }
    }
}
