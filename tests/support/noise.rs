//! A used medium: every byte of it is something, and nothing of that may matter.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use cardsmith::image::ReadAt;
use cardsmith::units::ByteRange;

/// A new file of `size` bytes of noise, the same for the same seed. No block of it is zeros, or like another one.
pub fn noise(path: &Path, size: u64, seed: u64) -> File {
    let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
    let mut state = seed | 1;
    let mut chunk = vec![0u8; 1 << 20];
    for at in (0..size).step_by(chunk.len()) {
        for word in chunk.chunks_exact_mut(8) {
            // xorshift64: a failing run can be repeated.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        let len = (size - at).min(chunk.len() as u64) as usize;
        file.write_all_at(&chunk[..len], at).unwrap();
    }
    file
}

/// Puts `ranges` of `image` onto the medium, and nothing else.
pub fn restore(image: &dyn ReadAt, ranges: impl IntoIterator<Item = ByteRange>, medium: &File) {
    for range in ranges {
        let mut bytes = vec![0; range.len.0 as usize];
        image.read_at(range.start, &mut bytes).unwrap();
        medium.write_all_at(&bytes, range.start.0).unwrap();
    }
}
