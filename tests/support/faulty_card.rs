//! A card in memory that remembers every write and misbehaves on demand.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use cardsmith::flash::{Medium, MediumRecord, ReadBack};
use cardsmith::image::ReadAt;
use cardsmith::units::{ByteOffset, ByteRange, ByteSize};

pub enum Fault {
    /// Every write from the n-th on (counted from 0) is refused.
    RefusesWritesFrom(usize),
    /// Only the n-th write is refused.
    RefusesWrite(usize),
    /// The first `times` writes that cover this byte store it with a bit flipped.
    FlipsBit { at: u64, times: usize },
    /// Writes behind this offset are accepted and dropped, as by a card that is smaller than it says.
    DropsBehind(u64),
    /// Addresses are folded back at this size, as by another card that is smaller than it says.
    FoldsAt(u64),
    /// Every write is accepted and dropped, as by a worn-out card.
    KeepsOld,
    /// Pulled out at the n-th write.
    VanishesAt(usize),
    /// Replaced by another card at the n-th write.
    ExchangedAt(usize),
    /// Replaced by another card before anything was written.
    ExchangedBefore,
    /// The n-th sync reports an error.
    SyncFails(usize),
    /// The first `times` reads of this byte fail.
    ReadFails { at: u64, times: usize },
    /// Called before every write with its number: to wait, or to cancel.
    Hook(Box<dyn Fn(usize) + Send + Sync>),
    /// Says that a discard worked, and fills the range with ones.
    DiscardsToOnes,
    /// From the n-th write on, all are accepted and dropped: worn out in the middle of the work.
    DropsFrom(usize),
    /// The n-th write stores its first half and reports an error, as a short write does.
    WritesHalf(usize),
    /// The n-th write stores its first half and reports success.
    TearsWrite(usize),
    /// The n-th read is refused.
    RefusesRead(usize),
    /// The first `times` reads of this byte come with a bit flipped.
    FlipsRead { at: u64, times: usize },
    /// From the n-th write on it says that it is this large, and takes nothing behind that.
    ShrinksAt(usize, u64),
    /// The n-th write does not return before [`FaultyCard::release`].
    StallsWrite(usize),
    /// The n-th read does not return before [`FaultyCard::release`].
    StallsRead(usize),
    /// The n-th sync does not return before [`FaultyCard::release`].
    StallsSync(usize),
}

#[derive(Default)]
pub struct State {
    pub bytes: Vec<u8>,
    pub log: Vec<(u64, Vec<u8>)>,
    pub writes: usize,
    pub reads: usize,
    pub syncs: usize,
    /// How long the log was at each sync that succeeded.
    pub flushes: Vec<usize>,
    pub finished: bool,
    used: Vec<usize>,
    gone: bool,
    exchanged: bool,
    shrunk: Option<u64>,
}

pub struct FaultyCard {
    pub state: Mutex<State>,
    faults: Vec<Fault>,
    alignment: u64,
    fresh: bool,
    released: Mutex<bool>,
    release: Condvar,
}

fn device_error() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl FaultyCard {
    /// A card that holds `bytes` from earlier use.
    pub fn holding(bytes: Vec<u8>, faults: Vec<Fault>) -> Arc<FaultyCard> {
        let used = vec![0; faults.len()];
        let state = State { bytes, used, ..State::default() };
        Arc::new(FaultyCard {
            state: Mutex::new(state),
            faults,
            alignment: 512,
            fresh: false,
            released: Mutex::default(),
            release: Condvar::new(),
        })
    }

    /// Lets everything go on that stalls.
    pub fn release(&self) {
        *self.released.lock().unwrap() = true;
        self.release.notify_all();
    }

    fn stall(&self, stalls: impl Fn(&Fault) -> bool) {
        if self.faults.iter().any(stalls) {
            drop(self.release.wait_while(self.released.lock().unwrap(), |released| !*released).unwrap());
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().bytes.clone()
    }

    /// What the card held after the first `n` writes.
    pub fn replay(&self, old: &[u8], n: usize) -> Vec<u8> {
        let mut bytes = old.to_vec();
        for (at, data) in self.state.lock().unwrap().log.iter().take(n) {
            let at = *at as usize;
            bytes[at..at + data.len()].copy_from_slice(data);
        }
        bytes
    }
}

impl ReadBack for FaultyCard {
    fn size(&self) -> ByteSize {
        ByteSize(self.state.lock().unwrap().bytes.len() as u64)
    }

    fn read_back(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        let number = {
            let mut state = self.state.lock().unwrap();
            state.reads += 1;
            state.reads - 1
        };
        self.stall(|fault| matches!(fault, Fault::StallsRead(n) if *n == number));
        let mut state = self.state.lock().unwrap();
        if state.gone || self.faults.iter().any(|fault| matches!(fault, Fault::RefusesRead(n) if *n == number)) {
            return Err(device_error());
        }
        let (first, end) = (at.0, at.0 + buf.len() as u64);
        let covers = |place: u64| (first..end).contains(&place);
        for (n, fault) in self.faults.iter().enumerate() {
            if let Fault::ReadFails { at: place, times } = fault
                && covers(*place)
                && state.used[n] < *times
            {
                state.used[n] += 1;
                return Err(device_error());
            }
        }
        let fold = self.faults.iter().find_map(|fault| match fault {
            Fault::FoldsAt(size) => Some(*size as usize),
            _ => None,
        });
        let (mut at, mut rest) = (at.0 as usize, &mut *buf);
        while !rest.is_empty() {
            let size = fold.unwrap_or(state.bytes.len());
            at = if fold.is_some() { at % size } else { at };
            let len = rest.len().min(size.checked_sub(at).ok_or(io::ErrorKind::UnexpectedEof)?);
            let (now, later) = rest.split_at_mut(len);
            now.copy_from_slice(state.bytes.get(at..at + len).ok_or(io::ErrorKind::UnexpectedEof)?);
            (at, rest) = (at + len, later);
        }
        for (n, fault) in self.faults.iter().enumerate() {
            if let Fault::FlipsRead { at: place, times } = fault
                && covers(*place)
                && state.used[n] < *times
            {
                state.used[n] += 1;
                buf[(place - first) as usize] ^= 1;
            }
        }
        Ok(())
    }
}

impl Medium for FaultyCard {
    fn record(&self) -> MediumRecord {
        MediumRecord {
            path: "/dev/faulty".into(),
            slot: Some("left-2".to_owned()),
            model: None,
            serial: None,
            size: self.size(),
        }
    }

    fn alignment(&self) -> ByteSize {
        ByteSize(self.alignment)
    }

    fn write_at(&self, at: ByteOffset, bytes: &[u8]) -> io::Result<()> {
        assert!(at.0.is_multiple_of(self.alignment) && (bytes.len() as u64).is_multiple_of(self.alignment), "{at:?}");
        assert_eq!(bytes.as_ptr() as usize % 512, 0, "direct writes need aligned memory");
        let number = {
            let mut state = self.state.lock().unwrap();
            state.writes += 1;
            state.writes - 1
        };
        for fault in &self.faults {
            if let Fault::Hook(hook) = fault {
                hook(number);
            }
        }
        self.stall(|fault| matches!(fault, Fault::StallsWrite(n) if *n == number));
        let mut state = self.state.lock().unwrap();
        let mut data = bytes.to_vec();
        let mut half = false;
        let mut start = at.0;
        for (n, fault) in self.faults.iter().enumerate() {
            match fault {
                Fault::RefusesWritesFrom(from) if number >= *from => return Err(device_error()),
                Fault::RefusesWrite(one) if number == *one => return Err(device_error()),
                Fault::VanishesAt(from) if number >= *from => state.gone = true,
                Fault::ExchangedAt(from) if number >= *from => state.exchanged = true,
                Fault::FlipsBit { at: place, times }
                    if (at.0..at.0 + data.len() as u64).contains(place) && state.used[n] < *times =>
                {
                    state.used[n] += 1;
                    data[(place - at.0) as usize] ^= 0x10;
                }
                Fault::DropsBehind(size) => data.truncate(size.saturating_sub(at.0) as usize),
                Fault::FoldsAt(size) => start %= size,
                Fault::KeepsOld => data.clear(),
                Fault::DropsFrom(from) if number >= *from => data.clear(),
                Fault::WritesHalf(one) if number == *one => {
                    data.truncate(data.len() / 2);
                    half = true;
                }
                Fault::TearsWrite(one) if number == *one => data.truncate(data.len() / 2),
                Fault::ShrinksAt(from, size) if number >= *from => state.shrunk = Some(*size),
                _ => {}
            }
        }
        if state.gone {
            return Err(device_error());
        }
        if state.shrunk.is_some_and(|size| at.0 + bytes.len() as u64 > size) {
            return Err(io::Error::from_raw_os_error(28));
        }
        let from = start as usize;
        state.bytes.get_mut(from..from + data.len()).ok_or(io::ErrorKind::WriteZero)?.copy_from_slice(&data);
        state.log.push((start, data));
        if half { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.syncs += 1;
        let number = state.syncs - 1;
        drop(state);
        self.stall(|fault| matches!(fault, Fault::StallsSync(n) if *n == number));
        let mut state = self.state.lock().unwrap();
        if state.gone || self.faults.iter().any(|fault| matches!(fault, Fault::SyncFails(n) if *n == number)) {
            return Err(device_error());
        }
        let log = state.log.len();
        state.flushes.push(log);
        Ok(())
    }

    fn discard(&self, range: ByteRange) -> io::Result<()> {
        if !self.faults.iter().any(|fault| matches!(fault, Fault::DiscardsToOnes)) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut state = self.state.lock().unwrap();
        state.bytes[range.start.0 as usize..range.end().0 as usize].fill(0xFF);
        Ok(())
    }

    fn is_fresh(&self) -> bool {
        self.fresh
    }

    fn check_identity(&self) -> Result<(), String> {
        let state = self.state.lock().unwrap();
        if let Some(size) = state.shrunk {
            return Err(format!("it is {size} bytes large now, it was {}", state.bytes.len()));
        }
        let before = self.faults.iter().any(|fault| matches!(fault, Fault::ExchangedBefore));
        if before || state.gone || state.exchanged { Err("another card was put in".to_owned()) } else { Ok(()) }
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.state.lock().unwrap().finished = true;
        Ok(())
    }
}

/// The card as a [`Medium`] of its own, while the test keeps hold of it.
pub struct Shared(pub Arc<FaultyCard>);

impl ReadBack for Shared {
    fn size(&self) -> ByteSize {
        self.0.size()
    }
    fn read_back(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_back(at, buf)
    }
}

impl Medium for Shared {
    fn record(&self) -> MediumRecord {
        self.0.record()
    }
    fn alignment(&self) -> ByteSize {
        self.0.alignment()
    }
    fn write_at(&self, at: ByteOffset, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(at, bytes)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn discard(&self, range: ByteRange) -> io::Result<()> {
        self.0.discard(range)
    }
    fn is_fresh(&self) -> bool {
        self.0.is_fresh()
    }
    fn check_identity(&self) -> Result<(), String> {
        self.0.check_identity()
    }
    fn finish(self: Box<Self>) -> io::Result<()> {
        self.0.state.lock().unwrap().finished = true;
        Ok(())
    }
}

/// An image in memory.
pub struct Bytes(pub Vec<u8>);

impl ReadAt for Bytes {
    fn size(&self) -> ByteSize {
        ByteSize(self.0.len() as u64)
    }
    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        let from = at.0 as usize;
        buf.copy_from_slice(self.0.get(from..from + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Whether a Pi would find something to boot: it looks at the beginning only.
pub fn boots(bytes: &[u8]) -> bool {
    bytes.get(510..512) == Some(&[0x55, 0xAA]) || bytes.get(512..520) == Some(b"EFI PART")
}

/// Whether anything would take these bytes for a disk with partitions.
pub fn has_partition_table(bytes: &[u8]) -> bool {
    let gpt = |lba: usize| bytes.get(lba * 512..lba * 512 + 8) == Some(b"EFI PART");
    bytes.get(510..512) == Some(&[0x55, 0xAA]) || gpt(1) || gpt(bytes.len() / 512 - 1)
}
