//! Names and links: every inode in use has as many names as it says, each calls it what it is, and all directories hang in
//! one tree below the root, each by one name.

use std::collections::BTreeMap;

use super::damage::{corrupt, ensure};
use super::shape::one_root;
use crate::fs::FsError;
use crate::fs::ext4::Superblock;
use crate::fs::ext4::inode::ROOT_INODE;

/// What directory entries call a directory.
pub(super) const DIRECTORY: u8 = 2;
/// A directory may claim one link where it has more than fit (`dir_nlink`).
const MANY_LINKS: u16 = 1;

/// By inode number.
pub(super) struct Names {
    /// How many names each inode was found under, and one bit for each kind that they called it.
    found: Vec<(u32, u16)>,
    /// How many it says it has, and what it is; `None` where it is not in use.
    said: Vec<Option<(u16, u8)>>,
    /// In order, so that the same damage gives the same words.
    directories: BTreeMap<u32, Above>,
    first_inode: u32,
}

/// What leads to a directory.
#[derive(Clone, Copy, Default)]
struct Above {
    /// The directory that names it.
    named_in: u32,
    /// What its own `..` says.
    up: u32,
}

impl Names {
    pub(super) fn of(sb: &Superblock) -> Names {
        // One more than there are: inodes count from 1.
        let count = usize::try_from(sb.inodes).unwrap_or(0) + 1;
        Names {
            found: vec![(0, 0); count],
            said: vec![None; count],
            directories: BTreeMap::new(),
            first_inode: sb.first_inode,
        }
    }

    /// An inode in use says that it has `links` names, and is a `kind`.
    pub(super) fn inode(&mut self, number: u32, links: u16, kind: u8) {
        if let Some(said) = self.said.get_mut(number as usize) {
            *said = Some((links, kind));
        }
    }

    /// An entry of `directory` names `inode`, and calls it `kind`.
    ///
    /// # Errors
    /// Where there is no such inode, or no name may lead to it.
    pub(super) fn entry(&mut self, directory: u32, inode: u32, kind: u8) -> Result<(), FsError> {
        let what = if inode == ROOT_INODE { "names the root directory" } else { "names a reserved inode" };
        // The root is nobody's child, and reserved inodes have no names.
        ensure(inode >= self.first_inode, || format!("directory inode {directory} {what} ({inode})"))?;
        self.count(inode, kind)?;
        if kind == DIRECTORY {
            let above = self.directories.entry(inode).or_default();
            ensure(above.named_in == 0, || format!("the directory of inode {inode} has two names"))?;
            above.named_in = directory;
        }
        Ok(())
    }

    /// `.` and `..` of `directory`, whose `..` names `up`.
    ///
    /// # Errors
    /// Where there is no such inode.
    pub(super) fn dots(&mut self, directory: u32, up: u32) -> Result<(), FsError> {
        self.count(directory, DIRECTORY)?;
        self.count(up, DIRECTORY)?;
        self.directories.entry(directory).or_default().up = up;
        Ok(())
    }

    fn count(&mut self, inode: u32, kind: u8) -> Result<(), FsError> {
        match self.found.get_mut(inode as usize) {
            Some((names, kinds)) if inode != 0 => {
                *names = names.saturating_add(1);
                // There are seven kinds; whatever else is said is none of them.
                *kinds |= 1 << kind.min(0xF);
                Ok(())
            }
            _ => Err(corrupt(format!("a directory names inode {inode}, which is not there"))),
        }
    }

    /// Compares what was found with what inodes say, and looks whether directories form a tree.
    ///
    /// # Errors
    /// The first inode that does not agree.
    pub(super) fn compare(&self) -> Result<(), FsError> {
        for (number, (&(names, kinds), &said)) in self.found.iter().zip(&self.said).enumerate() {
            match said {
                None if names == 0 => {}
                None => return Err(corrupt(format!("a directory names inode {number}, which is not in use"))),
                Some((_, kind)) if kinds != 1 << kind && names > 0 => {
                    return Err(corrupt(format!("a directory calls inode {number} something else than it is")));
                }
                // 1 stands for more than 65,000, which the field has no room for.
                Some((MANY_LINKS, DIRECTORY)) if names > u32::from(MANY_LINKS) => {}
                Some((links, _)) if u32::from(links) == names => {}
                Some((links, _)) => {
                    return Err(corrupt(format!("inode {number} says it has {links} names, and has {names}")));
                }
            }
        }
        self.one_tree()
    }

    fn one_tree(&self) -> Result<(), FsError> {
        for (&number, above) in &self.directories {
            let parent = if number == ROOT_INODE { ROOT_INODE } else { above.named_in };
            ensure(above.up == parent && parent != 0, || {
                let Above { named_in, up } = above;
                format!("the directory of inode {number} says that it is in {up}, and is named in {named_in}")
            })?;
        }
        // Each has one parent, so what does not hang below the root goes round in a circle.
        one_root(&self.directories.iter().map(|(&number, above)| (number, above.up)).collect())
    }
}
