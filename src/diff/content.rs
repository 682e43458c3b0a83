//! Contents of two files: the same or not, and which digests.

use sha2::{Digest, Sha256};

use super::DiffError;
use crate::digest::Sha256Digest;
use crate::fs::node::{Spot, Walk};
use crate::progress::Task;

const CHUNK: usize = 1 << 20;

/// One image's tree, with how much of it may still be read. A hostile image can claim many times what it holds (holes,
/// blocks that several files name), and hashing all of that might take years.
pub struct Side<'a> {
    /// For messages: which image.
    pub image: &'a str,
    /// Its tree.
    pub tree: &'a dyn Walk,
    limit: u64,
    left: u64,
    buffer: Vec<u8>,
}

impl<'a> Side<'a> {
    /// A tree in a partition of `size` bytes.
    pub fn new(image: &'a str, tree: &'a dyn Walk, size: u64) -> Side<'a> {
        // Honest trees have holes and hard links, too: a few times the partition is fine.
        let limit = size.saturating_mul(8).saturating_add(1 << 30);
        Side { image, tree, limit, left: limit, buffer: vec![0; CHUNK] }
    }

    /// An error of its file system, with the image's name.
    pub fn failed(&self, source: crate::fs::FsError) -> DiffError {
        DiffError::Files { image: self.image.to_owned(), source }
    }

    /// Reads the next chunk of a file. Short only at its end.
    fn chunk(&mut self, spot: &Spot, at: u64) -> Result<&[u8], DiffError> {
        // Filled up: readers may give less, and the two sides must give pieces of one length.
        let mut had = 0;
        while let Some(rest) = self.buffer.get_mut(had..).filter(|rest| !rest.is_empty()) {
            let got = self.tree.read_from(spot, at.saturating_add(had as u64), rest);
            match got.map_err(|source| DiffError::Files { image: self.image.to_owned(), source })? {
                0 => break,
                got => had += got,
            }
        }
        // Counted by what was read, not by the sizes that the inodes claim.
        self.left = self.left.checked_sub(had as u64).ok_or_else(|| DiffError::Endless {
            image: self.image.to_owned(),
            volume: self.tree.volume(),
            limit: self.limit,
        })?;
        Ok(self.buffer.get(..had).unwrap_or_default())
    }

    /// Digest of a regular file.
    ///
    /// # Errors
    /// Damage, and files that claim more than can be.
    pub fn digest(&mut self, spot: &Spot) -> Result<Sha256Digest, DiffError> {
        let (mut hasher, mut at) = (Sha256::new(), 0);
        loop {
            match self.chunk(spot, at)? {
                [] => return Ok(Sha256Digest::from_hasher(hasher)),
                bytes => {
                    hasher.update(bytes);
                    at += bytes.len() as u64;
                }
            }
        }
    }
}

/// Whether two files of one size hold the same.
///
/// # Errors
/// As [`Side::digest`].
pub fn same(
    (a, at_a): (&mut Side<'_>, &Spot),
    (b, at_b): (&mut Side<'_>, &Spot),
    task: &mut dyn Task,
    done: &mut u64,
) -> Result<bool, DiffError> {
    let mut at = 0;
    loop {
        let (left, right) = (a.chunk(at_a, at)?, b.chunk(at_b, at)?);
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            // Both end here: their sizes were the same.
            return Ok(true);
        }
        at += left.len() as u64;
        *done += left.len() as u64;
        task.at(crate::units::ByteSize(*done));
    }
}
