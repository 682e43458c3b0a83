//! Writing an image out: raw and sparse, or packed. The same image gives the same bytes on every machine, however many
//! cores it has, because chunks are cut at fixed places and each is packed on its own.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use liblzma::stream::{Check, MtStreamBuilder};

use super::bytes::ReadAt;
use super::hashing::{AT_A_TIME, digest_of};
use super::mapped::MappedImage;
use super::sparse::SparseFile;
use super::stoppable::Stoppable;
use crate::digest::{Hashing, Sha256Digest};
use crate::progress::Task;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// How an image is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// `.img`: sparse.
    Raw,
    /// `.img.zst`: independent frames of 4 MiB of image each, with the seek table of zstd's seekable format.
    Zstd,
    /// `.img.xz`: independent blocks of 24 MiB of image each.
    Xz,
    /// `.img.gz`: one member, without name and time.
    Gzip,
}

/// What is packed at once: large enough to pack well, small enough that every core gets some.
const CHUNK: usize = 4 << 20;
/// It packs 394 MB of a Raspberry Pi OS like system into 137 MB; the levels above it mostly take time.
const ZSTD_LEVEL: i32 = 10;
/// What `xz` takes by itself. The levels above need more memory to unpack than a small Pi likes to give.
const XZ_PRESET: u32 = 6;
/// Three dictionaries of preset 6: what `xz -T` takes. Fixed, because the default depends on the version.
const XZ_BLOCK: u64 = 24 << 20;
/// Every thread of the xz encoder takes about 170 MiB.
const XZ_MOST_THREADS: usize = 8;

impl OutputFormat {
    /// What the name of an output asks for: `.img`, `.img.zst`, `.img.xz`, `.img.gz`; `None` for other names.
    pub fn from_name(path: &Path) -> Option<OutputFormat> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        // The last ending says how it is packed, the one before it that it is an image.
        let (rest, format) = match name.rsplit_once('.')? {
            (rest, "img") if !rest.is_empty() => return Some(OutputFormat::Raw),
            (rest, "zst") => (rest, OutputFormat::Zstd),
            (rest, "xz") => (rest, OutputFormat::Xz),
            (rest, "gz") => (rest, OutputFormat::Gzip),
            _ => return None,
        };
        // `.img.zst` alone is a hidden file without a name.
        (rest.len() > ".img".len() && rest.ends_with(".img")).then_some(format)
    }
}

/// Writes `image` to `file`, which must be empty; what none of `places` (sorted) covers is zeros, whatever the image has
/// there. Returns the digest of the file. `task` hears how much of the image is done.
///
/// # Errors
/// The image's read errors and the file's write errors. What was written then is of no use.
pub fn write_image(
    image: &dyn ReadAt,
    places: &[ByteRange],
    file: &File,
    format: OutputFormat,
    task: &mut dyn Task,
) -> io::Result<Sha256Digest> {
    task.stage("write", Some(image.size()));
    // Another way, because only a file can have holes.
    if format == OutputFormat::Raw {
        return write_raw(&MappedImage::new(image, places), places, file, task);
    }
    stream_image(image, places, io::BufWriter::with_capacity(1 << 20, file), format, task)
}

/// As [`write_image`], to where nothing can be left out: a raw image comes with all its zeros.
///
/// # Errors
/// As [`write_image`].
pub fn stream_image(
    image: &dyn ReadAt,
    places: &[ByteRange],
    to: impl Write,
    format: OutputFormat,
    task: &mut dyn Task,
) -> io::Result<Sha256Digest> {
    let mut mapped = Chunks { image: MappedImage::new(image, places), at: 0 };
    let mut out = Hashing::new(to);
    match format {
        OutputFormat::Zstd => write_zstd(&mut mapped, &mut out, task)?,
        OutputFormat::Xz => {
            let mut packer = liblzma::write::XzEncoder::new_stream(&mut out, xz_encoder()?);
            copy(&mut mapped, &mut packer, task)?;
            // It writes the index and the footer, without which an .xz file is cut off.
            packer.finish()?;
        }
        OutputFormat::Raw => copy(&mut mapped, &mut out, task)?,
        OutputFormat::Gzip => write_gzip(&mut mapped, &mut out, task)?,
    }
    // Before the digest is told: a write that fails here is no output.
    out.flush()?;
    Ok(out.into_parts().1)
}

/// One thread copies and the other one hashes, which takes longer: it hashes the zeros, too. Both read, because bytes
/// that a core has just read are cheaper than bytes that another core hands over.
fn write_raw(
    mapped: &MappedImage<&dyn ReadAt>,
    places: &[ByteRange],
    file: &File,
    task: &mut dyn Task,
) -> io::Result<Sha256Digest> {
    let failed = Arc::<AtomicBool>::default();
    let copy = || {
        let mut sparse = SparseFile::new(file)?;
        let mut buffer = vec![0; AT_A_TIME];
        for chunk in places.iter().flat_map(|place| place.chunks(AT_A_TIME as u64)) {
            // No chunk is longer than the buffer.
            let bytes = usize::try_from(chunk.len.0).ok().and_then(|len| buffer.get_mut(..len)).unwrap_or_default();
            mapped.read_at(chunk.start, bytes)?;
            sparse.put(chunk.start, bytes)?;
        }
        sparse.finish(mapped.size())
    };
    thread::scope(|scope| {
        let copying = scope.spawn(|| {
            let copied: io::Result<()> = copy();
            // Told at once, not at the join: the other thread looks at it meanwhile.
            failed.store(copied.is_err(), Ordering::Relaxed);
            copied
        });
        // Where copying failed, hashing on for minutes would only delay the message.
        let digest = digest_of(&Stoppable::new(mapped, failed.clone()), &mut |done| task.at(done));
        // The copy's error first: the digest then fails only because it was stopped.
        copying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).and(digest)
    })
}

fn copy(mapped: &mut Chunks<'_>, to: &mut impl Write, task: &mut dyn Task) -> io::Result<()> {
    let mut chunk = Vec::new();
    while mapped.next(&mut chunk)? {
        to.write_all(&chunk)?;
        task.at(ByteSize(mapped.at));
    }
    Ok(())
}

fn cores() -> usize {
    // Where the system does not say, one is a safe answer.
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The multi-threaded encoder also for one thread: it cuts blocks the same way whatever their number.
fn xz_encoder() -> io::Result<liblzma::stream::Stream> {
    MtStreamBuilder::new()
        .threads(u32::try_from(cores().min(XZ_MOST_THREADS)).unwrap_or(1))
        .preset(XZ_PRESET)
        .block_size(XZ_BLOCK)
        // What `xz` takes by itself.
        .check(Check::Crc64)
        .encoder()
        .map_err(io::Error::other)
}

/// Packs as many chunks at a time as there are cores, and hands them on in their order, each with what it was.
fn in_parallel<T: Send>(
    mapped: &mut Chunks<'_>,
    task: &mut dyn Task,
    pack: impl Fn(&[u8]) -> io::Result<T> + Sync,
    mut put: impl FnMut(T, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    // Kept from round to round: fresh memory costs more than to fill it.
    let mut chunks: Vec<Vec<u8>> = vec![Vec::new(); cores()];
    let pack = &pack;
    loop {
        // One thread reads for all: packing is what takes the time.
        let mut filled = 0;
        for chunk in &mut chunks {
            if !mapped.next(chunk)? {
                break;
            }
            filled += 1;
        }
        if filled == 0 {
            return Ok(());
        }
        // New threads for each round: to start one costs nothing beside packing 4 MiB.
        let packed: Vec<io::Result<T>> = thread::scope(|scope| {
            let running: Vec<_> = chunks.iter().take(filled).map(|chunk| scope.spawn(move || pack(chunk))).collect();
            let packed = running.into_iter().map(|thread| match thread.join() {
                Ok(packed) => packed,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            packed.collect()
        });
        // In the order of the image, whoever was ready first.
        for (packed, chunk) in packed.into_iter().zip(&chunks) {
            put(packed?, chunk)?;
        }
        task.at(ByteSize(mapped.at));
    }
}

fn write_zstd(mapped: &mut Chunks<'_>, out: &mut impl Write, task: &mut dyn Task) -> io::Result<()> {
    let mut table: Vec<(u32, u32)> = Vec::new();
    // A frame is little more than 4 MiB at most. A cast would hide it if that changed.
    let size = |n: usize| u32::try_from(n).map_err(io::Error::other);
    in_parallel(mapped, task, zstd_frame, |frame, chunk| {
        out.write_all(&frame)?;
        table.push((size(frame.len())?, size(chunk.len())?));
        Ok(())
    })?;
    out.write_all(&seek_table(&table)?)
}

/// One member, as pigz makes it: each chunk is deflated on its own and ends on a byte (a sync flush), so that the
/// chunks can stand one behind the other, and the checksums of the chunks are combined (RFC 1951, 1952).
fn write_gzip(mapped: &mut Chunks<'_>, out: &mut impl Write, task: &mut dyn Task) -> io::Result<()> {
    /// Magic, deflate, no flags, no time, no hints, made on an unknown system.
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    /// The last block, empty.
    const END: [u8; 2] = [3, 0];
    out.write_all(&HEADER)?;
    let mut whole = flate2::Crc::new();
    in_parallel(mapped, task, deflated, |(packed, crc), _| {
        whole.combine(&crc);
        out.write_all(&packed)
    })?;
    out.write_all(&END)?;
    out.write_all(&whole.sum().to_le_bytes())?;
    // The size modulo 2^32 is what the format has room for.
    out.write_all(&whole.amount().to_le_bytes())
}

fn deflated(chunk: &[u8]) -> io::Result<(Vec<u8>, flate2::Crc)> {
    let mut crc = flate2::Crc::new();
    crc.update(chunk);
    // Raw deflate, without zlib's header: gzip's was written already.
    let mut packer = flate2::Compress::new(flate2::Compression::default(), false);
    // A guess. It grows below.
    let mut out = Vec::with_capacity(chunk.len() / 2 + 4096);
    loop {
        let done = usize::try_from(packer.total_in()).map_err(io::Error::other)?;
        let rest = chunk.get(done..).unwrap_or_default();
        // A sync flush ends on a byte and leaves the final-block bit (BFINAL) unset, so that another chunk can follow.
        packer.compress_vec(rest, &mut out, flate2::FlushCompress::Sync)?;
        // Room that is left says that the flush is complete.
        if packer.total_in() == chunk.len() as u64 && out.len() < out.capacity() {
            return Ok((out, crc));
        }
        out.reserve(chunk.len() / 4 + 4096);
    }
}

fn zstd_frame(chunk: &[u8]) -> io::Result<Vec<u8>> {
    // A new one for each frame: threads cannot share its state.
    let mut packer = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    // A flipped bit is then told by whoever unpacks it, without our manifest.
    packer.include_checksum(true)?;
    packer.compress(chunk)
}

/// zstd's contrib/seekable_format: a skippable frame, which every decoder passes over, with the sizes of all frames.
fn seek_table(frames: &[(u32, u32)]) -> io::Result<Vec<u8>> {
    // Of the sixteen magics of skippable frames, the one that the seekable format has chosen.
    const SKIPPABLE: u32 = 0x184D_2A5E;
    const SEEKABLE: u32 = 0x8F92_EAB1;
    let count = u32::try_from(frames.len()).map_err(io::Error::other)?;
    // 8 bytes for each frame, and 9 of footer: `Number_Of_Frames`, `Seek_Table_Descriptor`, `Seekable_Magic_Number`.
    let length =
        count.checked_mul(8).and_then(|n| n.checked_add(9)).ok_or_else(|| io::Error::other("too many frames"))?;
    let mut table = Vec::new();
    table.extend_from_slice(&SKIPPABLE.to_le_bytes());
    table.extend_from_slice(&length.to_le_bytes());
    for (packed, plain) in frames {
        table.extend_from_slice(&packed.to_le_bytes());
        table.extend_from_slice(&plain.to_le_bytes());
    }
    table.extend_from_slice(&count.to_le_bytes());
    // `Seek_Table_Descriptor`: no checksums here, because each frame has its own.
    table.push(0);
    table.extend_from_slice(&SEEKABLE.to_le_bytes());
    Ok(table)
}

/// The image as its map sees it, chunk by chunk.
struct Chunks<'a> {
    image: MappedImage<&'a dyn ReadAt>,
    at: u64,
}

impl Chunks<'_> {
    /// Fills `chunk` with the next bytes, all of [`CHUNK`] but at the end; `false` when there are no more.
    fn next(&mut self, chunk: &mut Vec<u8>) -> io::Result<bool> {
        let len = self.image.size().0.saturating_sub(self.at).min(CHUNK as u64);
        chunk.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        self.image.read_at(ByteOffset(self.at), chunk)?;
        self.at += len;
        Ok(len > 0)
    }
}
