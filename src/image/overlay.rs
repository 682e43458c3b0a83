//! Copy on write: edits of an image that never reach the image.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::fs::{FallocateFlags, fallocate};

use super::block_ranges::{BlockRanges, Kind};
use super::bytes::{ReadAt, WriteAt};
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// The step of copying: what one write of a byte costs.
pub const OVERLAY_BLOCK: u64 = 4096;

/// An image with edits on top of it.
///
/// Edited blocks live in a sparse temporary file that has no name, so a crash leaves nothing behind; memory holds one
/// entry per edited range. Punched ranges cost neither. The image below is only read, so any number of overlays share
/// it, and an overlay can itself be the base of another one (a card over a golden image over a base image).
pub struct Overlay {
    base: Arc<dyn ReadAt>,
    size: ByteSize,
    /// Where the file is, for messages.
    directory: PathBuf,
    layer: RwLock<Layer>,
}

/// What lies over the base. Invariant: outside of `Written` ranges the file has holes, so both kinds read from it.
struct Layer {
    file: File,
    ranges: BlockRanges,
}

impl Overlay {
    /// An overlay without edits, its file in the system's directory for temporary files.
    ///
    /// # Errors
    /// Where no temporary file can be made.
    pub fn new(base: Arc<dyn ReadAt>) -> io::Result<Overlay> {
        Overlay::with_file(base, tempfile::tempfile()?, std::env::temp_dir())
    }

    /// As [`Overlay::new`], with the file in `directory`. It takes as much space as is edited.
    ///
    /// # Errors
    /// Where no temporary file can be made there.
    pub fn new_in(base: Arc<dyn ReadAt>, directory: &Path) -> io::Result<Overlay> {
        Overlay::with_file(base, tempfile::tempfile_in(directory)?, directory.to_owned())
    }

    fn with_file(base: Arc<dyn ReadAt>, file: File, directory: PathBuf) -> io::Result<Overlay> {
        let size = base.size();
        let whole = size
            .0
            .checked_next_multiple_of(OVERLAY_BLOCK)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the image is larger than any file can be"))?;
        // Whole blocks, also the last one: punching and adopting then need no case for the end of the image.
        file.set_len(whole)?;
        Ok(Overlay { base, size, directory, layer: RwLock::new(Layer { file, ranges: BlockRanges::default() }) })
    }

    /// What lies below.
    pub fn base(&self) -> &Arc<dyn ReadAt> {
        &self.base
    }

    /// Every range that was written or punched, sorted and merged, whole blocks of 4 KiB (the image's end excepted).
    /// Outside of it the overlay and its base are the same; inside they may be.
    pub fn changed(&self) -> Vec<ByteRange> {
        let layer = self.read_layer();
        let mut out: Vec<ByteRange> = Vec::new();
        for (start, end) in layer.ranges.iter() {
            // No overflow: `with_file` has computed where the last block ends.
            let start = start * OVERLAY_BLOCK;
            let end = (end * OVERLAY_BLOCK).min(self.size.0);
            // Written and punched ranges lie apart in the layer. Here both are only "changed".
            match out.last_mut() {
                Some(last) if last.end().0 == start => last.len = ByteSize(end - last.start.0),
                _ => out.push(ByteRange::new(start, end - start)),
            }
        }
        out
    }

    /// The ranges that really differ from the base, sorted and merged, in blocks of 4 KiB. For a card this is all that
    /// has to be written besides the golden image.
    ///
    /// # Errors
    /// Where the base or the overlay cannot be read.
    pub fn differing(&self) -> io::Result<Vec<ByteRange>> {
        const CHUNK: u64 = 256 * OVERLAY_BLOCK;
        let mut out: Vec<ByteRange> = Vec::new();
        let (mut ours, mut theirs) = (vec![0; CHUNK as usize], vec![0; CHUNK as usize]);
        for range in self.changed() {
            let mut at = range.start.0;
            while at < range.end().0 {
                // The cast is safe: `CHUNK` is 1 MiB.
                let len = CHUNK.min(range.end().0 - at) as usize;
                let (ours, theirs) = (&mut ours[..len], &mut theirs[..len]);
                self.read_at(ByteOffset(at), ours)?;
                self.base.read_at(ByteOffset(at), theirs)?;
                // Block by block: a range is merged from many writes, and most of its blocks may be as before.
                let pairs = ours.chunks(OVERLAY_BLOCK as usize).zip(theirs.chunks(OVERLAY_BLOCK as usize));
                for (i, (a, b)) in pairs.enumerate() {
                    let start = at + i as u64 * OVERLAY_BLOCK;
                    match out.last_mut() {
                        _ if a == b => {}
                        Some(last) if last.end().0 == start => last.len.0 += a.len() as u64,
                        _ => out.push(ByteRange::new(start, a.len() as u64)),
                    }
                }
                at += len as u64;
            }
        }
        Ok(out)
    }

    /// Puts what stands here in `range` at the same place of `other`.
    ///
    /// # Errors
    /// Where this one cannot be read, or the other one not be written.
    pub fn copy_to(&self, other: &dyn WriteAt, range: ByteRange) -> io::Result<()> {
        const CHUNK: u64 = 256 * OVERLAY_BLOCK;
        // What is copied may be a card's secrets.
        let mut buffer = zeroize::Zeroizing::new(Vec::new());
        let mut at = range.start.0;
        while at < range.end().0 {
            buffer.resize(CHUNK.min(range.end().0 - at) as usize, 0);
            self.read_at(ByteOffset(at), &mut buffer)?;
            other.write_at(ByteOffset(at), &buffer)?;
            at += buffer.len() as u64;
        }
        Ok(())
    }

    /// A poisoned lock means that a writer panicked between two steps, each of which left the layer readable.
    fn read_layer(&self) -> RwLockReadGuard<'_, Layer> {
        self.layer.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_layer(&self) -> RwLockWriteGuard<'_, Layer> {
        self.layer.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_of(&self, at: ByteOffset, len: u64, kind: io::ErrorKind) -> io::Result<u64> {
        at.0.checked_add(len)
            .filter(|&end| end <= self.size.0)
            .ok_or_else(|| io::Error::new(kind, format!("{len} bytes at {at} leave the image of {}", self.size)))
    }

    /// Makes sure that the file holds the whole of `block`, so that a part of it can be overwritten.
    fn adopt(&self, layer: &mut Layer, block: u64) -> io::Result<()> {
        // A punched block needs nothing: the file has a hole there, which reads as the zeros that it must have.
        if layer.ranges.at(block).is_none() {
            let start = block * OVERLAY_BLOCK;
            let mut bytes = [0; OVERLAY_BLOCK as usize];
            // The image may end inside of this block; zeros fill the rest.
            let len = OVERLAY_BLOCK.min(self.size.0.saturating_sub(start)) as usize;
            self.base.read_at(ByteOffset(start), &mut bytes[..len])?;
            layer.file.write_all_at(&bytes, start).map_err(|error| self.out_of_room(error))?;
        }
        // Also where it was punched: from now on the file holds it.
        layer.ranges.set(block, block + 1, Kind::Written);
        Ok(())
    }

    /// The system's words for a full disk say neither which one nor what to do.
    fn out_of_room(&self, error: io::Error) -> io::Error {
        match error.kind() {
            kind @ (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                let directory = self.directory.display();
                let text =
                    format!("no room left in {directory} for what is edited: set TMPDIR=DIRECTORY to one with more");
                io::Error::new(kind, text)
            }
            _ => error,
        }
    }

    fn write_locked(&self, layer: &mut Layer, at: u64, bytes: &[u8], end: u64) -> io::Result<()> {
        let first = at / OVERLAY_BLOCK;
        let past = end.div_ceil(OVERLAY_BLOCK);
        // A write that begins inside of a block keeps what is before it.
        if !at.is_multiple_of(OVERLAY_BLOCK) {
            self.adopt(layer, first)?;
        }
        // Not at the image's end: nobody reads behind it.
        if !end.is_multiple_of(OVERLAY_BLOCK) && end != self.size.0 {
            self.adopt(layer, past - 1)?;
        }
        // The bytes first and the entry after them: an error of the disk leaves the base visible, not a hole.
        layer.file.write_all_at(bytes, at).map_err(|error| self.out_of_room(error))?;
        layer.ranges.set(first, past, Kind::Written);
        Ok(())
    }
}

/// Frees a range of whole blocks of the overlay's file.
fn drop_blocks(file: &File, start: u64, len: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, start, len) {
        Ok(()) => Ok(()),
        // A file system without holes (some network and FUSE ones): the bytes must still read as zeros.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            // In steps, because a punch may be gigabytes.
            let zeros = vec![0; (1 << 20).min(len) as usize];
            let mut done = 0;
            while done < len {
                let n = (len - done).min(zeros.len() as u64);
                file.write_all_at(&zeros[..n as usize], start + done)?;
                done += n;
            }
            Ok(())
        }
        Err(other) => Err(other.into()),
    }
}

impl ReadAt for Overlay {
    fn size(&self) -> ByteSize {
        self.size
    }

    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        let end = self.end_of(at, buf.len() as u64, io::ErrorKind::UnexpectedEof)?;
        // Held to the end: a writer in between would show half of its bytes.
        let layer = self.read_layer();
        let mut rest = buf;
        let mut here = at.0;
        while here < end {
            let block = here / OVERLAY_BLOCK;
            let range = layer.ranges.at(block);
            // To the end of the range that holds `here`, or to where the next one begins.
            let until = match range {
                Some((_, past, _)) => past.saturating_mul(OVERLAY_BLOCK),
                None => layer.ranges.next_start(block).map_or(end, |next| next.saturating_mul(OVERLAY_BLOCK)),
            }
            .min(end);
            // The cast is safe: it is a part of `buf`.
            let (part, tail) = rest.split_at_mut((until - here) as usize);
            match range {
                Some((_, _, Kind::Written)) => layer.file.read_exact_at(part, here)?,
                Some((_, _, Kind::Punched)) => part.fill(0),
                None => self.base.read_at(ByteOffset(here), part)?,
            }
            rest = tail;
            here = until;
        }
        Ok(())
    }

    fn next_data(&self, from: ByteOffset) -> io::Result<Option<ByteRange>> {
        let layer = self.read_layer();
        let mut here = from.0;
        while here < self.size.0 {
            let block = here / OVERLAY_BLOCK;
            match layer.ranges.at(block) {
                Some((_, past, Kind::Written)) => {
                    // Zeros or not, it counts as data: to look would cost a read.
                    let end = past.saturating_mul(OVERLAY_BLOCK).min(self.size.0);
                    return Ok(Some(ByteRange::new(here, end - here)));
                }
                Some((_, past, Kind::Punched)) => here = past.saturating_mul(OVERLAY_BLOCK),
                None => {
                    let gap_end = layer.ranges.next_start(block).map_or(self.size.0, |next| next * OVERLAY_BLOCK);
                    let gap = ByteRange::new(here, gap_end.min(self.size.0) - here);
                    // The base may have data behind the gap as well, where the overlay hides it.
                    match self.base.next_data(ByteOffset(here))?.and_then(|range| range.intersect(&gap)) {
                        Some(range) => return Ok(Some(range)),
                        None => here = gap_end,
                    }
                }
            }
        }
        Ok(None)
    }
}

impl WriteAt for Overlay {
    fn write_at(&self, at: ByteOffset, bytes: &[u8]) -> io::Result<()> {
        let end = self.end_of(at, bytes.len() as u64, io::ErrorKind::WriteZero)?;
        // In the middle of a block it would copy that block for nothing.
        if bytes.is_empty() {
            return Ok(());
        }
        self.write_locked(&mut self.write_layer(), at.0, bytes, end)
    }

    fn punch(&self, range: ByteRange) -> io::Result<()> {
        let end = self.end_of(range.start, range.len.0, io::ErrorKind::WriteZero)?;
        if range.is_empty() {
            return Ok(());
        }
        // One lock for all steps: a reader sees the range as before or as zeros, never half of it.
        let mut layer = self.write_layer();
        let start = range.start.0;
        let whole_start = start.next_multiple_of(OVERLAY_BLOCK);
        // The last block of an image whose size is no multiple of a block is whole when the range reaches the end.
        let whole_end =
            if end == self.size.0 { end.next_multiple_of(OVERLAY_BLOCK) } else { end - end % OVERLAY_BLOCK };
        let zeros = [0; OVERLAY_BLOCK as usize];
        if whole_start >= whole_end {
            // No whole block, so parts of two at most, each shorter than a block: two writes of zeros.
            let len = (end - start).min(OVERLAY_BLOCK);
            self.write_locked(&mut layer, start, &zeros[..len as usize], start + len)?;
            if start + len < end {
                let tail = end - start - len;
                self.write_locked(&mut layer, start + len, &zeros[..tail as usize], end)?;
            }
            return Ok(());
        }
        // Only whole blocks can become holes. The parts at both ends are written.
        if start < whole_start {
            self.write_locked(&mut layer, start, &zeros[..(whole_start - start) as usize], whole_start)?;
        }
        if whole_end < end {
            self.write_locked(&mut layer, whole_end, &zeros[..(end - whole_end) as usize], end)?;
        }
        // What was written there has to go: a later write of a part of a block counts on zeros around it.
        drop_blocks(&layer.file, whole_start, whole_end - whole_start)?;
        layer.ranges.set(whole_start / OVERLAY_BLOCK, whole_end / OVERLAY_BLOCK, Kind::Punched);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::bytes::Memory;

    /// A small generator, so that a failing seed can be repeated: xorshift64.
    struct Dice(u64);
    impl Dice {
        fn roll(&mut self, below: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % below
        }
    }

    fn bytes_of(image: &dyn ReadAt) -> Vec<u8> {
        let mut out = vec![0; image.size().0 as usize];
        image.read_at(ByteOffset(0), &mut out).unwrap();
        out
    }

    /// What `next_data` leaves out must be zeros, and it must come to an end.
    fn data_ranges(image: &dyn ReadAt) -> Vec<ByteRange> {
        let mut ranges = Vec::new();
        let mut at = ByteOffset(0);
        while let Some(range) = image.next_data(at).unwrap() {
            assert!(range.start >= at && !range.is_empty() && range.end().0 <= image.size().0, "{range:?} from {at}");
            at = range.end();
            ranges.push(range);
        }
        ranges
    }

    #[test]
    fn random_edits_in_stacked_overlays_equal_the_same_edits_of_a_plain_buffer() {
        for seed in 1..60u64 {
            let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let size = 40 * OVERLAY_BLOCK + dice.roll(3) * 700;
            let base: Vec<u8> = (0..size).map(|i| if (i >> 13) % 3 == 0 { 0 } else { (i % 251) as u8 }).collect();
            let below = Arc::new(Overlay::new(Arc::new(Memory::new(base.clone()))).unwrap());
            let mut model = base.clone();
            for _ in 0..60 {
                edit(&mut dice, &below, &mut model);
            }
            let golden = model.clone();
            let card = Overlay::new(below.clone()).unwrap();
            for _ in 0..10 {
                edit(&mut dice, &card, &mut model);
            }
            assert_eq!(bytes_of(&card), model, "seed {seed}");
            assert_eq!(bytes_of(&*below), golden, "seed {seed}: the lower overlay changed");
            let mut covered = vec![false; size as usize];
            for range in data_ranges(&card) {
                covered[range.start.0 as usize..range.end().0 as usize].fill(true);
            }
            assert!(model.iter().zip(&covered).all(|(&b, &seen)| seen || b == 0), "seed {seed}: data was skipped");
            let mut rebuilt = golden.clone();
            for range in card.differing().unwrap() {
                let span = range.start.0 as usize..range.end().0 as usize;
                assert_ne!(golden[span.clone()], model[span.clone()], "seed {seed}: {range:?} does not differ");
                rebuilt[span.clone()].copy_from_slice(&model[span]);
            }
            assert_eq!(rebuilt, model, "seed {seed}: golden and the differing ranges are not the card");
        }
    }

    fn edit(dice: &mut Dice, overlay: &Overlay, model: &mut [u8]) {
        let size = model.len() as u64;
        let start = dice.roll(size);
        let len = (dice.roll(4) * OVERLAY_BLOCK + dice.roll(OVERLAY_BLOCK)).min(size - start);
        let span = start as usize..(start + len) as usize;
        if dice.roll(3) == 0 {
            overlay.punch(ByteRange::new(start, len)).unwrap();
            model[span].fill(0);
        } else {
            let value = dice.roll(255) as u8 + 1;
            overlay.write_at(ByteOffset(start), &vec![value; len as usize]).unwrap();
            model[span].fill(value);
        }
    }

    #[test]
    fn an_edit_that_leaves_the_image_is_refused_and_changes_nothing() {
        let overlay = Overlay::new(Arc::new(Memory::new(vec![7; 5000]))).unwrap();
        assert_eq!(overlay.write_at(ByteOffset(4999), &[1, 2]).unwrap_err().kind(), io::ErrorKind::WriteZero);
        assert_eq!(overlay.punch(ByteRange::new(u64::MAX, 2)).unwrap_err().kind(), io::ErrorKind::WriteZero);
        let mut buf = [0; 2];
        assert_eq!(overlay.read_at(ByteOffset(4999), &mut buf).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(overlay.changed().is_empty());
    }

    #[test]
    fn a_terabyte_of_punched_space_costs_nothing() {
        struct Endless;
        impl ReadAt for Endless {
            fn size(&self) -> ByteSize {
                ByteSize(1 << 40)
            }
            fn read_at(&self, _: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
                buf.fill(9);
                Ok(())
            }
        }
        let overlay = Overlay::new(Arc::new(Endless)).unwrap();
        overlay.punch(ByteRange::new(10, (1 << 40) - 20)).unwrap();
        let mut buf = [1; 16];
        overlay.read_at(ByteOffset(1 << 39), &mut buf).unwrap();
        assert_eq!(buf, [0; 16]);
        assert_eq!(data_ranges(&overlay), [ByteRange::new(0, 4096), ByteRange::new((1 << 40) - 4096, 4096)]);
    }
}
