//! From a path to an inode, for the ext4 library, which resolves no links in the middle of a path; and its errors in the
//! words of this room.

use std::cell::RefCell;
use std::collections::HashMap;

use fs_ext4::Filesystem;
use fs_ext4::dir::DirEntry;
use fs_ext4::error::Error as Ext4Error;
use fs_ext4::inode::Inode;

use crate::fs::path::ImagePath;
use crate::fs::tree::{FsError, resolve_with};

const VOLUME: &str = "root";
/// The inode of the root directory.
pub const ROOT_INODE: u32 = 2;

/// A path with its links followed, and what is there.
pub struct Settled {
    /// The path without links.
    pub path: ImagePath,
    /// Its inode, where something is there.
    pub inode: Option<u32>,
}

/// Follows every link of `path`.
///
/// # Errors
/// Damage, or a loop of links.
pub fn settle(fs: &Filesystem, path: &ImagePath) -> Result<Settled, FsError> {
    // Each prefix is looked up once; its inode is remembered for the next component.
    let known: RefCell<HashMap<ImagePath, Option<u32>>> =
        RefCell::new(HashMap::from([(ImagePath::root(), Some(ROOT_INODE))]));
    let link_at = |at: &ImagePath| -> Result<Option<Vec<u8>>, FsError> {
        let parent = at.parent().and_then(|parent| known.borrow().get(&parent).copied().flatten());
        // `resolve_with` goes from the root down, so the parent was here before.
        let number = match (parent, at.name()) {
            (Some(parent), Some(name)) => lookup(fs, parent, name, at)?,
            _ => None,
        };
        // Also where nothing is there: then nothing is below it either.
        known.borrow_mut().insert(at.clone(), number);
        match number {
            Some(number) if inode(fs, number, at)?.is_symlink() => {
                Ok(Some(fs.read_link_ino(number).map_err(|e| fail(e, "read the link", at))?))
            }
            _ => Ok(None),
        }
    };
    let path = resolve_with(path, &link_at)?;
    let inode = known.borrow().get(&path).copied().flatten();
    Ok(Settled { path, inode })
}

/// The inode of `path`, whose last component is not followed.
///
/// # Errors
/// Damage, or a loop of links.
pub fn find(fs: &Filesystem, path: &ImagePath) -> Result<Option<u32>, FsError> {
    // The root has neither.
    let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return Ok(Some(ROOT_INODE)) };
    match settle(fs, &parent)?.inode {
        Some(directory) => lookup(fs, directory, name, path),
        None => Ok(None),
    }
}

/// The inode that `name` has in `directory`; `path` is for messages.
///
/// # Errors
/// Damage.
pub fn lookup(fs: &Filesystem, directory: u32, name: &[u8], path: &ImagePath) -> Result<Option<u32>, FsError> {
    match fs.lookup_at(directory, name) {
        Ok(number) => Ok(Some(number)),
        // Below a file there is nothing, which is no damage.
        Err(Ext4Error::NotFound | Ext4Error::NotADirectory) => Ok(None),
        Err(e) => Err(fail(e, "look up", path)),
    }
}

/// An inode that is in use.
///
/// # Errors
/// Damage.
pub fn inode(fs: &Filesystem, number: u32, path: &ImagePath) -> Result<Inode, FsError> {
    fs.stat_ino(number).map_err(|e| fail(e, "read the inode of", path))
}

/// The entries of a directory without `.` and `..`.
///
/// # Errors
/// Damage, also a name that cannot be.
pub fn entries_of(fs: &Filesystem, directory: u32, path: &ImagePath) -> Result<Vec<DirEntry>, FsError> {
    let mut entries = fs.read_dir_ino(directory).map_err(|e| fail(e, "list", path))?;
    entries.retain(|entry| entry.name != b"." && entry.name != b"..");
    // Names come from the image: a `/` in one would lead elsewhere.
    match entries.iter().find(|entry| entry.name.is_empty() || entry.name.iter().any(|b| matches!(b, 0 | b'/'))) {
        Some(_) => Err(FsError::Corrupt { volume: VOLUME, what: format!("{path} holds a name that cannot be") }),
        None => Ok(entries),
    }
}

/// Nothing is at `path`.
pub fn missing(path: &ImagePath) -> FsError {
    FsError::NotFound { volume: VOLUME, path: path.clone() }
}

/// What the library reports, in the words of this room.
pub fn fail(error: Ext4Error, doing: &str, path: &ImagePath) -> FsError {
    match error {
        Ext4Error::NoSpaceLeftOnDevice => FsError::NoSpace { volume: VOLUME, path: path.clone() },
        Ext4Error::NotFound => missing(path),
        Ext4Error::Io(source) => FsError::Io { doing: format!("{doing} {path} in the root file system"), source },
        Ext4Error::NotADirectory => FsError::WrongKind { path: path.clone(), expected: "a directory" },
        // The image may be sound: it is the library that cannot do this.
        e @ (Ext4Error::UnsupportedIncompat(_)
        | Ext4Error::UnsupportedRoCompat(_)
        | Ext4Error::Unsupported(_)
        | Ext4Error::InvalidArgument(_)
        | Ext4Error::NameTooLong
        | Ext4Error::TooManyLinks) => {
            FsError::Unsupported { volume: VOLUME, what: format!("could not {doing} {path}: {e}") }
        }
        // Everything else is about what stands in the image.
        e => FsError::Corrupt { volume: VOLUME, what: format!("could not {doing} {path}: {e}") },
    }
}
