//! The fingerprint of a decoded image, by which the cache knows it again: BLAKE3, because nobody else ever compares it, and
//! SHA-256 of a whole image takes a tenth of the time that decoding it takes.

use std::io;

use serde::{Deserialize, Serialize};

use crate::image::bytes::ReadAt;
use crate::image::hashing::AT_A_TIME;
use crate::image::zeros::all_zeros;
use crate::units::{ByteOffset, ByteSize};

/// A BLAKE3 hash over the places and bytes of all that is not zeros, and the size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Fingerprint(String);

/// A fingerprint that is being taken, from the image's beginning to its end.
#[derive(Default)]
pub(super) struct Taking {
    hasher: blake3::Hasher,
    at: u64,
}

impl Taking {
    /// The next bytes: a multiple of [`AT_A_TIME`], except at the image's end.
    pub(super) fn next(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(AT_A_TIME) {
            if !all_zeros(part) {
                // The place as well, because the zeros before it are left out.
                self.hasher.update(&self.at.to_le_bytes());
                self.hasher.update(part);
            }
            self.at = self.at.saturating_add(part.len() as u64);
        }
    }

    /// All bytes were there.
    pub(super) fn done(mut self) -> Fingerprint {
        // The size last: zeros at the end would be missed otherwise.
        self.hasher.update(&self.at.to_le_bytes());
        Fingerprint(self.hasher.finalize().to_hex().to_string())
    }
}

/// The fingerprint of `image`. `tell` hears how far it is.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn fingerprint_of(image: &dyn ReadAt, tell: &mut dyn FnMut(ByteSize)) -> io::Result<Fingerprint> {
    let (mut taking, mut buffer, size) = (Taking::default(), vec![0; AT_A_TIME], image.size().0);
    while taking.at < size {
        let len = usize::try_from(size - taking.at).unwrap_or(AT_A_TIME).min(AT_A_TIME);
        let part = buffer.get_mut(..len).unwrap_or_default();
        image.read_at(ByteOffset(taking.at), part)?;
        taking.next(part);
        tell(ByteSize(taking.at));
    }
    Ok(taking.done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::bytes::Memory;

    #[test]
    fn it_is_the_same_however_it_is_taken_and_another_one_after_any_change() {
        let mut bytes = vec![0u8; (1 << 20) + 777];
        bytes[300_000..700_000].fill(5);
        let of = |bytes: &[u8]| fingerprint_of(&Memory::new(bytes.to_vec()), &mut |_| ()).unwrap();
        let first = of(&bytes);
        let mut taking = Taking::default();
        bytes.chunks(4 * AT_A_TIME).for_each(|chunk| taking.next(chunk));
        assert_eq!(taking.done(), first);
        for at in [0, 299_999, 500_000, (1 << 20) + 776] {
            bytes[at] ^= 1;
            assert_ne!(of(&bytes), first, "{at}");
            bytes[at] ^= 1;
        }
        bytes.copy_within(300_000..700_000, 200_000);
        assert_ne!(of(&bytes), first);
        assert_ne!(of(&vec![0; 1 << 20]), of(&vec![0; (1 << 20) + 1]));
    }
}
