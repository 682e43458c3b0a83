//! The first write of all: a block of random bytes that must come back.
//!
//! A worn-out card often goes read-only without a word: it says yes to every write and keeps its old data. Zeros cannot
//! tell where the old data are zeros, too; random bytes always can, and within a second instead of after the whole image.
//! They go where the partition table was, so that they are also the first step of wiping it.

use super::buffer::AlignedBuffer;
use super::failure::CardError;
use super::medium::Medium;
use crate::digest::Sha256Digest;
use crate::units::ByteOffset;

/// One block, which holds the MBR and, with sectors of 512 bytes, the header of a GPT.
const LEN: usize = 4096;

/// Random bytes, the same for the same salt and place.
pub(super) fn noise(salt: &uuid::Uuid, at: ByteOffset, len: usize) -> AlignedBuffer {
    let mut bytes = AlignedBuffer::zeroed(len);
    let mut seed = Sha256Digest::of(format!("{salt} {}", at.0).as_bytes());
    for part in bytes.chunks_mut(seed.0.len()) {
        part.copy_from_slice(seed.0.get(..part.len()).unwrap_or_default());
        seed = Sha256Digest::of(&seed.0);
    }
    bytes
}

/// Writes the nonce with `write`, and reads it back from the medium.
pub(super) fn prove_writable(
    medium: &dyn Medium,
    write: impl Fn(ByteOffset, &[u8]) -> Result<(), CardError>,
) -> Result<(), CardError> {
    let at = ByteOffset(0);
    let len = LEN.min(usize::try_from(medium.size().0).unwrap_or(LEN));
    let mut before = AlignedBuffer::zeroed(len);
    // What cannot be read before it is written may well be readable afterwards.
    let before = medium.read_back(at, &mut before).ok().map(|()| before);
    let mut nonce = noise(&uuid::Uuid::new_v4(), at, len);
    // One time in 65,536 it would end like a partition table.
    nonce.iter_mut().skip(510).take(2).for_each(|byte| *byte = 0);

    write(at, &nonce)?;
    let unsynced = "the device could not bring the first block onto the card".to_owned();
    medium.sync().map_err(|source| CardError::Write { what: unsynced, source })?;
    let mut found = AlignedBuffer::zeroed(len);
    medium.read_back(at, &mut found).map_err(|source| CardError::Read {
        what: "random bytes that were written to its first block".to_owned(),
        source,
    })?;
    if *found == *nonce {
        return Ok(());
    }
    Err(match before {
        Some(before) if *before == *found => CardError::KeepsOld {
            what: "random bytes were written to its first block, and it still holds what it held before".to_owned(),
        },
        _ => CardError::Differs {
            what: "random bytes that were written to its first block came back different".to_owned(),
        },
    })
}
