//! A raw image as a sparse file in the making: what is zeros, or is never written, is a hole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::flushing::Flusher;
use super::hashing::AT_A_TIME;
use super::zeros::all_zeros;
use crate::units::{ByteOffset, ByteSize};

/// What is written is at least so large, and zeros become holes in this size: the block of every Linux file system.
const BLOCK: usize = 4096;

/// A sparse file that is being written.
pub(crate) struct SparseFile<'f> {
    file: &'f File,
    flusher: Flusher,
}

impl<'f> SparseFile<'f> {
    /// `file`, which must be empty, to be written.
    ///
    /// # Errors
    /// What the system reports.
    pub(crate) fn new(file: &'f File) -> io::Result<SparseFile<'f>> {
        Ok(SparseFile { file, flusher: Flusher::of(file)? })
    }

    /// Writes what of `bytes` is not zeros. Where `at` is no multiple of 4 KiB, fewer of them become holes.
    ///
    /// # Errors
    /// What the system reports. What was written then is of no use.
    pub(crate) fn put(&mut self, at: ByteOffset, bytes: &[u8]) -> io::Result<()> {
        let mut place = 0;
        let mut range = 0..0;
        // Not more than this at once, because of how the kernel copies.
        for block in bytes.chunks(BLOCK) {
            let data = !all_zeros(block);
            if !data || range.len() >= AT_A_TIME {
                self.write(at, bytes, range)?;
                range = place..place;
            }
            place += block.len();
            range = if data { range.start..place } else { place..place };
        }
        self.write(at, bytes, range)?;
        // Holes count as well: the step is only a measure.
        self.flusher.wrote(bytes.len() as u64);
        Ok(())
    }

    fn write(&self, at: ByteOffset, bytes: &[u8], range: std::ops::Range<usize>) -> io::Result<()> {
        // It overflows only for what is larger than any file.
        let place = at.0.checked_add(range.start as u64).ok_or(io::ErrorKind::InvalidInput)?;
        match bytes.get(range).unwrap_or_default() {
            [] => Ok(()),
            data => self.file.write_all_at(data, place),
        }
    }

    /// All of it is written; it is `size` long.
    ///
    /// # Errors
    /// What the system reports, also of writes that failed behind our back.
    pub(crate) fn finish(self, size: ByteSize) -> io::Result<()> {
        // Zeros at the end were never written, so the file has to be told its length.
        self.file.set_len(size.0)?;
        self.flusher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn what_is_put_reads_back_and_zeros_take_no_space() {
        let mut image = vec![0u8; (1 << 20) + 700];
        let ranges = [0..1, 4095..4097, 16_384..16_384 + 300_000, 700_000..700_001, (1 << 20) + 600..(1 << 20) + 700];
        for range in ranges {
            image[range].fill(7);
        }
        for chunk in [4096, 128 << 10, 1 << 20, 2 << 20] {
            let mut file = tempfile::tempfile().unwrap();
            let mut sparse = SparseFile::new(&file).unwrap();
            for (n, bytes) in image.chunks(chunk).enumerate() {
                sparse.put(ByteOffset((n * chunk) as u64), bytes).unwrap();
            }
            sparse.finish(ByteSize(image.len() as u64)).unwrap();
            let mut found = Vec::new();
            file.read_to_end(&mut found).unwrap();
            assert!(found == image, "in chunks of {chunk}");
            assert!(file.metadata().unwrap().blocks() * 512 < 400_000);
        }
    }
}
