//! Cards of one batch read their golden image once, in bounded memory, and never wait for each other.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use cardsmith::digest::Sha256Digest;
use cardsmith::flash::{
    CardImage, ChunkCache, Guard, Medium, MediumRecord, ReadBack, WriteOptions, write_card_sharing,
};
use cardsmith::image::{BlockMap, MappedRange, ReadAt};
use cardsmith::progress::{Progress, Silent};
use cardsmith::units::{ByteOffset, ByteRange, ByteSize};

use crate::support::faulty_card::{Fault, FaultyCard};

const MIB: u64 = 1 << 20;
const BLOCK: usize = 4096;

/// An image of any size that takes no memory: every block holds its own number. It counts what is read of it.
struct Numbered {
    size: u64,
    read: Arc<AtomicU64>,
    /// Of this block, one byte is different.
    own: Option<u64>,
}

fn fill(at: u64, buf: &mut [u8], own: Option<u64>) {
    for (n, block) in buf.chunks_mut(BLOCK).enumerate() {
        let number = at / BLOCK as u64 + n as u64;
        block.fill(number as u8 | 1);
        let bytes = number.to_le_bytes();
        block[..8].copy_from_slice(&bytes);
        if own == Some(number) {
            block[9] = 0;
        }
    }
}

impl ReadAt for Numbered {
    fn size(&self) -> ByteSize {
        ByteSize(self.size)
    }
    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        fill(at.0, buf, self.own);
        Ok(())
    }
}

fn golden(size: u64) -> BlockMap {
    let image = Numbered { size, read: Arc::default(), own: None };
    BlockMap::digest(&image, &[ByteRange::new(0, size)], &mut *Silent.task("", None)).unwrap()
}

/// A card of that golden image with a byte of its own in `own`.
fn card(golden: &BlockMap, own: Option<u64>, read: &Arc<AtomicU64>) -> CardImage {
    let size = golden.ranges().last().unwrap().range.end().0;
    let image = Numbered { size, read: read.clone(), own };
    let mut map: Vec<MappedRange> = golden.ranges().to_vec();
    for mapped in &mut map {
        let place = own.unwrap_or(u64::MAX).saturating_mul(BLOCK as u64);
        if (mapped.range.start.0..mapped.range.end().0).contains(&place) {
            let mut bytes = vec![0; mapped.range.len.0 as usize];
            fill(mapped.range.start.0, &mut bytes, own);
            mapped.sha256 = Sha256Digest::of(&bytes);
        }
    }
    CardImage { image: Arc::new(image), map: BlockMap::new(map, ByteSize(size)).unwrap() }
}

fn write(chunks: &ChunkCache, medium: &dyn Medium, card: &CardImage) {
    let guard = Guard { cancel: &AtomicBool::new(false), before_seal: &mut || Ok(()) };
    let options = WriteOptions { probe: false, ..WriteOptions::default() };
    write_card_sharing(chunks, medium, card, options, &mut *Silent.task("card", None), guard).unwrap();
}

#[test]
fn what_one_card_just_read_of_the_golden_image_the_next_one_does_not_read_again() {
    let map = golden(20 * MIB);
    let chunks = ChunkCache::of(&map);
    let (first, second) = (Arc::default(), Arc::default());
    let media = [32 * MIB as usize; 2].map(|size| FaultyCard::holding(vec![0; size], vec![]));
    let own = (9 * MIB) / BLOCK as u64;
    write(&chunks, &*media[0], &card(&map, None, &first));
    write(&chunks, &*media[1], &card(&map, Some(own), &second));
    assert_eq!(first.load(Ordering::Relaxed), 20 * MIB);
    assert_eq!(second.load(Ordering::Relaxed), 4 * MIB, "only the piece that is its own");
    let (left, right) = (media[0].bytes(), media[1].bytes());
    let place = own as usize * BLOCK;
    assert_ne!(left[place + 9], 0);
    assert_eq!(right[place + 9], 0);
    assert!(left[..place] == right[..place] && left[place + BLOCK..] == right[place + BLOCK..]);
    // And a third one that has nothing of its own does not get what was the second one's.
    let third = FaultyCard::holding(vec![0; 32 * MIB as usize], vec![]);
    write(&chunks, &*third, &card(&map, None, &Arc::default()));
    assert!(third.bytes() == left);
}

#[test]
fn a_card_that_stands_still_in_the_middle_of_the_image_holds_up_nobody_and_then_goes_on_by_itself() {
    let map = golden(96 * MIB);
    let chunks = ChunkCache::of(&map);
    // The slow card waits, with requests under way, until the quick one is all done.
    let done = Arc::new((Mutex::new(false), Condvar::new()));
    let (waits, started) = (done.clone(), Arc::new(Barrier::new(2)));
    let (begun, once) = (started.clone(), AtomicBool::new(false));
    let hook = Fault::Hook(Box::new(move |number| {
        if number < 8 {
            return;
        }
        if !once.swap(true, Ordering::SeqCst) {
            begun.wait();
        }
        let (done, changed) = &*waits;
        let waited = changed.wait_timeout_while(done.lock().unwrap(), Duration::from_secs(60), |done| !*done);
        assert!(!waited.unwrap().1.timed_out(), "the quick card waited for the slow one");
    }));
    let slow = FaultyCard::holding(vec![0; 100 * MIB as usize], vec![hook]);
    let quick = FaultyCard::holding(vec![0; 100 * MIB as usize], vec![]);
    thread::scope(|scope| {
        scope.spawn(|| write(&chunks, &*slow, &card(&map, None, &Arc::default())));
        started.wait();
        write(&chunks, &*quick, &card(&map, None, &Arc::default()));
        *done.0.lock().unwrap() = true;
        done.1.notify_all();
    });
    assert!(slow.bytes() == quick.bytes());
}

/// A card that keeps nothing: it reads as the image that was written to it.
struct Endless {
    size: u64,
    sealed: AtomicBool,
}

impl ReadBack for Endless {
    fn size(&self) -> ByteSize {
        ByteSize(self.size)
    }
    fn read_back(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        fill(at.0, buf, None);
        if at.0 < MIB && !self.sealed.load(Ordering::Relaxed) {
            buf.fill(0);
        }
        Ok(())
    }
}

impl Medium for Endless {
    fn record(&self) -> MediumRecord {
        MediumRecord { path: "/dev/endless".into(), slot: None, model: None, serial: None, size: self.size() }
    }
    fn alignment(&self) -> ByteSize {
        ByteSize(512)
    }
    fn write_at(&self, at: ByteOffset, bytes: &[u8]) -> io::Result<()> {
        if at.0 < MIB && bytes.iter().any(|&byte| byte != 0) {
            self.sealed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn discard(&self, _: ByteRange) -> io::Result<()> {
        Ok(())
    }
    fn is_fresh(&self) -> bool {
        true
    }
    fn check_identity(&self) -> Result<(), String> {
        Ok(())
    }
    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn eight_cards_hold_a_few_pieces_each_however_large_the_image_is() {
    let held = |cards: u64, size: u64| {
        let map = golden(size);
        let chunks = ChunkCache::of(&map);
        thread::scope(|scope| {
            for _ in 0..cards {
                scope.spawn(|| {
                    let medium = Endless { size, sealed: AtomicBool::new(false) };
                    write(&chunks, &medium, &card(&map, None, &Arc::default()));
                });
            }
        });
        chunks.most_held().0
    };
    // What issue 5 allows: 64 MiB and 16 MiB for each card, of which these buffers are the part that could grow.
    for (cards, size) in [(1, 64 * MIB), (1, 192 * MIB), (8, 96 * MIB)] {
        let most = held(cards, size);
        assert!(most > 0 && most <= (28 + cards * 12) * MIB, "{cards} cards of {size} bytes held {most}");
    }
}
