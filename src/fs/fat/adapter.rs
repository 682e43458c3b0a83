//! What `fatfs` works on: a partition as a stream, and a clock that stands still.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use fatfs::{Date, DateTime, FileSystem, FsOptions, Time, TimeProvider};

use crate::fs::Clock;
use crate::image::WriteAt;
use crate::units::ByteOffset;

/// Opens the volume for one operation on this thread. The volume must have passed [`super::FatTree::read`].
///
/// # Errors
/// Those of `fatfs`.
pub fn open(window: Arc<dyn WriteAt>, clock: Clock) -> io::Result<FileSystem<Disk>> {
    NOW.with(|now| now.set(clock.seconds));
    // An access date would change the image by reading it.
    let options = FsOptions::new().time_provider(&THREAD_CLOCK).update_accessed_date(false);
    FileSystem::new(Disk { window, at: 0 }, options)
}

/// The partition as `fatfs` wants it.
pub struct Disk {
    window: Arc<dyn WriteAt>,
    at: u64,
}

impl Disk {
    fn left(&self, len: usize) -> usize {
        let left = self.window.size().0.saturating_sub(self.at);
        usize::try_from(left).unwrap_or(usize::MAX).min(len)
    }
}

impl Read for Disk {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.left(buf.len());
        self.window.read_at(ByteOffset(self.at), buf.get_mut(..len).unwrap_or_default())?;
        self.at += len as u64;
        Ok(len)
    }
}

impl Write for Disk {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let len = self.left(buf.len());
        self.window.write_at(ByteOffset(self.at), buf.get(..len).unwrap_or_default())?;
        self.at += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Every write is in the overlay already.
        Ok(())
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.window.size().0.checked_add_signed(by),
        };
        self.at = to.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a seek left the partition"))?;
        Ok(self.at)
    }
}

thread_local! {
    /// The time of the operation that is under way on this thread: `fatfs` takes only a `'static` clock.
    static NOW: Cell<i64> = const { Cell::new(0) };
}

#[derive(Debug)]
struct ThreadClock;

static THREAD_CLOCK: ThreadClock = ThreadClock;

impl TimeProvider for ThreadClock {
    fn get_current_date(&self) -> Date {
        self.get_current_date_time().date
    }

    fn get_current_date_time(&self) -> DateTime {
        date_time_of(NOW.with(Cell::get))
    }
}

/// FAT times have no zone; we write UTC. What lies outside of 1980 to 2107 becomes the nearest that FAT can hold.
fn date_time_of(seconds: i64) -> DateTime {
    // 1980-01-01 and 2107-12-31 23:59:58: seven bits of years, and steps of two seconds.
    const FIRST: i64 = 315_532_800;
    const LAST: i64 = 4_354_819_198;
    let at = jiff::Timestamp::from_second(seconds.clamp(FIRST, LAST)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let at = jiff::tz::TimeZone::UTC.to_datetime(at);
    let field = |value: i8| u16::try_from(value).unwrap_or(0);
    DateTime {
        date: Date { year: u16::try_from(at.year()).unwrap_or(1980), month: field(at.month()), day: field(at.day()) },
        time: Time { hour: field(at.hour()), min: field(at.minute()), sec: field(at.second()), millis: 0 },
    }
}

/// A FAT time as seconds since 1970; 0 for what is none.
pub fn seconds_of(at: DateTime) -> i64 {
    let field = |value: u16| i8::try_from(value).unwrap_or(0);
    let year = i16::try_from(at.date.year).unwrap_or(1980);
    let date = jiff::civil::Date::new(year, field(at.date.month), field(at.date.day)).ok();
    let time = jiff::civil::Time::new(field(at.time.hour), field(at.time.min), field(at.time.sec), 0).ok();
    let both = date.zip(time).map(|(date, time)| date.to_datetime(time));
    both.and_then(|at| jiff::tz::TimeZone::UTC.to_timestamp(at).ok()).map_or(0, |at| at.as_second())
}
