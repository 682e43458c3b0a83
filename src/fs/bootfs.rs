//! The boot file system (FAT), read and changed through `fatfs`.
//!
//! `fatfs` trusts what it reads, so a volume is walked by [`super::fat`] before it sees it. It has no notion of owners
//! and modes: every file is 0644 and every directory 0755, root's.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use fatfs::{Dir, DirEntry, FileSystem};

use super::Clock;
use super::fat::adapter::{self, Disk, seconds_of};
use super::fat::walk::{ATTR_LONG_NAME, ENTRY_BYTES, directory_places};
use super::fat::{FatTree, FatVolume};
use super::path::ImagePath;
use super::tree::{Attributes, Entry, FileKind, FsError, Stat, Tree, TreeMut};
use crate::image::WriteAt;
use crate::read_limited::read_limited;

const VOLUME: &str = "boot";
/// A name of 255 UTF-16 units takes 20 long entries and a short one.
const MOST_ENTRIES_OF_A_NAME: usize = 21;

/// The FAT boot file system of an image, opened for reading and editing inside an overlay.
pub struct BootFs {
    window: Arc<dyn WriteAt>,
    clock: Clock,
    /// One operation at a time; each opens the volume anew, which reads two sectors.
    turn: Mutex<()>,
}

impl BootFs {
    /// Opens the FAT in `window`. Every timestamp written is `clock`'s, as UTC.
    ///
    /// # Errors
    /// [`FsError::Unsupported`] for another kind of file system, [`FsError::Corrupt`] for damage.
    pub fn open(window: Arc<dyn WriteAt>, clock: Clock) -> Result<BootFs, FsError> {
        let volume = FatVolume::read(&window)?;
        let tree = FatTree::read(&window, &volume)?;
        let boot = BootFs { window, clock, turn: Mutex::new(()) };
        boot.agrees_with(&tree)?;
        Ok(boot)
    }

    /// `fatfs` has to see what our walk saw: what one of the two passes over, a step would miss or the scrub wipe.
    fn agrees_with(&self, tree: &FatTree) -> Result<(), FsError> {
        let mut ours: BTreeMap<String, (bool, u64)> = BTreeMap::new();
        for (n, node) in tree.nodes.iter().enumerate().skip(1) {
            ours.insert(tree.path_of(n), (node.is_directory, node.size));
        }
        let differs = |path: &str| {
            let what = format!("two readers of it do not agree on {path:?}");
            FsError::Corrupt { volume: VOLUME, what }
        };
        self.with(|fs| {
            // It goes nowhere that our walk has not been, which ends.
            let mut ahead = vec![(String::new(), fs.root_dir())];
            while let Some((at, directory)) = ahead.pop() {
                for entry in directory.iter() {
                    let entry = entry.map_err(|e| fail(e, "list", &ImagePath::root()))?;
                    let name = entry.file_name();
                    if name == "." || name == ".." {
                        continue;
                    }
                    let path = format!("{at}/{name}");
                    let size = if entry.is_dir() { 0 } else { entry.len() };
                    if ours.remove(&path) != Some((entry.is_dir(), size)) {
                        return Err(differs(&path));
                    }
                    if entry.is_dir() {
                        ahead.push((path, entry.to_dir()));
                    }
                }
            }
            Ok(())
        })?;
        ours.keys().next().map_or(Ok(()), |path| Err(differs(path)))
    }

    fn with<T>(&self, act: impl FnOnce(&FileSystem<Disk>) -> Result<T, FsError>) -> Result<T, FsError> {
        // The lock guards no data of its own: each operation opens the volume anew, so a panic leaves nothing stale in
        // here.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let fs = adapter::open(self.window.clone(), self.clock);
        let fs = fs.map_err(|e| fail(e, "open the file system", &ImagePath::root()))?;
        let result = act(&fs)?;
        // Dropped without this, `fatfs` would swallow the errors of its last writes.
        fs.unmount().map_err(|e| fail(e, "finish", &ImagePath::root()))?;
        Ok(result)
    }

    /// `fatfs` does not clear a cluster that it adds to the root directory of a FAT32, so that what the cluster held
    /// before would become directory entries. Room is made here before it is needed.
    fn make_room_in_root(&self) -> Result<(), FsError> {
        let mut volume = FatVolume::read(&self.window)?;
        let tree = FatTree::read(&self.window, &volume)?;
        // The root of FAT12 and FAT16 has no chain: its size is fixed.
        let Some((root, &last)) = tree.nodes.first().and_then(|root| Some((root, root.chain.last()?))) else {
            return Ok(());
        };
        let mut free = 0;
        for place in directory_places(&volume, root) {
            let mut block = vec![0; usize::try_from(place.len.0).unwrap_or(0)];
            self.window.read_at(place.start, &mut block).map_err(reading)?;
            // A zero in the first byte ends a directory. Deleted entries before it are not counted: `fatfs` may not
            // find enough of them in a row.
            free = block.chunks_exact(32).rev().take_while(|entry| entry.first() == Some(&0)).count();
        }
        if free > MOST_ENTRIES_OF_A_NAME {
            return Ok(());
        }
        let found = (2..volume.clusters + 2).find(|&cluster| volume.entry(cluster) == 0);
        let cluster = found.ok_or(FsError::NoSpace { volume: VOLUME, path: ImagePath::root() })?;
        // Cleared before it is linked, so that old bytes are never entries.
        if let Some(place) = volume.place(cluster) {
            let zeros = vec![0; usize::try_from(place.len.0).unwrap_or(0)];
            self.window.write_at(place.start, &zeros).map_err(reading)?;
        }
        // The new end first and the link to it last, so that the chain always ends.
        volume.set_entry(&self.window, cluster, volume.end_mark())?;
        volume.set_entry(&self.window, last, cluster)?;
        volume.write_info(&self.window)
    }

    /// Puts the first two entries of new directories right. `fatfs` gives `.` and `..` long names, which no other
    /// driver expects, and has `..` name the root's cluster on FAT32, where it must be 0.
    fn fix_dot_entries(&self) -> Result<(), FsError> {
        let volume = FatVolume::read(&self.window)?;
        let tree = FatTree::read(&self.window, &volume)?;
        for directory in tree.nodes.iter().filter(|node| node.is_directory && node.entry_at.is_some()) {
            let Some(place) = directory.chain.first().and_then(|&cluster| volume.place(cluster)) else { continue };
            // Long name of `.`, `.`, long name of `..`, `..`, and what is behind them.
            let mut head = [[0u8; ENTRY_BYTES]; 5];
            self.window.read_at(place.start, head.as_flattened_mut()).map_err(reading)?;
            let [long_dot, dot, long_dots, mut dots, behind] = head;
            // Only a directory that `fatfs` has just made looks like this.
            let new = is_long(&long_dot) && dot.starts_with(b".       ") && is_long(&long_dots) && behind[0] == 0;
            if new && dots.starts_with(b"..      ") {
                // The number is split: `DIR_FstClusLO` at 26 and `DIR_FstClusHI` at 20.
                let named = u32::from_le_bytes([dots[26], dots[27], dots[20], dots[21]]);
                if named == volume.root_cluster {
                    (dots[20], dots[21], dots[26], dots[27]) = (0, 0, 0, 0);
                }
                // The two that are not needed any more end the directory.
                let empty = [0; ENTRY_BYTES];
                let head = [dot, dots, empty, empty];
                self.window.write_at(place.start, head.as_flattened()).map_err(reading)?;
            }
        }
        Ok(())
    }
}

fn is_long(entry: &[u8; ENTRY_BYTES]) -> bool {
    entry[11] & ATTR_LONG_NAME == ATTR_LONG_NAME
}

impl Tree for BootFs {
    fn volume(&self) -> &'static str {
        VOLUME
    }

    fn stat(&self, path: &ImagePath) -> Result<Option<Stat>, FsError> {
        self.with(|fs| match find(fs, path)? {
            Found::Root => Ok(Some(stat_of(FileKind::Directory, 0, 0))),
            Found::Entry(entry) => {
                let kind = if entry.is_dir() { FileKind::Directory } else { FileKind::File };
                Ok(Some(stat_of(kind, entry.len(), seconds_of(entry.modified()))))
            }
            Found::Nothing => Ok(None),
        })
    }

    fn resolve(&self, path: &ImagePath) -> Result<ImagePath, FsError> {
        // FAT has no symbolic links: every path is what it says.
        Ok(path.clone())
    }

    fn read(&self, path: &ImagePath, limit: u64) -> Result<Vec<u8>, FsError> {
        self.with(|fs| {
            let entry = file_at(fs, path)?;
            // By the entry's size, so that the message can say it; what is read may still be shorter where the chain
            // is.
            if entry.len() > limit {
                return Err(FsError::TooLarge { path: path.clone(), size: entry.len(), limit });
            }
            let content = read_limited(entry.to_file(), limit).map_err(|e| fail(e, "read", path))?;
            if content.len() as u64 != entry.len() {
                return Err(FsError::Corrupt { volume: VOLUME, what: format!("{path} ends before its size") });
            }
            Ok(content)
        })
    }

    fn read_part(&self, path: &ImagePath, offset: u64, buf: &mut [u8]) -> Result<usize, FsError> {
        self.with(|fs| {
            let entry = file_at(fs, path)?;
            if offset >= entry.len() {
                return Ok(0);
            }
            let mut file = entry.to_file();
            file.seek(SeekFrom::Start(offset)).map_err(|e| fail(e, "read", path))?;
            // `fatfs` reads to the end of a cluster at most.
            let mut had = 0;
            while let Some(rest) = buf.get_mut(had..).filter(|rest| !rest.is_empty()) {
                match file.read(rest).map_err(|e| fail(e, "read", path))? {
                    0 => break,
                    got => had += got,
                }
            }
            Ok(had)
        })
    }

    fn list(&self, path: &ImagePath) -> Result<Vec<Entry>, FsError> {
        self.with(|fs| {
            let directory = directory_at(fs, path)?;
            let mut entries = Vec::new();
            for entry in directory.iter() {
                let entry = entry.map_err(|e| fail(e, "list", path))?;
                let name = entry.file_name();
                if name != "." && name != ".." {
                    let kind = if entry.is_dir() { FileKind::Directory } else { FileKind::File };
                    entries.push(Entry { name: name.into_bytes(), kind });
                }
            }
            // So that a list does not depend on the order of writing.
            entries.sort();
            Ok(entries)
        })
    }

    fn read_link(&self, path: &ImagePath) -> Result<Vec<u8>, FsError> {
        match self.stat(path)? {
            Some(_) => Err(FsError::WrongKind { path: path.clone(), expected: "a symbolic link" }),
            None => Err(missing(path)),
        }
    }
}

impl TreeMut for BootFs {
    fn write_file(&self, path: &ImagePath, _: Attributes, content: &mut dyn Read) -> Result<(), FsError> {
        // Outside of `with`: there `fatfs` has the volume open, and would not see the change.
        self.make_room_in_root()?;
        self.with(|fs| {
            let (directory, name) = parent_of(fs, path)?;
            match find(fs, path)? {
                Found::Nothing => {}
                Found::Entry(entry) if !entry.is_dir() => {
                    // The name as it is now: the new file's name may differ in case.
                    directory.remove(&entry.file_name()).map_err(|e| fail(e, "replace", path))?;
                }
                _ => return Err(FsError::WrongKind { path: path.clone(), expected: "a regular file" }),
            }
            let mut file = directory.create_file(name).map_err(|e| fail(e, "write", path))?;
            let mut chunk = vec![0; 1 << 16];
            loop {
                let got = match content.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(got) => got,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Err(source) => {
                        return Err(FsError::Io { doing: format!("read what is to become {path}"), source });
                    }
                };
                file.write_all(chunk.get(..got).unwrap_or_default()).map_err(|e| fail(e, "write", path))?;
            }
            file.flush().map_err(|e| fail(e, "write", path))
        })
    }

    fn make_directory(&self, path: &ImagePath, _: Attributes) -> Result<(), FsError> {
        match self.stat(path)?.map(|stat| stat.kind) {
            // As `mkdir -p` has it.
            Some(FileKind::Directory) => return Ok(()),
            Some(_) => return Err(FsError::WrongKind { path: path.clone(), expected: "a directory" }),
            None => {}
        }
        self.make_room_in_root()?;
        self.with(|fs| {
            let (directory, name) = parent_of(fs, path)?;
            directory.create_dir(name).map_err(|e| fail(e, "make the directory", path))?;
            Ok(())
        })?;
        // Behind `with`: `fatfs` must have written the directory out.
        self.fix_dot_entries()
    }

    fn make_symlink(&self, path: &ImagePath, _: &[u8]) -> Result<(), FsError> {
        let what = format!("{path} would be a symbolic link, and FAT has none: write a file instead");
        Err(FsError::Unsupported { volume: VOLUME, what })
    }

    fn remove(&self, path: &ImagePath) -> Result<(), FsError> {
        self.with(|fs| {
            match find(fs, path)? {
                Found::Nothing => return Ok(()),
                Found::Root => {
                    let expected = "a name below the root directory";
                    return Err(FsError::WrongKind { path: path.clone(), expected });
                }
                Found::Entry(_) => {}
            }
            // Depth first, without recursion. The walk at opening has shown that directories form a tree.
            let root = fs.root_dir();
            let mut ahead = vec![(text_of(path)?.trim_matches('/').to_owned(), false)];
            while let Some((here, emptied)) = ahead.pop() {
                let below = match root.open_dir(&here) {
                    Ok(directory) if !emptied => names_in(&directory).map_err(|e| fail(e, "remove", path))?,
                    _ => Vec::new(),
                };
                if below.is_empty() {
                    root.remove(&here).map_err(|e| fail(e, "remove", path))?;
                } else {
                    // A directory comes twice: to be listed, and when it is empty to be removed.
                    ahead.push((here.clone(), true));
                    ahead.extend(below.into_iter().map(|name| (format!("{here}/{name}"), false)));
                }
            }
            Ok(())
        })
    }

    fn set_attributes(&self, path: &ImagePath, _: Attributes) -> Result<(), FsError> {
        match self.stat(path)? {
            // FAT keeps neither owner nor mode.
            Some(_) => Ok(()),
            None => Err(missing(path)),
        }
    }

    fn sync(&self) -> Result<(), FsError> {
        let volume = FatVolume::read(&self.window)?;
        // What `fatfs` wrote is walked like anything that was found: a fault of its own must not reach a card.
        FatTree::read(&self.window, &volume)?;
        volume.write_info(&self.window)
    }
}

enum Found<'a> {
    Root,
    Entry(DirEntry<'a, Disk>),
    Nothing,
}

fn find<'a>(fs: &'a FileSystem<Disk>, path: &ImagePath) -> Result<Found<'a>, FsError> {
    // Names on FAT are text, so nothing else can be there.
    let Ok(text) = text_of(path) else { return Ok(Found::Nothing) };
    let mut directory = fs.root_dir();
    let mut found = Found::Root;
    for name in text.split('/').filter(|name| !name.is_empty()) {
        if let Found::Entry(entry) = &found {
            if !entry.is_dir() {
                return Ok(Found::Nothing);
            }
            directory = entry.to_dir();
        }
        found = Found::Nothing;
        for entry in directory.iter() {
            let entry = entry.map_err(|e| fail(e, "look up", path))?;
            // By either name, as every FAT driver looks.
            if same_name(&entry.file_name(), name) || same_name(&entry.short_file_name(), name) {
                found = Found::Entry(entry);
                break;
            }
        }
        if matches!(found, Found::Nothing) {
            return Ok(found);
        }
    }
    Ok(found)
}

fn same_name(a: &str, b: &str) -> bool {
    // FAT keeps the case of a name, but compares without it.
    a.chars().flat_map(char::to_uppercase).eq(b.chars().flat_map(char::to_uppercase))
}

fn file_at<'a>(fs: &'a FileSystem<Disk>, path: &ImagePath) -> Result<DirEntry<'a, Disk>, FsError> {
    match find(fs, path)? {
        Found::Entry(entry) if entry.is_file() => Ok(entry),
        Found::Nothing => Err(missing(path)),
        _ => Err(FsError::WrongKind { path: path.clone(), expected: "a regular file" }),
    }
}

fn directory_at<'a>(fs: &'a FileSystem<Disk>, path: &ImagePath) -> Result<Dir<'a, Disk>, FsError> {
    match find(fs, path)? {
        Found::Root => Ok(fs.root_dir()),
        Found::Entry(entry) if entry.is_dir() => Ok(entry.to_dir()),
        Found::Entry(_) => Err(FsError::WrongKind { path: path.clone(), expected: "a directory" }),
        Found::Nothing => Err(missing(path)),
    }
}

fn parent_of<'a, 'p>(fs: &'a FileSystem<Disk>, path: &'p ImagePath) -> Result<(Dir<'a, Disk>, &'p str), FsError> {
    let (Some(parent), Some(name)) = (path.parent(), text_of(path)?.rsplit('/').next()) else {
        return Err(FsError::WrongKind { path: path.clone(), expected: "a name below the root directory" });
    };
    Ok((directory_at(fs, &parent)?, name))
}

fn names_in(directory: &Dir<'_, Disk>) -> io::Result<Vec<String>> {
    let names = directory.iter().map(|entry| entry.map(|entry| entry.file_name()));
    // Errors pass, so that `collect` tells them.
    names.filter(|name| !matches!(name.as_deref(), Ok("." | ".."))).collect()
}

fn text_of(path: &ImagePath) -> Result<&str, FsError> {
    std::str::from_utf8(path.as_bytes())
        .map_err(|_| FsError::Unsupported { volume: VOLUME, what: format!("{path} is no text, and FAT names are") })
}

fn stat_of(kind: FileKind, size: u64, modified: i64) -> Stat {
    let mode = if kind == FileKind::Directory { 0o755 } else { 0o644 };
    // FAT has no hard links.
    Stat { kind, attributes: Attributes::root(mode), size, modified, links: 1, inode: 0, protected: false }
}

fn missing(path: &ImagePath) -> FsError {
    FsError::NotFound { volume: VOLUME, path: path.clone() }
}

fn reading(source: io::Error) -> FsError {
    FsError::Io { doing: "read or change a directory of the boot partition".into(), source }
}

/// `fatfs` reports in `io::Error` with texts.
fn fail(error: io::Error, doing: &str, path: &ImagePath) -> FsError {
    let text = error.to_string();
    match error.kind() {
        io::ErrorKind::NotFound => missing(path),
        // The fixed root directory of FAT12 and FAT16 is full.
        io::ErrorKind::WriteZero => FsError::NoSpace { volume: VOLUME, path: path.clone() },
        // A full volume has no kind of its own, only this text.
        io::ErrorKind::Other if text.contains("No space left") => {
            FsError::NoSpace { volume: VOLUME, path: path.clone() }
        }
        // Names that FAT cannot hold.
        io::ErrorKind::InvalidInput => {
            FsError::Unsupported { volume: VOLUME, what: format!("could not {doing} {path}: {text}") }
        }
        _ => FsError::Io { doing: format!("{doing} {path} in the boot file system"), source: error },
    }
}
