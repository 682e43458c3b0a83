//! A file with all that a kernel would show of it, and a walk by inodes that resolves no path twice. Read-only; for
//! comparing whole trees.

use std::collections::BTreeMap;

use fs_ext4::inode::Inode;
use fs_ext4::xattr;

use super::bootfs::BootFs;
use super::ext4::lookup::{ROOT_INODE, entries_of, fail, inode};
use super::path::ImagePath;
use super::rootfs::RootFs;
use super::tree::{Attributes, FileKind, FsError, Tree};

/// What a directory entry names, apart from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A type that no kernel knows.
    Unknown,
}

/// Everything about a file but its name and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Mode and owner. FAT has none: 0755/0644 root.
    pub attributes: Attributes,
    /// Length in bytes. 0 for what is no regular file: that of others is the file system's affair.
    pub size: u64,
    /// Modification time: seconds since 1970 and nanoseconds.
    pub modified: (i64, u32),
    /// How many names it has; 1 for directories, whose count follows from what is in them.
    pub links: u32,
    /// The flags that `chattr` sets, without those that only tell of the layout.
    pub flags: u32,
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
    /// Target of a symlink.
    pub target: Option<Vec<u8>>,
    /// Extended attributes by their full names, as they lie on the disk.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// A place in a tree that was reached by walking: a file system uses what it knows best by.
#[derive(Debug, Clone)]
pub struct Spot {
    /// From the root.
    pub path: ImagePath,
    /// ext4's inode number; 0 on FAT.
    pub inode: u32,
}

/// A tree that can be walked from its root.
pub trait Walk {
    /// "root" or "boot".
    fn volume(&self) -> &'static str;
    /// Its root directory.
    fn top(&self) -> Spot;
    /// What is at `spot`.
    ///
    /// # Errors
    /// Damage.
    fn node(&self, spot: &Spot) -> Result<Node, FsError>;
    /// Names in the directory at `spot` with where they lead, sorted by name; without `.` and `..`.
    ///
    /// # Errors
    /// Damage, also two entries with one name.
    fn names(&self, spot: &Spot) -> Result<Vec<(Vec<u8>, u32)>, FsError>;
    /// Fills as much of `buf` as the regular file at `spot` has from `offset`; returns how much that is.
    ///
    /// # Errors
    /// Damage.
    fn read_from(&self, spot: &Spot, offset: u64, buf: &mut [u8]) -> Result<usize, FsError>;
}

impl Walk for RootFs {
    fn volume(&self) -> &'static str {
        Tree::volume(self)
    }

    fn top(&self) -> Spot {
        Spot { path: ImagePath::root(), inode: ROOT_INODE }
    }

    fn node(&self, spot: &Spot) -> Result<Node, FsError> {
        let path = &spot.path;
        self.with(|fs| {
            // The raw slot as well: attributes may lie in it.
            let (inode, raw) = fs.read_inode_verified(spot.inode).map_err(|e| fail(e, "read the inode of", path))?;
            let kind = kind_of(inode.mode);
            let xattrs = xattr::read_all_resolved(fs, &inode, &raw).map_err(|e| fail(e, "read attributes of", path))?;
            let target = match kind {
                NodeKind::Symlink => Some(fs.read_link_ino(spot.inode).map_err(|e| fail(e, "read the link", path))?),
                _ => None,
            };
            Ok(Node {
                kind,
                attributes: Attributes { mode: inode.mode & 0o7777, uid: inode.uid, gid: inode.gid },
                size: if kind == NodeKind::File { inode.size } else { 0 },
                modified: (inode.mtime, inode.mtime_nsec),
                links: if kind == NodeKind::Directory { 1 } else { u32::from(inode.links_count) },
                flags: inode.flags & SHOWN_FLAGS,
                device: device_of(kind, &inode),
                target,
                // Content that lies in the inode is kept as an attribute that no kernel shows.
                xattrs: xattrs.into_iter().filter(|x| x.name != "system.data").map(|x| (x.name, x.value)).collect(),
            })
        })
    }

    fn names(&self, spot: &Spot) -> Result<Vec<(Vec<u8>, u32)>, FsError> {
        self.with(|fs| {
            // The library walks a directory block by block, holes too: a size that cannot be would take for ever.
            let limit = fs.byte_ceiling().map_err(|e| fail(e, "list", &spot.path))?;
            let size = inode(fs, spot.inode, &spot.path)?.size;
            if size > limit {
                let what = format!("the directory {} claims {size} bytes, more than its file system", spot.path);
                return Err(FsError::Corrupt { volume: "root", what });
            }
            let entries = entries_of(fs, spot.inode, &spot.path)?;
            sorted(entries.into_iter().map(|entry| (entry.name, entry.inode)).collect(), "root", &spot.path)
        })
    }

    fn read_from(&self, spot: &Spot, offset: u64, buf: &mut [u8]) -> Result<usize, FsError> {
        self.with(|fs| {
            let size = inode(fs, spot.inode, &spot.path)?.size;
            let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
            match buf.get_mut(..left) {
                Some(part) if left > 0 => {
                    fs.read_ino(spot.inode, offset, part).map_err(|e| fail(e, "read", &spot.path))
                }
                _ => Ok(0),
            }
        })
    }
}

impl Walk for BootFs {
    fn volume(&self) -> &'static str {
        Tree::volume(self)
    }

    fn top(&self) -> Spot {
        Spot { path: ImagePath::root(), inode: 0 }
    }

    fn node(&self, spot: &Spot) -> Result<Node, FsError> {
        let missing = || FsError::NotFound { volume: "boot", path: spot.path.clone() };
        let stat = self.stat(&spot.path)?.ok_or_else(missing)?;
        Ok(Node {
            kind: if stat.kind == FileKind::Directory { NodeKind::Directory } else { NodeKind::File },
            attributes: stat.attributes,
            size: if stat.kind == FileKind::File { stat.size } else { 0 },
            modified: (stat.modified, 0),
            links: 1,
            flags: 0,
            device: None,
            target: None,
            xattrs: BTreeMap::new(),
        })
    }

    fn names(&self, spot: &Spot) -> Result<Vec<(Vec<u8>, u32)>, FsError> {
        sorted(self.list(&spot.path)?.into_iter().map(|entry| (entry.name, 0)).collect(), "boot", &spot.path)
    }

    fn read_from(&self, spot: &Spot, offset: u64, buf: &mut [u8]) -> Result<usize, FsError> {
        self.read_part(&spot.path, offset, buf)
    }
}

/// `FS_FL_USER_VISIBLE` without extents, hash tree, huge file and inline data, which the kernel chooses.
const SHOWN_FLAGS: u32 = 0x604B_DFFF & !(0x80000 | 0x1000 | 0x40000 | 0x1000_0000);

fn sorted(
    mut names: Vec<(Vec<u8>, u32)>,
    volume: &'static str,
    path: &ImagePath,
) -> Result<Vec<(Vec<u8>, u32)>, FsError> {
    names.sort_unstable();
    // Neighbours are enough, because they are sorted.
    match names.windows(2).any(|pair| matches!(pair, [a, b] if a.0 == b.0)) {
        true => Err(FsError::Corrupt { volume, what: format!("{path} has two entries with one name") }),
        false => Ok(names),
    }
}

fn kind_of(mode: u16) -> NodeKind {
    match mode & 0xF000 {
        0x8000 => NodeKind::File,
        0x4000 => NodeKind::Directory,
        0xA000 => NodeKind::Symlink,
        0x1000 => NodeKind::Fifo,
        0xC000 => NodeKind::Socket,
        0x2000 => NodeKind::CharacterDevice,
        0x6000 => NodeKind::BlockDevice,
        _ => NodeKind::Unknown,
    }
}

/// A device's number stands where other files have their first blocks: the old 16-bit form, or else the new one
/// (`ext4_set_inode_flags`/`new_decode_dev` in the kernel's fs/ext4/inode.c).
fn device_of(kind: NodeKind, inode: &Inode) -> Option<(u32, u32)> {
    if !matches!(kind, NodeKind::CharacterDevice | NodeKind::BlockDevice) {
        return None;
    }
    let [a, b, c, d, e, f, g, h, ..] = inode.block;
    // The kernel sets one of the two words, and leaves the other 0.
    let (old, new) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    Some(match old {
        0 => ((new & 0xF_FF00) >> 8, (new & 0xFF) | ((new >> 12) & 0xF_FF00)),
        _ => ((old >> 8) & 0xFF, old & 0xFF),
    })
}
