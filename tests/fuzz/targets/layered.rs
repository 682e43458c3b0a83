//! An image whose base is shared between runs: what a run writes lies above it, in pages.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use cardsmith::image::{ReadAt, WriteAt};
use cardsmith::units::{ByteOffset, ByteRange, ByteSize};

use super::bases::{Base, LINE};

const PAGE: usize = 1024;

pub struct Layered {
    base: &'static Base,
    pages: Mutex<BTreeMap<usize, Box<[u8; PAGE]>>>,
}

impl Layered {
    pub fn new(base: &'static Base) -> Layered {
        Layered { base, pages: Mutex::default() }
    }

    /// All of it as it is now.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.base.bytes.len()];
        self.read_at(ByteOffset(0), &mut bytes).expect("it reaches to its end");
        bytes
    }

    fn place(&self, at: u64, len: usize, kind: io::ErrorKind) -> io::Result<usize> {
        match at.checked_add(len as u64) {
            Some(end) if end <= self.base.bytes.len() as u64 => Ok(at as usize),
            _ => Err(kind.into()),
        }
    }

    fn of_base(&self, at: usize, into: &mut [u8]) {
        into.fill(0);
        let there = self.base.bytes.get(at..).unwrap_or_default();
        let len = there.len().min(into.len());
        into[..len].copy_from_slice(&there[..len]);
    }
}

impl ReadAt for Layered {
    fn size(&self) -> ByteSize {
        ByteSize(self.base.bytes.len() as u64)
    }

    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        let start = self.place(at.0, buf.len(), io::ErrorKind::UnexpectedEof)?;
        self.of_base(start, buf);
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        for (&number, page) in pages.range(start / PAGE..(start + buf.len()).div_ceil(PAGE)) {
            let from = (number * PAGE).max(start);
            let to = ((number + 1) * PAGE).min(start + buf.len());
            buf[from - start..to - start].copy_from_slice(&page[from - number * PAGE..to - number * PAGE]);
        }
        Ok(())
    }

    /// As a sparse file: what neither the base nor a write filled is a hole.
    fn next_data(&self, from: ByteOffset) -> io::Result<Option<ByteRange>> {
        let line = self.base.lines.partition_point(|&line| ((line as usize + 1) * LINE) as u64 <= from.0);
        let of_base = self.base.lines.get(line).map(|&line| line as usize * LINE);
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let of_page = pages.range(from.0 as usize / PAGE..).next().map(|(number, _)| number * PAGE);
        let Some(start) = [of_base, of_page].into_iter().flatten().min() else { return Ok(None) };
        let (start, end) = (start.max(from.0 as usize), (start / PAGE + 1) * PAGE);
        let end = end.min(self.base.bytes.len());
        Ok((start < end).then(|| ByteRange::new(start as u64, (end - start) as u64)))
    }
}

impl WriteAt for Layered {
    fn write_at(&self, at: ByteOffset, bytes: &[u8]) -> io::Result<()> {
        let start = self.place(at.0, bytes.len(), io::ErrorKind::WriteZero)?;
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        for number in start / PAGE..(start + bytes.len()).div_ceil(PAGE) {
            let page = pages.entry(number).or_insert_with(|| {
                let mut page = Box::new([0; PAGE]);
                self.of_base(number * PAGE, &mut page[..]);
                page
            });
            let from = (number * PAGE).max(start);
            let to = ((number + 1) * PAGE).min(start + bytes.len());
            page[from - number * PAGE..to - number * PAGE].copy_from_slice(&bytes[from - start..to - start]);
        }
        Ok(())
    }

    fn punch(&self, range: ByteRange) -> io::Result<()> {
        let zeros = [0; PAGE];
        let mut at = range.start.0;
        while at < range.end().0 {
            let len = (range.end().0 - at).min(PAGE as u64) as usize;
            self.write_at(ByteOffset(at), &zeros[..len])?;
            at += len as u64;
        }
        Ok(())
    }
}
