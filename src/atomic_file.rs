//! Files that appear whole or not at all, whatever ends the program: an error, Ctrl-C, kill -9 or a power cut.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, linkat, open};

/// What unfinished files are called, where they have to have a name.
pub(crate) const PARTIAL: &str = ".cardsmith-partial";

/// For its owner alone.
const PRIVATE: u32 = 0o600;

/// A file in the making. Dropped without [`AtomicFile::commit`], it is gone.
///
/// On Linux it has no name until then, so that even a killed process leaves nothing. Where the file system cannot do
/// that, it has a hidden name and a lock; the next run removes those whose lock nobody holds.
pub struct AtomicFile {
    file: File,
    directory: PathBuf,
    named: Option<PathBuf>,
}

impl AtomicFile {
    /// A new file that is going to be in `directory`.
    ///
    /// # Errors
    /// The system's: no such directory, no right to write in it.
    pub fn create_in(directory: &Path) -> io::Result<AtomicFile> {
        AtomicFile::create_with(directory, 0o666)
    }

    /// The same for its owner alone, whatever the umask: mode 0600.
    ///
    /// # Errors
    /// As [`AtomicFile::create_in`].
    pub fn create_private_in(directory: &Path) -> io::Result<AtomicFile> {
        let created = AtomicFile::create_with(directory, PRIVATE)?;
        // A umask may have taken even from the owner.
        created.file.set_permissions(Permissions::from_mode(PRIVATE))?;
        Ok(created)
    }

    fn create_with(directory: &Path, mode: u32) -> io::Result<AtomicFile> {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        remove_stale(directory);
        // Any error of this leads to the way with a name: file systems refuse O_TMPFILE in several words.
        let anonymous = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        if let Ok(fd) = open(directory, anonymous, Mode::from_raw_mode(mode)) {
            return Ok(AtomicFile { file: File::from(fd), directory: directory.to_owned(), named: None });
        }
        let name = partial_name(directory);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(&name)?;
        let partial = AtomicFile { file, directory: directory.to_owned(), named: Some(name) };
        flock(&partial.file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(partial)
    }

    /// The file, to be written.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Puts everything on the disk and gives the file its name; what had the name before is replaced.
    ///
    /// # Errors
    /// The system's. Nothing is left then, and what had the name still has it.
    pub fn commit(mut self, name: &Path) -> io::Result<()> {
        // Before the rename: else a power cut may leave the new name with none of the bytes.
        self.file.sync_all()?;
        let partial = match self.named.take() {
            Some(partial) => partial,
            None => {
                // The lock is taken first: from here to the rename it has a name that another run could clean up.
                flock(&self.file, FlockOperation::NonBlockingLockExclusive)?;
                let partial = partial_name(&self.directory);
                let by_descriptor = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                // To a name of its own and then a rename: linkat never replaces a file, and to remove the old one first
                // would leave a moment without either.
                linkat(CWD, by_descriptor, CWD, &partial, AtFlags::SYMLINK_FOLLOW)?;
                partial
            }
        };
        let renamed = fs::rename(&partial, name);
        if renamed.is_err() {
            let _ = fs::remove_file(&partial);
        }
        renamed?;
        // The name too has to survive a power cut.
        File::open(&self.directory)?.sync_all()
    }
}

impl AtomicFile {
    /// As [`AtomicFile::commit`], but never replaces anything: not even what came to be while the file was written.
    ///
    /// # Errors
    /// `AlreadyExists` where something has the name; else as [`AtomicFile::commit`].
    pub fn commit_new(mut self, name: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        match self.named.take() {
            Some(partial) => {
                // A link, not a rename: it fails where something has the name.
                let linked = fs::hard_link(&partial, name);
                let _ = fs::remove_file(&partial);
                linked?;
            }
            None => {
                let by_descriptor = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                linkat(CWD, by_descriptor, CWD, name, AtFlags::SYMLINK_FOLLOW)?;
            }
        }
        File::open(&self.directory)?.sync_all()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(name) = self.named.take() {
            let _ = fs::remove_file(name);
        }
    }
}

/// Writes a small file whole or not at all.
///
/// # Errors
/// The system's; what had the name before still has it then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = AtomicFile::create_in(path.parent().unwrap_or(Path::new(".")))?;
    io::Write::write_all(&mut file.file(), bytes)?;
    file.commit(path)
}

/// The same for its owner alone, whatever the umask.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_privately(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = AtomicFile::create_private_in(path.parent().unwrap_or(Path::new(".")))?;
    io::Write::write_all(&mut file.file(), bytes)?;
    file.commit(path)
}

fn partial_name(directory: &Path) -> PathBuf {
    directory.join(format!(".{}{PARTIAL}", uuid::Uuid::new_v4()))
}

/// Removes what killed runs left in `directory`. Best effort: a leftover is ugly, and no reason to fail.
fn remove_stale(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let is_partial =
            entry.file_name().to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(PARTIAL));
        // Whoever still writes it holds its lock.
        if is_partial
            && let Ok(file) = File::open(entry.path())
            && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_that_must_be_new_never_replaces_one_that_came_in_between() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("card.img");
        let file = AtomicFile::create_in(dir.path()).unwrap();
        std::fs::write(&name, "somebody else's").unwrap();
        assert_eq!(file.commit_new(&name).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&name).unwrap(), b"somebody else's");
        assert_eq!(names(dir.path()), ["card.img"]);
    }

    fn names(directory: &Path) -> Vec<String> {
        fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all_and_the_old_one_stays_until_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("answer");
        write_atomically(&path, b"old").unwrap();
        let file = AtomicFile::create_in(dir.path()).unwrap();
        file.file().write_all(b"half").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(file);
        assert_eq!(names(dir.path()), ["answer"]);
        write_atomically(&path, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"new".to_vec(), vec!["answer".to_owned()]));
        // A directory in the way: nothing changes and nothing is left.
        fs::create_dir(dir.path().join("taken")).unwrap();
        write_atomically(&dir.path().join("taken"), b"x").unwrap_err();
        let mut left = names(dir.path());
        left.sort();
        assert_eq!(left, ["answer", "taken"]);
    }

    #[test]
    fn what_a_killed_run_left_is_removed_but_never_what_is_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let (stale, busy) = (partial_name(dir.path()), partial_name(dir.path()));
        fs::write(&stale, b"left").unwrap();
        fs::write(&busy, b"in use").unwrap();
        let lock = File::open(&busy).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        write_atomically(&dir.path().join("answer"), b"x").unwrap();
        assert!(!stale.exists() && busy.exists());
    }
}
