//! Unpacking: one pass over the published file that hashes it, and one over the image that writes it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use super::fingerprint::{Fingerprint, Taking};
use super::format::Format;
use super::zip_entry;
use crate::digest::{Hashing, Sha256Digest};
use crate::image::hashing::AT_A_TIME;
use crate::image::sparse::SparseFile;
use crate::progress::Task;
use crate::units::{ByteOffset, ByteSize};
use liblzma::stream::MtStreamBuilder;

/// A multiple of what the image is written by.
const CHUNK: usize = 8 * AT_A_TIME;
/// Chunks between decoder and writer.
const AHEAD: usize = 8;
/// Dictionaries of all threads together. Official images need 65 MiB per thread.
const XZ_THREADS_MEMORY: u64 = 1 << 30;
/// One thread with the largest dictionary that xz can be told to use (1.5 GiB) is refused; `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 1 << 30;
/// `zstd --long=30`; the largest, 31, would take 2 GiB.
const ZSTD_WINDOW_LOG: u32 = 30;

/// What came out.
#[derive(Debug, Clone)]
pub(super) struct Decoded {
    /// SHA-256 of the file as published.
    pub published: Sha256Digest,
    /// By which the cache knows the image again.
    pub image: Fingerprint,
    /// Size of the image.
    pub size: ByteSize,
}

/// Why nothing came out.
pub(super) enum DecodeError {
    /// The file could not be read.
    Read { at: ByteOffset, source: io::Error },
    /// The file is damaged. Its digest tells whether it is the right file at all.
    Damaged { at: ByteOffset, decoded: ByteSize, source: io::Error, published: Sha256Digest },
    /// The zip archive does not hold one image.
    Entries(Vec<String>),
    /// More than was asked for.
    TooLarge,
    /// The decoded image could not be written.
    Write { decoded: ByteSize, source: io::Error },
}

/// Decodes all of `file` into `sink`, sparse, where that is not more than `most`. `available` hears how many bytes of the image are there; an error of it ends
/// the work.
pub(super) fn decode(
    file: &File,
    format: Format,
    sink: &File,
    most: ByteSize,
    task: &mut dyn Task,
    available: &dyn Fn(u64) -> io::Result<()>,
) -> Result<Decoded, DecodeError> {
    let read_so_far = AtomicU64::new(0);
    thread::scope(|scope| {
        // Bounded, so that a slow disk makes the decoder wait instead of filling the memory.
        let (send, receive) = sync_channel(AHEAD);
        // Not bounded: it carries only buffers that `send` has bounded already.
        let (give_back, empty) = channel();
        let counter = &read_so_far;
        let reader = scope.spawn(move || unpack(file, format, counter, most, &mut Chunks { send, empty }));
        let written = write(&receive, &give_back, sink, most, |there| {
            task.at(ByteSize(read_so_far.load(Ordering::Relaxed)));
            available(there)
        });
        // An early end of the writer is what makes the reader stop.
        drop(receive);
        let unpacked = match reader.join() {
            Ok(unpacked) => unpacked,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        // The writer's error first: when it gives up, the decoder only stops, which would pass for a complete image.
        let (image, size) = written?;
        let read_error = |source| DecodeError::Read { at: ByteOffset(read_so_far.load(Ordering::Relaxed)), source };
        match unpacked {
            Ok((published, Ok(()))) => Ok(Decoded { published, image, size }),
            Ok((published, Err(Broken { at, source }))) => {
                Err(DecodeError::Damaged { at, decoded: size, source, published })
            }
            Err(Unread::Io(source)) => Err(read_error(source)),
            Err(Unread::Entries(entries)) => Err(DecodeError::Entries(entries)),
            Err(Unread::TooLarge) => Err(DecodeError::TooLarge),
        }
    })
}

/// Where a decoder gave up.
struct Broken {
    at: ByteOffset,
    source: io::Error,
}

enum Unread {
    Io(io::Error),
    Entries(Vec<String>),
    TooLarge,
}

/// The file as published: counted while it passes. An error of its own is kept apart from the decoder's.
struct Published<'a> {
    file: &'a File,
    at: u64,
    counter: &'a AtomicU64,
    failed: Option<io::ErrorKind>,
}

impl Read for Published<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.file.read_at(buf, self.at) {
            Ok(n) => {
                self.at += n as u64;
                // `Relaxed`: it only feeds progress and messages.
                self.counter.store(self.at, Ordering::Relaxed);
                Ok(n)
            }
            Err(error) => {
                // Kept, because the decoder wraps it in an error of its own, which would accuse the file.
                self.failed = Some(error.kind());
                Err(error)
            }
        }
    }
}

type Unpacked = Result<(Sha256Digest, Result<(), Broken>), Unread>;

fn unpack(file: &File, format: Format, counter: &AtomicU64, most: ByteSize, to: &mut Chunks) -> Unpacked {
    let mut published = Hashing::new(Published { file, at: 0, counter, failed: None });
    let result = if format == Format::Zip {
        // The directory of a zip archive is at its end, so the file is hashed in a pass of its own, below.
        zip_entry::with_image(file, counter, most, |entry| to.pump(entry)).map_err(|error| match error {
            zip_entry::ZipError::Io(source) => Unread::Io(source),
            zip_entry::ZipError::Entries(entries) => Unread::Entries(entries),
            zip_entry::ZipError::TooLarge => Unread::TooLarge,
        })?
    } else {
        let buffered = BufReader::with_capacity(CHUNK, &mut published);
        match format {
            Format::Xz => to.pump(XzStreams::new(buffered)),
            // Several members: `cat a.gz b.gz`, and what bgzip writes (RFC 1952, 2.2).
            Format::Gzip => to.pump(flate2::bufread::MultiGzDecoder::new(buffered)),
            Format::Zstd => zstd_frames(buffered).and_then(|frames| to.pump(frames)),
            Format::Raw | Format::Zip => to.pump(buffered),
        }
    };
    let at = ByteOffset(counter.load(Ordering::Relaxed));
    // What is behind the packed data belongs to the published file, too. Not where it could not be read: a second try
    // might bring other bytes, and a digest of those would accuse the file instead of the disk.
    let rest = match published.inner().failed {
        Some(kind) => Err(io::Error::from(kind)),
        None => io::copy(&mut published, &mut io::sink()),
    };
    rest.map_err(Unread::Io)?;
    Ok((published.into_parts().1, result.map_err(|source| Broken { at, source })))
}

/// The way to the writer, and the way back for memory that was used: fresh memory costs more than to fill it.
struct Chunks {
    send: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
}

impl Chunks {
    /// Reads to the end, in chunks, until nobody wants more.
    fn pump(&mut self, mut from: impl Read) -> io::Result<()> {
        loop {
            // Memory that the writer gave back, or fresh while there is none.
            let mut chunk = self.empty.try_recv().unwrap_or_default();
            chunk.resize(CHUNK, 0);
            let mut filled = 0;
            // Filled up before it is sent: decoders give pieces of any size, and the fingerprint wants whole steps.
            while let Some(rest) = chunk.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match from.read(rest) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            chunk.truncate(filled);
            // Empty is the end. A closed channel means that the writer gave up, and the writer says why.
            if chunk.is_empty() || self.send.send(chunk).is_err() {
                return Ok(());
            }
        }
    }
}

fn zstd_frames<R: BufRead>(from: R) -> io::Result<zstd::Decoder<'static, R>> {
    let mut frames = zstd::Decoder::with_buffer(from)?;
    frames.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(frames)
}

/// The streams of an .xz file, one after the other (`cat a.xz b.xz`, and what pixz writes), each decoded on all cores
/// where it has several blocks.
struct XzStreams<R: BufRead> {
    /// `None` between two streams.
    stream: Option<liblzma::bufread::XzDecoder<R>>,
    rest: Option<R>,
}

impl<R: BufRead> XzStreams<R> {
    fn new(from: R) -> XzStreams<R> {
        XzStreams { stream: None, rest: Some(from) }
    }

    fn begin(from: R) -> io::Result<liblzma::bufread::XzDecoder<R>> {
        let threads = thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
        let decoder = MtStreamBuilder::new()
            .threads(threads)
            // Above this it takes fewer threads; above `memlimit_stop` it gives up.
            .memlimit_threading(XZ_THREADS_MEMORY)
            .memlimit_stop(XZ_MEMORY)
            .decoder()
            .map_err(io::Error::other)?;
        Ok(liblzma::bufread::XzDecoder::new_stream(from, decoder))
    }
}

impl<R: BufRead> Read for XzStreams<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // 0 bytes would be taken for the end of a stream below.
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(from) = self.rest.take() {
                self.stream = Some(XzStreams::begin(from)?);
            }
            let Some(stream) = &mut self.stream else { return Ok(0) };
            let n = stream.read(buf)?;
            if n > 0 {
                return Ok(n);
            }
            // The stream is complete, its index and footer checked. Another one may follow.
            let Some(mut from) = self.stream.take().map(liblzma::bufread::XzDecoder::into_inner) else { return Ok(0) };
            if !another_stream(&mut from)? {
                return Ok(0);
            }
            self.rest = Some(from);
        }
    }
}

/// Skips the padding behind a stream (zeros, a multiple of four: the .xz file format, 2.2); whether more follows.
fn another_stream(from: &mut impl BufRead) -> io::Result<bool> {
    let mut padding = 0u64;
    loop {
        let waiting = from.fill_buf()?;
        let zeros = waiting.iter().take_while(|&&b| b == 0).count();
        let at_end = waiting.is_empty();
        let more = zeros < waiting.len();
        // The next decoder must not see the padding.
        from.consume(zeros);
        padding += zeros as u64;
        if at_end || more {
            if !padding.is_multiple_of(4) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "padding that is no multiple of four bytes"));
            }
            return Ok(more);
        }
    }
}

/// Writes what comes, leaving out zeros, and gives the memory back; returns the image's fingerprint and size.
fn write(
    receive: &Receiver<Vec<u8>>,
    empty: &Sender<Vec<u8>>,
    sink: &File,
    most: ByteSize,
    mut tell: impl FnMut(u64) -> io::Result<()>,
) -> Result<(Fingerprint, ByteSize), DecodeError> {
    let mut taking = Taking::default();
    let mut at = 0u64;
    let failed = |at, source| DecodeError::Write { decoded: ByteSize(at), source };
    let mut sparse = SparseFile::new(sink).map_err(|source| failed(0, source))?;
    for chunk in receive {
        // Before it is written: a decompression bomb must not fill the disk first.
        if at.saturating_add(chunk.len() as u64) > most.0 {
            return Err(DecodeError::TooLarge);
        }
        taking.next(&chunk);
        sparse.put(ByteOffset(at), &chunk).map_err(|source| failed(at, source))?;
        at += chunk.len() as u64;
        // After the write: a reader may ask for these bytes at once.
        tell(at).map_err(|source| failed(at, source))?;
        // Nobody wants it any more where all is decoded.
        let _ = empty.send(chunk);
    }
    sparse.finish(ByteSize(at)).map_err(|source| failed(at, source))?;
    Ok((taking.done(), ByteSize(at)))
}
