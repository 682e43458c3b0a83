//! Unpacking: one pass over the published file that hashes it, and one over the image that hashes and writes it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use liblzma::stream::MtStreamBuilder;
use sha2::{Digest, Sha256};

use super::digest::Sha256Digest;
use super::flushing::{Flusher, while_flushing};
use super::format::Format;
use super::units::{ByteOffset, ByteSize};
use super::zeros::all_zeros;
use super::zip_entry;
use crate::progress::Task;

/// No card is larger, and no image that comes out larger is one.
pub const LARGEST_IMAGE: ByteSize = ByteSize(1 << 40);
/// Written blocks are at least so large, and zeros become holes in this grain: the block of every Linux file system.
const GRAIN: usize = 4096;
const CHUNK: usize = 1 << 20;
/// Chunks between decoder and writer.
const AHEAD: usize = 8;
/// Dictionaries of all threads together. Official images need 65 MiB per thread.
const XZ_THREADS_MEMORY: u64 = 1 << 30;
/// One thread with the largest dictionary that xz can be told to use (1.5 GiB) is refused; `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 1 << 30;
/// `zstd --long=30`; the largest, 31, would take 2 GiB.
const ZSTD_WINDOW_LOG: u32 = 30;

/// What came out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoded {
    /// SHA-256 of the file as published.
    pub published: Sha256Digest,
    /// SHA-256 of the image.
    pub image: Sha256Digest,
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
    /// More than [`LARGEST_IMAGE`].
    TooLarge,
    /// The decoded image could not be written.
    Write { decoded: ByteSize, source: io::Error },
}

/// Decodes all of `file` into `sink`, sparse. `arrived` hears how many bytes of the image are there; an error of it ends
/// the work.
pub(super) fn decode(
    file: &File,
    format: Format,
    sink: &File,
    task: &mut dyn Task,
    arrived: &dyn Fn(u64) -> io::Result<()>,
) -> Result<Decoded, DecodeError> {
    let read_so_far = AtomicU64::new(0);
    thread::scope(|scope| {
        let (send, receive) = sync_channel(AHEAD);
        let counter = &read_so_far;
        let reader = scope.spawn(move || unpack(file, format, counter, &send));
        let flushed = while_flushing(sink, |flusher| {
            Ok(write(&receive, sink, flusher, |there| {
                task.at(ByteSize(read_so_far.load(Ordering::Relaxed)));
                arrived(there)
            }))
        });
        let written = flushed.unwrap_or_else(|source| Err(DecodeError::Write { decoded: ByteSize(0), source }));
        // An early end of the writer is what makes the reader stop.
        drop(receive);
        let unpacked = match reader.join() {
            Ok(unpacked) => unpacked,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let (image, size) = written?;
        let read_error = |source| DecodeError::Read { at: ByteOffset(read_so_far.load(Ordering::Relaxed)), source };
        match unpacked {
            Ok((published, Ok(()))) => Ok(Decoded { published, image, size }),
            Ok((published, Err(Broken { at, source }))) => {
                Err(DecodeError::Damaged { at, decoded: size, source, published })
            }
            Err(Unread::Io(source)) => Err(read_error(source)),
            Err(Unread::Entries(entries)) => Err(DecodeError::Entries(entries)),
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
}

/// The file as published: hashed and counted while it passes. An error of its own is kept apart from the decoder's.
struct Published<'a> {
    file: &'a File,
    at: u64,
    hasher: Sha256,
    counter: &'a AtomicU64,
    failed: Option<io::Error>,
}

impl Read for Published<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.file.read_at(buf, self.at) {
            Ok(n) => {
                self.hasher.update(buf.get(..n).unwrap_or_default());
                self.at += n as u64;
                self.counter.store(self.at, Ordering::Relaxed);
                Ok(n)
            }
            Err(error) => {
                self.failed = Some(io::Error::from(error.kind()));
                Err(error)
            }
        }
    }
}

type Unpacked = Result<(Sha256Digest, Result<(), Broken>), Unread>;

fn unpack(file: &File, format: Format, counter: &AtomicU64, send: &SyncSender<Vec<u8>>) -> Unpacked {
    let mut published = Published { file, at: 0, hasher: Sha256::new(), counter, failed: None };
    let result = if format == Format::Zip {
        // The directory of a zip archive is at its end, so the file is hashed in a pass of its own, below.
        zip_entry::with_image(file, counter, |entry| pump(entry, send)).map_err(|error| match error {
            zip_entry::ZipError::Io(source) => Unread::Io(source),
            zip_entry::ZipError::Entries(entries) => Unread::Entries(entries),
        })?
    } else {
        let buffered = BufReader::with_capacity(CHUNK, &mut published);
        match format {
            Format::Xz => pump(XzStreams::new(buffered), send),
            Format::Gzip => pump(flate2::bufread::MultiGzDecoder::new(buffered), send),
            Format::Zstd => zstd_frames(buffered).and_then(|frames| pump(frames, send)),
            Format::Raw | Format::Zip => pump(buffered, send),
        }
    };
    if let Some(error) = published.failed.take() {
        return Err(Unread::Io(error));
    }
    let at = ByteOffset(counter.load(Ordering::Relaxed));
    // What is behind the packed data belongs to the published file, too.
    io::copy(&mut published, &mut io::sink()).map_err(Unread::Io)?;
    Ok((Sha256Digest::from_hasher(published.hasher), result.map_err(|source| Broken { at, source })))
}

/// Reads to the end, in chunks, until nobody wants more.
fn pump(mut from: impl Read, send: &SyncSender<Vec<u8>>) -> io::Result<()> {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        (&mut from).take(CHUNK as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() || send.send(chunk).is_err() {
            return Ok(());
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
            .memlimit_threading(XZ_THREADS_MEMORY)
            .memlimit_stop(XZ_MEMORY)
            .decoder()
            .map_err(io::Error::other)?;
        Ok(liblzma::bufread::XzDecoder::new_stream(from, decoder))
    }
}

impl<R: BufRead> Read for XzStreams<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
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

/// Writes what arrives, leaving out zeros; returns the image's digest and size.
fn write(
    receive: &Receiver<Vec<u8>>,
    sink: &File,
    flusher: &mut Flusher<'_>,
    mut tell: impl FnMut(u64) -> io::Result<()>,
) -> Result<(Sha256Digest, ByteSize), DecodeError> {
    let mut hasher = Sha256::new();
    let mut at = 0u64;
    let failed = |at, source| DecodeError::Write { decoded: ByteSize(at), source };
    for chunk in receive {
        if at.saturating_add(chunk.len() as u64) > LARGEST_IMAGE.0 {
            return Err(DecodeError::TooLarge);
        }
        hasher.update(&chunk);
        write_sparse(sink, at, &chunk).map_err(|source| failed(at, source))?;
        at += chunk.len() as u64;
        flusher.wrote(chunk.len() as u64);
        tell(at).map_err(|source| failed(at, source))?;
    }
    sink.set_len(at).map_err(|source| failed(at, source))?;
    Ok((Sha256Digest::from_hasher(hasher), ByteSize(at)))
}

/// Writes the runs of `bytes` that are not zeros. `at` is a multiple of the grain, except at the very end.
pub(super) fn write_sparse(sink: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    let mut run_start = None;
    let mut place = 0usize;
    for block in bytes.chunks(GRAIN) {
        let zero = all_zeros(block);
        match (zero, run_start) {
            (false, None) => run_start = Some(place),
            (true, Some(start)) => {
                sink.write_all_at(bytes.get(start..place).unwrap_or_default(), at + start as u64)?;
                run_start = None;
            }
            _ => {}
        }
        place += block.len();
    }
    match run_start {
        Some(start) => sink.write_all_at(bytes.get(start..).unwrap_or_default(), at + start as u64),
        None => Ok(()),
    }
}
