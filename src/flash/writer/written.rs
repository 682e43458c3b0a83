//! What was written, and what must be read back.

use crate::digest::Sha256Digest;
use crate::flash::chunks::Chunk;
use crate::image::zeros::all_zeros;
use crate::units::ByteRange;

/// One range that was written: where on the medium, and what must be read back.
#[derive(Clone, Copy)]
pub(super) struct Written {
    /// What it was written for.
    pub(super) chunk: Chunk,
    /// What of it was written: without what lies in the first MiB, and widened to whole sectors.
    pub(super) range: ByteRange,
    pub(super) expected: Expected,
}

/// What a range must read back as.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Expected {
    Zeros,
    Bytes(Sha256Digest),
}

impl Expected {
    pub(super) fn is(self, bytes: &[u8]) -> bool {
        match self {
            // Faster than a digest, and the digest of zeros would have to be known for each length.
            Expected::Zeros => all_zeros(bytes),
            Expected::Bytes(sha256) => Sha256Digest::of(bytes) == sha256,
        }
    }
}
