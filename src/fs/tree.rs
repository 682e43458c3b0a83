//! What every file system of an image can do: two small traits, one to read and one to change.
//!
//! All paths are resolved inside the image: symlinks in components are followed (`/lib -> usr/lib`), absolute targets
//! start again at the image's root, a `..` at the root stays there, and more than 40 links are an error, as in Linux.
//! The last component is not followed unless a method says so.

use std::collections::BTreeMap;
use std::io::Read;

use zeroize::Zeroizing;

use super::path::{BadPath, ImagePath};
use crate::units::{ByteRange, ByteSize};

/// What kind of thing a directory entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A FIFO, socket or device node.
    Special,
}

/// Mode and owner, as given to something that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Attributes {
    /// Permission bits, `0o7777` at most.
    pub mode: u16,
    /// Numeric user.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
}

impl Attributes {
    /// `mode`, owned by root:root.
    pub const fn root(mode: u16) -> Attributes {
        Attributes { mode, uid: 0, gid: 0 }
    }
}

/// What is known of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// Mode and owner. FAT has none: 0755/0644 root.
    pub attributes: Attributes,
    /// Length in bytes (of a symlink: of its target).
    pub size: u64,
    /// Modification time in seconds since 1970.
    pub modified: i64,
    /// How many names it has.
    pub links: u32,
    /// Which file it is, whatever its name: names of one file share it. 0 where the file system has no such numbers.
    pub inode: u32,
    /// The append-only or immutable flag is set (ext4 `FS_APPEND_FL`, `FS_IMMUTABLE_FL`).
    pub protected: bool,
}

/// One name in a directory (never `.` or `..`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name, as bytes.
    pub name: Vec<u8>,
    /// What it names.
    pub kind: FileKind,
}

/// What can go wrong with files in an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsError {
    /// Nothing is there.
    #[error("{path} is not in the image's {volume} file system")]
    NotFound {
        /// "root" or "boot".
        volume: &'static str,
        /// What was looked for.
        path: ImagePath,
    },
    /// It is something else than what was asked for.
    #[error("{path} in the image is not {expected}")]
    WrongKind {
        /// What was looked at.
        path: ImagePath,
        /// "a directory", "a regular file", "a symbolic link".
        expected: &'static str,
    },
    /// Symlinks lead in a circle.
    #[error("{path} leads through more than 40 symbolic links")]
    LinkLoop {
        /// Where it began.
        path: ImagePath,
    },
    /// A file is larger than the caller may take in.
    #[error("{path} in the image has {size} bytes, more than the {limit} that are read of such a file")]
    TooLarge {
        /// Which file.
        path: ImagePath,
        /// Its size in bytes.
        size: u64,
        /// The caller's limit in bytes.
        limit: u64,
    },
    /// The file system is full.
    #[error("no space left in the image's {volume} file system while writing {path}")]
    NoSpace {
        /// "root" or "boot".
        volume: &'static str,
        /// What was being written.
        path: ImagePath,
    },
    /// A private copy for a checker does not fit where temporary files go.
    #[error(
        "could not {doing}: {} has {} and it takes {needed}; set TMPDIR=DIRECTORY to one with more room",
        directory.display(), free.map_or("no room left".to_owned(), |free| format!("{free} left"))
    )]
    NoRoom {
        /// "copy the root file system for its repair".
        doing: String,
        /// Where temporary files go.
        directory: std::path::PathBuf,
        /// How much the copy takes.
        needed: ByteSize,
        /// How much room there was before; `None` where it ran out.
        free: Option<ByteSize>,
    },
    /// The file system is damaged: what was being read or written, and what is wrong.
    #[error(
        "the image's {volume} file system is damaged ({what}); run e2fsck or fsck.fat on a copy, or take another image"
    )]
    Corrupt {
        /// "root" or "boot".
        volume: &'static str,
        /// In words.
        what: String,
    },
    /// The file system is of a kind or has a feature that cardsmith does not edit.
    #[error("the image's {volume} file system cannot be edited: {what}")]
    Unsupported {
        /// "root" or "boot".
        volume: &'static str,
        /// In words, with what to do.
        what: String,
    },
    /// A name or target is no path.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// The bytes below could not be read or written.
    #[error("could not {doing}")]
    Io {
        /// "read /etc/sudoers", "write the overlay".
        doing: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// Names of files that have several, by inode.
pub type HardLinks = BTreeMap<u32, Vec<ImagePath>>;

/// A file system that can be read.
pub trait Tree {
    /// "root" or "boot", for messages.
    fn volume(&self) -> &'static str;

    /// What `path` is; `None` where it, or a directory on the way, is not there.
    ///
    /// # Errors
    /// Damage, or a loop of links.
    fn stat(&self, path: &ImagePath) -> Result<Option<Stat>, FsError>;

    /// The path with every symlink in it followed, the last one too. What is not there is kept as it is, so that a
    /// file that is yet to be made can be resolved.
    ///
    /// # Errors
    /// Damage, or a loop of links.
    fn resolve(&self, path: &ImagePath) -> Result<ImagePath, FsError>;

    /// The whole content of a regular file (the last component is not followed).
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::WrongKind`], or [`FsError::TooLarge`] over `limit` bytes.
    fn read(&self, path: &ImagePath, limit: u64) -> Result<Vec<u8>, FsError>;

    /// Fills as much of `buf` as the regular file has from `offset`; returns how much that is.
    ///
    /// # Errors
    /// As [`Tree::read`].
    fn read_part(&self, path: &ImagePath, offset: u64, buf: &mut [u8]) -> Result<usize, FsError>;

    /// Where a regular file has data, in order: what lies between are holes, which read as zeros. One that claims a TiB and
    /// holds a KiB (lastlog does) is read in no time.
    ///
    /// # Errors
    /// As [`Tree::read`].
    fn data(&self, path: &ImagePath) -> Result<Vec<ByteRange>, FsError> {
        let size = self.stat(path)?.map_or(0, |stat| stat.size);
        Ok(vec![ByteRange::new(0, size)])
    }

    /// The entries of a directory, sorted by name, without `.` and `..`.
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::WrongKind`].
    fn list(&self, path: &ImagePath) -> Result<Vec<Entry>, FsError>;

    /// The target of a symlink, as it stands.
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::WrongKind`].
    fn read_link(&self, path: &ImagePath) -> Result<Vec<u8>, FsError>;

    /// Every name of each regular file that has several, by its inode, sorted. Walks the whole tree: to be asked when it
    /// is known that there is one.
    ///
    /// # Errors
    /// Damage.
    fn hard_links(&self) -> Result<HardLinks, FsError> {
        // FAT has no such names, and so it is where a file system says nothing of them.
        Ok(HardLinks::new())
    }

    /// A text file, lossily as UTF-8; `None` where nothing (or no regular file) is there.
    ///
    /// # Errors
    /// Damage, or more than `limit` bytes.
    fn text(&self, path: &ImagePath, limit: u64) -> Result<Option<String>, FsError> {
        match self.stat(path)? {
            Some(stat) if stat.kind == FileKind::File => {
                Ok(Some(String::from_utf8_lossy(&self.read(path, limit)?).into_owned()))
            }
            _ => Ok(None),
        }
    }

    /// The first `most` bytes of a regular file, or all of a shorter one. It may hold a secret, and is wiped.
    ///
    /// # Errors
    /// Damage.
    fn beginning(&self, path: &ImagePath, most: u64) -> Result<Zeroizing<Vec<u8>>, FsError> {
        let size = self.stat(path)?.map_or(0, |stat| stat.size).min(most);
        let mut content = Zeroizing::new(vec![0; usize::try_from(size).unwrap_or_default()]);
        let mut filled = 0;
        while let Some(rest) = content.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_part(path, filled as u64, rest)? {
                0 => break,
                n => filled += n,
            }
        }
        content.truncate(filled);
        Ok(content)
    }
}

/// A file system that can be changed. Times come from the clock that the file system was opened with, never from the
/// host's, so that the same edits give the same bytes.
pub trait TreeMut: Tree {
    /// Makes a regular file, or replaces what the file holds and its attributes. Its directory must be there. A
    /// symlink in the last place is replaced by the file, never followed.
    ///
    /// # Errors
    /// [`FsError::NoSpace`] and the rest; what was begun is thrown away with the overlay.
    fn write_file(&self, path: &ImagePath, attributes: Attributes, content: &mut dyn Read) -> Result<(), FsError>;

    /// Makes a directory; one that is there gets the attributes.
    ///
    /// # Errors
    /// As [`TreeMut::write_file`].
    fn make_directory(&self, path: &ImagePath, attributes: Attributes) -> Result<(), FsError>;

    /// Makes a symlink owned by root; replaces a file or symlink that is there. FAT has none: `Unsupported`.
    ///
    /// # Errors
    /// As [`TreeMut::write_file`].
    fn make_symlink(&self, path: &ImagePath, target: &[u8]) -> Result<(), FsError>;

    /// Removes a file, symlink, special file or a whole directory tree, also where the append-only or immutable flag
    /// is set. The last component is not followed. Nothing there is fine.
    ///
    /// # Errors
    /// Damage.
    fn remove(&self, path: &ImagePath) -> Result<(), FsError>;

    /// Sets mode and owner.
    ///
    /// # Errors
    /// [`FsError::NotFound`].
    fn set_attributes(&self, path: &ImagePath, attributes: Attributes) -> Result<(), FsError>;

    /// Writes everything down, and leaves the file system marked clean with an empty journal.
    ///
    /// # Errors
    /// The overlay's.
    fn sync(&self) -> Result<(), FsError>;
}

/// How to look at one settled path: its link target where it is a symlink.
pub type LinkAt<'a> = dyn Fn(&ImagePath) -> Result<Option<Vec<u8>>, FsError> + 'a;

/// Follows every symlink of `path`, given how to look at one settled path: its link target where it is a symlink.
/// Shared by the file systems and by the view of a plan, so that all of them agree on what a path means.
///
/// # Errors
/// What `link_at` reports, and [`FsError::LinkLoop`] after 40 links (the kernel's `MAXSYMLINKS`).
pub fn resolve_with(path: &ImagePath, link_at: &LinkAt<'_>) -> Result<ImagePath, FsError> {
    const MOST_LINKS: usize = 40;
    let mut at = ImagePath::root();
    // Turned round, so that the next component is the last element.
    let mut ahead: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
    let mut links = 0;
    while let Some(component) = ahead.pop() {
        match component.as_slice() {
            // From doubled slashes in a link's target.
            b"" | b"." => continue,
            b".." => {
                // At the root it stays there, as in Linux.
                at = at.parent().unwrap_or_else(ImagePath::root);
                continue;
            }
            _ => {}
        }
        let next = at.join(&component)?;
        let Some(target) = link_at(&next)? else {
            at = next;
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return Err(FsError::LinkLoop { path: path.clone() });
        }
        // The image's root, never the host's.
        if target.starts_with(b"/") {
            at = ImagePath::root();
        }
        ahead.extend(target.split(|&b| b == b'/').rev().map(<[u8]>::to_vec));
    }
    Ok(at)
}
