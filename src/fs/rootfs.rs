//! The root file system (ext4), read and changed through `rust-fs-ext4`.
//!
//! That crate is young: it stays behind [`Tree`] and [`TreeMut`], sees an image only after our own superblock check,
//! works on inode numbers that we resolved, and everything it writes is read again by other code before it counts.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use fs_ext4::Filesystem;
use fs_ext4::dir::{DirEntry, DirEntryType};
use fs_ext4::error::Error as Ext4Error;
use fs_ext4::inode::Inode;

use super::Clock;
use super::ext4::Superblock;
use super::ext4::device::{FixedRuntime, PartitionDevice};
use super::ext4::lookup::{ROOT_INODE, entries_of, fail, find, inode, lookup, missing, settle};
use super::path::ImagePath;
use super::tree::{Attributes, Entry, FileKind, FsError, HardLinks, Stat, Tree, TreeMut};
use crate::image::WriteAt;
use crate::units::ByteRange;

const VOLUME: &str = "root";
/// `FS_IMMUTABLE_FL | FS_APPEND_FL`.
const PROTECTED: u32 = 0x10 | 0x20;
/// File contents pass the library in pieces of this size: each is one journal transaction and must fit the journal.
const CHUNK_BYTES: usize = 1 << 20;

/// The ext4 root file system of an image, opened for reading and editing inside an overlay.
pub struct RootFs {
    device: Arc<PartitionDevice>,
    clock: Clock,
    runtime: Arc<FixedRuntime>,
    /// `None` between a [`TreeMut::sync`] and the next use: the library only marks a file system clean when its
    /// handle is given back.
    mounted: Mutex<Option<Filesystem>>,
}

/// A name in its directory, both settled; `inode` is `None` where nothing is there.
struct Place<'a> {
    directory: u32,
    name: &'a [u8],
    inode: Option<u32>,
}

impl RootFs {
    /// Opens the ext4 in `window`. Every timestamp written is `clock`'s.
    ///
    /// # Errors
    /// [`FsError::Unsupported`] for another kind of file system or features that are not maintained;
    /// [`FsError::Corrupt`] for damage, and where [`crate::fs::repair::repair`] has to run first.
    pub fn open(window: Arc<dyn WriteAt>, clock: Clock) -> Result<RootFs, FsError> {
        // Our own check first: the library trusts what it reads.
        Superblock::read_clean(&window)?;
        let root = RootFs {
            device: Arc::new(PartitionDevice(window)),
            clock,
            runtime: Arc::new(FixedRuntime::new(clock)),
            mounted: Mutex::new(None),
        };
        // The first use mounts it, so that its errors come here.
        let is_directory = root.with(|fs| Ok(inode(fs, ROOT_INODE, &ImagePath::root())?.is_dir()))?;
        if !is_directory {
            return Err(FsError::Corrupt { volume: VOLUME, what: "its root inode is not a directory".into() });
        }
        Ok(root)
    }

    /// The time that everything written gets.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The partition, as it is now.
    pub(super) fn window(&self) -> Arc<dyn WriteAt> {
        self.device.0.clone()
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&Filesystem) -> Result<T, FsError>) -> Result<T, FsError> {
        // After a panic this is `None`: the next use mounts what was written by then.
        let mut mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner);
        let fs = match mounted.take() {
            Some(fs) => fs,
            None => Filesystem::mount_with_runtime(self.device.clone(), self.runtime.clone())
                .map_err(|e| fail(e, "open the root file system", &ImagePath::root()))?,
        };
        let result = act(&fs);
        // After an error as well: the handle knows what is not written yet.
        *mounted = Some(fs);
        result
    }

    fn at<T>(
        &self,
        path: &ImagePath,
        act: impl FnOnce(&Filesystem, u32, &Inode) -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        self.with(|fs| {
            let number = find(fs, path)?.ok_or_else(|| missing(path))?;
            act(fs, number, &inode(fs, number, path)?)
        })
    }

    /// Does `act` in the settled directory of `path`, which must be there.
    fn in_directory<T>(
        &self,
        path: &ImagePath,
        act: impl FnOnce(&Filesystem, Place<'_>) -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(FsError::WrongKind { path: path.clone(), expected: "a name below the root directory" });
        };
        self.with(|fs| {
            let settled = settle(fs, &parent)?;
            let directory = settled.inode.ok_or_else(|| missing(&parent))?;
            if !inode(fs, directory, &parent)?.is_dir() {
                return Err(FsError::WrongKind { path: parent.clone(), expected: "a directory" });
            }
            let inode = lookup(fs, directory, name, path)?;
            act(fs, Place { directory, name, inode })
        })
    }
}

impl Tree for RootFs {
    fn volume(&self) -> &'static str {
        VOLUME
    }

    fn stat(&self, path: &ImagePath) -> Result<Option<Stat>, FsError> {
        self.with(|fs| match find(fs, path)? {
            Some(number) => Ok(Some(stat_of(number, &inode(fs, number, path)?))),
            None => Ok(None),
        })
    }

    fn resolve(&self, path: &ImagePath) -> Result<ImagePath, FsError> {
        self.with(|fs| Ok(settle(fs, path)?.path))
    }

    fn read(&self, path: &ImagePath, limit: u64) -> Result<Vec<u8>, FsError> {
        self.at(path, |fs, number, inode| {
            require_file(inode, path)?;
            // Before memory is taken: the size on an image can be anything.
            if inode.size > limit {
                return Err(FsError::TooLarge { path: path.clone(), size: inode.size, limit });
            }
            let mut content = Vec::new();
            while (content.len() as u64) < inode.size {
                let had = content.len();
                let take = usize::try_from(inode.size - had as u64).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
                content.resize(had + take, 0);
                let got = fs
                    .read_ino(number, had as u64, content.get_mut(had..).unwrap_or_default())
                    .map_err(|e| fail(e, "read", path))?;
                // A file must not come back short and look whole.
                if got != take {
                    let what = format!("{path} ends at byte {} of {}", had + got, inode.size);
                    return Err(FsError::Corrupt { volume: VOLUME, what });
                }
            }
            Ok(content)
        })
    }

    fn read_part(&self, path: &ImagePath, offset: u64, buf: &mut [u8]) -> Result<usize, FsError> {
        self.at(path, |fs, number, inode| {
            require_file(inode, path)?;
            if offset >= inode.size {
                return Ok(0);
            }
            let take = usize::try_from(inode.size - offset).unwrap_or(buf.len()).min(buf.len());
            fs.read_ino(number, offset, buf.get_mut(..take).unwrap_or_default()).map_err(|e| fail(e, "read", path))
        })
    }

    fn data(&self, path: &ImagePath) -> Result<Vec<ByteRange>, FsError> {
        let number = self.at(path, |_, number, inode| require_file(inode, path).map(|()| number))?;
        super::ext4::mapping::data_of(&*self.window(), number)
    }

    fn list(&self, path: &ImagePath) -> Result<Vec<Entry>, FsError> {
        self.at(path, |fs, number, inode_of| {
            if !inode_of.is_dir() {
                return Err(FsError::WrongKind { path: path.clone(), expected: "a directory" });
            }
            let mut entries = Vec::new();
            for entry in entries_of(fs, number, path)? {
                // The entry saves a look at the inode, where it tells.
                let kind = match entry.file_type {
                    DirEntryType::RegFile => FileKind::File,
                    DirEntryType::Directory => FileKind::Directory,
                    DirEntryType::Symlink => FileKind::Symlink,
                    DirEntryType::Unknown => kind_of(&inode(fs, entry.inode, path)?),
                    _ => FileKind::Special,
                };
                entries.push(Entry { name: entry.name, kind });
            }
            entries.sort();
            Ok(entries)
        })
    }

    fn read_link(&self, path: &ImagePath) -> Result<Vec<u8>, FsError> {
        self.at(path, |fs, number, inode| {
            if !inode.is_symlink() {
                return Err(FsError::WrongKind { path: path.clone(), expected: "a symbolic link" });
            }
            fs.read_link_ino(number).map_err(|e| fail(e, "read the link", path))
        })
    }

    fn hard_links(&self) -> Result<HardLinks, FsError> {
        self.with(super::hard_links::find)
    }
}

impl TreeMut for RootFs {
    fn write_file(&self, path: &ImagePath, attributes: Attributes, content: &mut dyn Read) -> Result<(), FsError> {
        self.in_directory(path, |fs, place| {
            let write = |e| fail(e, "write", path);
            // A new inode, never the old one: no extended attribute, flag, hard link or preallocated block of what
            // was there survives in the new file.
            unlink_existing(fs, &place, path, "a regular file")?;
            let number = fs.apply_create_at(place.directory, place.name, attributes.mode & 0o7777).map_err(write)?;
            fs.apply_chown_ino(number, attributes.uid, attributes.gid).map_err(write)?;
            let mut chunk = vec![0; CHUNK_BYTES];
            let mut offset = 0u64;
            loop {
                let got = fill(content, &mut chunk)
                    .map_err(|source| FsError::Io { doing: format!("read what is to become {path}"), source })?;
                if got == 0 {
                    return Ok(());
                }
                fs.apply_pwrite_ino(number, offset, chunk.get(..got).unwrap_or_default()).map_err(write)?;
                offset = offset.saturating_add(got as u64);
            }
        })
    }

    fn make_directory(&self, path: &ImagePath, attributes: Attributes) -> Result<(), FsError> {
        // The root is always there.
        if path.name().is_none() {
            return self.set_attributes(path, attributes);
        }
        self.in_directory(path, |fs, place| {
            let make = |e| fail(e, "make the directory", path);
            let number = match place.inode {
                Some(number) if inode(fs, number, path)?.is_dir() => number,
                Some(_) => return Err(FsError::WrongKind { path: path.clone(), expected: "a directory" }),
                None => fs.apply_mkdir_at(place.directory, place.name, attributes.mode & 0o7777).map_err(make)?,
            };
            // Also where it was just made: that set no owner.
            apply_attributes(fs, number, attributes).map_err(make)
        })
    }

    fn make_symlink(&self, path: &ImagePath, target: &[u8]) -> Result<(), FsError> {
        self.in_directory(path, |fs, place| {
            unlink_existing(fs, &place, path, "a symbolic link")?;
            fs.apply_symlink_at(place.directory, place.name, target).map_err(|e| fail(e, "make the link", path))?;
            Ok(())
        })
    }

    fn remove(&self, path: &ImagePath) -> Result<(), FsError> {
        // A missing parent is fine here, and an error below.
        if self.stat(path)?.is_none() {
            return Ok(());
        }
        self.in_directory(path, |fs, place| match place.inode {
            Some(number) if inode(fs, number, path)?.is_dir() => remove_tree(fs, &place, number, path),
            Some(_) => fs.apply_unlink_at(place.directory, place.name).map_err(|e| fail(e, "remove", path)),
            None => Ok(()),
        })
    }

    fn set_attributes(&self, path: &ImagePath, attributes: Attributes) -> Result<(), FsError> {
        self.at(path, |fs, number, _| {
            apply_attributes(fs, number, attributes).map_err(|e| fail(e, "set mode and owner of", path))
        })
    }

    fn sync(&self) -> Result<(), FsError> {
        let mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner).take();
        match mounted {
            Some(fs) => fs.finish().map_err(|e| fail(e, "finish the root file system", &ImagePath::root())),
            None => Ok(()),
        }
    }
}

fn unlink_existing(
    fs: &Filesystem,
    place: &Place<'_>,
    path: &ImagePath,
    expected: &'static str,
) -> Result<(), FsError> {
    let Some(number) = place.inode else { return Ok(()) };
    // Never a directory with all that is in it.
    if inode(fs, number, path)?.is_dir() {
        return Err(FsError::WrongKind { path: path.clone(), expected });
    }
    fs.apply_unlink_at(place.directory, place.name).map_err(|e| fail(e, "replace", path))
}

/// Removes a directory with all that is below, depth first and without recursion: an image may nest as deep as it
/// likes. The library does not look at the append-only and immutable flags, which is what we want here.
fn remove_tree(fs: &Filesystem, place: &Place<'_>, top: u32, path: &ImagePath) -> Result<(), FsError> {
    struct Level {
        number: u32,
        parent: u32,
        name: Vec<u8>,
        left: Vec<DirEntry>,
    }
    let remove = |e| fail(e, "remove", path);
    let mut seen = HashSet::from([top]);
    let mut levels = vec![Level {
        number: top,
        parent: place.directory,
        name: place.name.to_vec(),
        left: entries_of(fs, top, path)?,
    }];
    while let Some(level) = levels.last_mut() {
        let Some(entry) = level.left.pop() else {
            fs.apply_rmdir_at(level.parent, &level.name).map_err(remove)?;
            levels.pop();
            continue;
        };
        let parent = level.number;
        if !inode(fs, entry.inode, path)?.is_dir() {
            fs.apply_unlink_at(parent, &entry.name).map_err(remove)?;
        } else if seen.insert(entry.inode) && entry.inode != ROOT_INODE {
            let left = entries_of(fs, entry.inode, path)?;
            levels.push(Level { number: entry.inode, parent, name: entry.name, left });
        } else {
            // Damage: to go on would lead in a circle, or up to the root.
            let what = format!("a directory below {path} has two names");
            return Err(FsError::Corrupt { volume: VOLUME, what });
        }
    }
    Ok(())
}

fn apply_attributes(fs: &Filesystem, number: u32, attributes: Attributes) -> Result<(), Ext4Error> {
    fs.apply_chmod_ino(number, attributes.mode & 0o7777)?;
    fs.apply_chown_ino(number, attributes.uid, attributes.gid)
}

fn fill(content: &mut dyn Read, chunk: &mut [u8]) -> io::Result<usize> {
    // Filled up, because each write is a transaction of the journal.
    let mut had = 0;
    while let Some(rest) = chunk.get_mut(had..).filter(|rest| !rest.is_empty()) {
        match content.read(rest) {
            Ok(0) => break,
            Ok(got) => had += got,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(had)
}

fn kind_of(inode: &Inode) -> FileKind {
    match inode {
        _ if inode.is_file() => FileKind::File,
        _ if inode.is_dir() => FileKind::Directory,
        _ if inode.is_symlink() => FileKind::Symlink,
        _ => FileKind::Special,
    }
}

fn stat_of(number: u32, inode: &Inode) -> Stat {
    Stat {
        kind: kind_of(inode),
        attributes: Attributes { mode: inode.mode & 0o7777, uid: inode.uid, gid: inode.gid },
        size: inode.size,
        modified: inode.mtime,
        links: u32::from(inode.links_count),
        inode: number,
        protected: inode.flags & PROTECTED != 0,
    }
}

fn require_file(inode: &Inode, path: &ImagePath) -> Result<(), FsError> {
    if inode.is_file() {
        return Ok(());
    }
    Err(FsError::WrongKind { path: path.clone(), expected: "a regular file" })
}
