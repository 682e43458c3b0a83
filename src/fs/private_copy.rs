//! A copy of a file system for a program that wants a file of its own. It has no name, so that nothing of the image is
//! left when this program is killed, and nobody else can open it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use super::FsError;
use crate::image::ReadAt;
use crate::image::zeros::all_zeros;
use crate::printable::Printable;
use crate::units::{ByteOffset, ByteRange, ByteSize};

const CHUNK: u64 = 1 << 20;
/// The copy is the program's standard input, and this is its name there: of a descriptor that is open, not of a file.
const NAME: &str = "/proc/self/fd/0";

/// A sparse file without a name, as long as the partition that it is a copy of.
pub struct PrivateCopy(File);

impl PrivateCopy {
    /// A copy of `ranges` of `window`, sorted; the rest of it is holes, and so are its long stretches of zeros.
    ///
    /// # Errors
    /// [`FsError::NoRoom`] where the directory for temporary files has less room than that takes, [`FsError::Io`].
    pub fn of(window: &dyn ReadAt, ranges: &[ByteRange], doing: &str) -> Result<PrivateCopy, FsError> {
        let failed = |source: io::Error| match source.kind() {
            // Somebody else took the room meanwhile.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                no_room(doing, needed(window, ranges, true), None)
            }
            _ => FsError::Io { doing: doing.to_owned(), source },
        };
        // `O_TMPFILE`; where a file system has none, a file that is unlinked as soon as it is open.
        let copy = tempfile::tempfile().map_err(failed)?;
        // Without a name it is only reached through /proc, and there by nobody else.
        rustix::fs::fchmod(&copy, rustix::fs::Mode::from_raw_mode(0o600)).map_err(|error| failed(error.into()))?;
        let room = room_for(&copy).map_err(failed)?;
        // Holes cost nothing, and zeros will be holes. To look for those takes a while, so only where it matters.
        if needed(window, ranges, false).map_err(failed)? > room {
            let needed = needed(window, ranges, true);
            if !matches!(&needed, Ok(needed) if *needed <= room) {
                return Err(no_room(doing, needed, Some(room)));
            }
        }
        // At full length: the programs refuse a file that is shorter than its superblock says.
        copy.set_len(window.size().0).map_err(failed)?;
        each_chunk(window, ranges, &mut |at, bytes| copy.write_all_at(bytes, at)).map_err(failed)?;
        Ok(PrivateCopy(copy))
    }

    /// Its bytes.
    pub fn file(&self) -> &File {
        &self.0
    }

    /// Runs `program` with `flags` and `environment` on the copy.
    ///
    /// # Errors
    /// [`FsError::Io`] where it cannot be run.
    pub fn judged_by(&self, program: &PathBuf, flags: &str, environment: &[(&str, String)]) -> Result<Output, FsError> {
        let run = || {
            // No translation: the words go into messages.
            let mut command = Command::new(program);
            command.args([flags, NAME]).env("LC_ALL", "C").envs(environment.iter().map(|(key, value)| (key, value)));
            command.stdin(self.0.try_clone()?).output()
        };
        run().map_err(|source| FsError::Io { doing: format!("run {}", program.display()), source })
    }
}

/// What a program said, without the lines that only name its file, for a message.
pub(super) fn in_one_line<'l>(lines: impl Iterator<Item = &'l str>) -> String {
    // A badly damaged system gives thousands of lines, and a message shall be read.
    const MOST_LINES: usize = 8;
    const MOST_CHARACTERS: usize = 800;
    let said: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty() && !line.contains(NAME)).collect();
    let shown = said.get(..MOST_LINES.min(said.len())).unwrap_or_default().join("; ");
    let mut text = Printable::of(&shown).to_string();
    if let Some((end, _)) = text.char_indices().nth(MOST_CHARACTERS) {
        text.truncate(end);
        text.push('…');
    }
    match said.len().saturating_sub(MOST_LINES) {
        0 => text,
        more => format!("{text}; and {more} lines more"),
    }
}

/// Where a program is, if it is installed. `/sbin` is not in everybody's path.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from));
    places.map(|place| place.join(name)).find(|file| file.is_file())
}

fn room_for(copy: &File) -> io::Result<u64> {
    let room = rustix::fs::fstatvfs(copy)?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}

/// How many bytes a copy takes; `without_zeros` as exactly as it is going to be made.
fn needed(window: &dyn ReadAt, ranges: &[ByteRange], without_zeros: bool) -> io::Result<u64> {
    let mut needed = 0u64;
    if without_zeros {
        each_chunk(window, ranges, &mut |_, bytes| {
            needed += bytes.len() as u64;
            Ok(())
        })?;
        return Ok(needed);
    }
    each_data(window, ranges, &mut |data| {
        needed = needed.saturating_add(data.len.0);
        Ok(())
    })?;
    Ok(needed)
}

fn no_room(doing: &str, needed: io::Result<u64>, free: Option<u64>) -> FsError {
    match needed {
        Ok(needed) => FsError::NoRoom {
            doing: doing.to_owned(),
            directory: std::env::temp_dir(),
            needed: ByteSize(needed),
            free: free.map(ByteSize),
        },
        Err(source) => FsError::Io { doing: doing.to_owned(), source },
    }
}

/// Everything in `ranges` that is neither a hole nor zeros.
fn each_chunk(
    window: &dyn ReadAt,
    ranges: &[ByteRange],
    see: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    each_data(window, ranges, &mut |data| {
        for chunk in data.chunks(CHUNK) {
            buffer.resize(usize::try_from(chunk.len.0).unwrap_or(0), 0);
            window.read_at(chunk.start, &mut buffer)?;
            if !all_zeros(&buffer) {
                see(chunk.start.0, &buffer)?;
            }
        }
        Ok(())
    })
}

fn each_data(
    window: &dyn ReadAt,
    ranges: &[ByteRange],
    see: &mut dyn FnMut(ByteRange) -> io::Result<()>,
) -> io::Result<()> {
    for range in ranges {
        let mut from: ByteOffset = range.start;
        while let Some(data) = window.next_data(from)?.and_then(|data| data.intersect(range)) {
            see(data)?;
            from = data.end();
        }
    }
    Ok(())
}
