//! A packed image that is read while it is still being decoded: who asks for bytes that are not there yet waits for them.
//!
//! Decoding goes from the beginning to the end, and so does writing a card: cards wait as long as decoding takes, and
//! no longer. That what was handed out is right is not known before all of it was decoded, because the digest is that of
//! the whole file. So nothing that was made of these bytes may count before [`StreamingImage::wait`] says so.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::cache::Cache;
use super::decode::Decoded;
use super::error::SourceError;
use super::format::Format;
use super::largest::LargestImage;
use super::location::Location;
use super::open_file::OpenFile;
use super::packed::{Packed, decode_checked, fetch};
use super::spec::SourceSpec;
use crate::atomic_file::AtomicFile;
use crate::causes::in_one_line;
use crate::digest::Sha256Digest;
use crate::image::bytes::ReadAt;
use crate::image::file::ImageFile;
use crate::progress::{Progress, Silent};
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// How often who waits looks whether it was stopped.
const LOOK: Duration = Duration::from_millis(100);

/// An image that is being decoded, or was.
pub struct StreamingImage {
    image: ImageFile,
    shared: Arc<Shared>,
    decoder: Option<JoinHandle<()>>,
}

/// What decoder and readers tell each other.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Set from outside: the whole run is to end.
    cancel: Arc<AtomicBool>,
    /// Nobody reads any more.
    unread: AtomicBool,
}

enum State {
    /// So many bytes, from the beginning on, can be read.
    Decoded(u64),
    /// All of them, and the packed file had the digest that it must have.
    Whole,
    /// The image cannot be used, and why.
    Failed(String),
}

/// Opens the packed image at `path`, which must have this digest and unpack to `size` bytes, and decodes it in the
/// background into the cache under `cache_directory`. `Ok(None)` where there is nothing to wait for: it is not packed, or
/// it may be in the cache already.
///
/// # Errors
/// [`SourceError`] for what can be said before decoding; what comes later, readers and [`StreamingImage::wait`] hear.
pub fn open_streaming(
    path: &Path,
    expected: Sha256Digest,
    size: ByteSize,
    cache_directory: &Path,
    cancel: Arc<AtomicBool>,
) -> Result<Option<StreamingImage>, SourceError> {
    let opened = OpenFile::new(path)?;
    let cache = Cache::at(cache_directory)?;
    // By size, not by digest: to hash the archive first would take longer than what streaming wins.
    if opened.format == Format::Raw || cache.may_hold(opened.size) {
        return Ok(None);
    }
    begin(
        SourceSpec::file(path, Some(expected)).at_most(LargestImage::of_manifest(size)),
        opened.into_packed(),
        size,
        cache,
        cancel,
    )
    .map(Some)
}

/// As [`open_streaming`], for a file that a server has: it is fetched whole first, and nothing is decoded that has another
/// digest.
///
/// # Errors
/// As [`open_streaming`], and those of the download; nothing is in the cache then that was not there before.
pub fn fetch_streaming(
    place: &Location,
    expected: Sha256Digest,
    size: ByteSize,
    cache_directory: &Path,
    cancel: Arc<AtomicBool>,
    progress: &dyn Progress,
) -> Result<Option<StreamingImage>, SourceError> {
    let spec = SourceSpec::remote(place.clone(), Some(expected))?.at_most(LargestImage::of_manifest(size));
    let cache = Cache::at(cache_directory)?;
    if cache.has(&expected) {
        return Ok(None);
    }
    let mut task = progress.task(&place.name(), None);
    let fetched = fetch(&spec, place, &cache, task.as_mut());
    match &fetched {
        Ok(packed) => task.done(&format!("fetched {}, which is what the manifest names", packed.size)),
        Err(_) => task.failed("not usable"),
    }
    begin(spec, fetched?, size, cache, cancel).map(Some)
}

fn begin(
    spec: SourceSpec,
    packed: Packed,
    size: ByteSize,
    cache: Cache,
    cancel: Arc<AtomicBool>,
) -> Result<StreamingImage, SourceError> {
    let unusable = cache.unusable("begin a decoded image");
    let file = cache.begin().map_err(&unusable)?;
    // At its full length from the start: zeros are not written, and must be there to be read all the same.
    file.file().set_len(size.0).map_err(&unusable)?;
    let image = file.file().try_clone().and_then(ImageFile::from_file).map_err(&unusable)?;

    let state = Mutex::new(State::Decoded(0));
    let shared = Arc::new(Shared { state, changed: Condvar::new(), cancel, unread: AtomicBool::new(false) });
    let decoder = Decoder { shared: shared.clone(), spec, packed, cache, size };
    let decoder = thread::Builder::new().name("decoder".to_owned()).spawn(move || decoder.run(file));
    Ok(StreamingImage { image, shared, decoder: Some(decoder.map_err(unusable)?) })
}

impl StreamingImage {
    /// Whether all of it is there and right, so that nobody has to wait.
    ///
    /// # Errors
    /// Why it cannot be used, where that is known already.
    pub fn is_whole(&self) -> io::Result<bool> {
        match &*self.shared.state() {
            State::Whole => Ok(true),
            State::Decoded(_) => Ok(false),
            State::Failed(why) => Err(io::Error::other(why.clone())),
        }
    }

    /// Waits until all of it was decoded and found to be the right file.
    ///
    /// # Errors
    /// Why it is not, or that the run was cancelled. Nothing that was read of it may be used then.
    pub fn wait(&self) -> io::Result<()> {
        // No image has so many bytes, so only `Whole` is enough.
        self.shared.wait_for(u64::MAX)
    }
}

impl ReadAt for StreamingImage {
    fn size(&self) -> ByteSize {
        self.image.size()
    }

    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        let end = at.0.checked_add(buf.len() as u64).filter(|&end| end <= self.size().0);
        self.shared.wait_for(end.ok_or(io::ErrorKind::UnexpectedEof)?)?;
        self.image.read_at(at, buf)
    }

    fn next_data(&self, from: ByteOffset) -> io::Result<Option<ByteRange>> {
        // A hole may be one that is not filled yet.
        self.wait()?;
        self.image.next_data(from)
    }
}

impl Drop for StreamingImage {
    fn drop(&mut self) {
        // The flag first and the join after it: the other way round would wait for the whole decoding.
        self.shared.unread.store(true, Ordering::Relaxed);
        // An image that is complete is still being put into the cache, which must not be cut off.
        if let Some(decoder) = self.decoder.take() {
            let _ = decoder.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A state is set in one step, so a panic leaves a valid one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.state() = state;
        // All of them: several cards may wait for different places.
        self.changed.notify_all();
    }

    /// Returns when the first `end` bytes can be read.
    fn wait_for(&self, end: u64) -> io::Result<()> {
        let mut state = self.state();
        loop {
            match &*state {
                State::Whole => return Ok(()),
                State::Failed(why) => return Err(io::Error::other(why.clone())),
                State::Decoded(there) if *there >= end => return Ok(()),
                State::Decoded(_) => self.go_on()?,
            }
            // With a timeout, because nobody notifies when `cancel` is set.
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn go_on(&self) -> io::Result<()> {
        match self.cancel.load(Ordering::Relaxed) || self.unread.load(Ordering::Relaxed) {
            true => Err(io::Error::new(io::ErrorKind::Interrupted, "it was stopped while the image was decoded")),
            false => Ok(()),
        }
    }
}

/// What the thread in the background works with.
struct Decoder {
    shared: Arc<Shared>,
    spec: SourceSpec,
    packed: Packed,
    cache: Cache,
    size: ByteSize,
}

impl Decoder {
    fn run(self, file: AtomicFile) {
        match self.decode(&file) {
            Ok(decoded) => {
                // Before it is kept: to bring it to the disk takes seconds, in which the cards can go on.
                self.shared.set(State::Whole);
                // The cards go on with what is there. An entry that cannot be kept is decoded once more another time.
                let _ = self.cache.put(file, &decoded.published, self.packed.size, decoded.image);
            }
            Err(why) => self.shared.set(State::Failed(why)),
        }
    }

    fn decode(&self, file: &AtomicFile) -> Result<Decoded, String> {
        let available = |bytes: u64| {
            // Readers know only `size`.
            self.shared.set(State::Decoded(bytes.min(self.size.0)));
            self.shared.go_on()
        };
        let mut silent = Silent.task("", None);
        let decoded = decode_checked(&self.cache, &self.spec, &self.packed, file, silent.as_mut(), &available)
            .map_err(|error| in_one_line(&error))?;
        // Partitions and maps were checked against the manifest's size.
        match decoded.size == self.size {
            true => Ok(decoded),
            false => Err(format!("it unpacks to {} bytes, not to {}", decoded.size.0, self.size.0)),
        }
    }
}

impl Drop for Decoder {
    /// Whatever ends the thread, nobody waits for it any longer.
    fn drop(&mut self) {
        let unfinished = matches!(*self.shared.state(), State::Decoded(_));
        // Also when it panics: readers would wait for ever for a state that nobody sets any more.
        if unfinished {
            self.shared.set(State::Failed("decoding broke off".to_owned()));
        }
    }
}
