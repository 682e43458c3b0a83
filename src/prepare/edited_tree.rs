//! One file system as it would be after the edits proposed so far: the image's own answers, overlaid by the plan's.

use std::collections::BTreeMap;

use super::content::Content;
use super::plan::Volume;
use super::proposed::{Known, Node, Proposed};
use crate::fs::{Attributes, Entry, FileKind, FsError, HardLinks, ImagePath, Stat, Tree};

/// One file system of an image with all edits so far, to read.
pub struct EditedTree<'v, 'a> {
    pub(super) proposed: &'v Proposed<'a>,
    pub(super) volume: Volume,
}

impl EditedTree<'_, '_> {
    /// The image's own file system.
    fn original(&self) -> &dyn Tree {
        self.proposed.original(self.volume)
    }

    fn known(&self, path: &ImagePath) -> Known {
        self.proposed.known(self.volume, path)
    }

    /// What the image has there, as far as it still counts.
    fn own_stat(&self, path: &ImagePath) -> Result<Option<Stat>, FsError> {
        if self.proposed.is_severed(self.volume, path) { Ok(None) } else { self.original().stat(path) }
    }

    fn lstat(&self, path: &ImagePath) -> Result<Option<Stat>, FsError> {
        let made = |kind, size| Stat {
            kind,
            attributes: Attributes::root(0o777),
            size,
            modified: 0,
            links: 1,
            inode: 0,
            protected: false,
        };
        let known = self.known(path);
        let stat = match known.node {
            Node::Kept => self.original().stat(path)?,
            Node::Gone => None,
            Node::File(index) => Some(made(FileKind::File, self.proposed.content(index).map_or(0, Content::size))),
            Node::Directory => {
                let own = self.own_stat(path)?.filter(|stat| stat.kind == FileKind::Directory);
                Some(own.unwrap_or_else(|| made(FileKind::Directory, 0)))
            }
            Node::Symlink(index) => Some(made(FileKind::Symlink, self.proposed.target(index).len() as u64)),
        };
        Ok(stat.map(|stat| Stat { attributes: known.attributes.unwrap_or(stat.attributes), ..stat }))
    }

    fn link(&self, path: &ImagePath) -> Result<Vec<u8>, FsError> {
        match self.known(path).node {
            Node::Symlink(index) => Ok(self.proposed.target(index).to_vec()),
            Node::Kept => self.original().read_link(path),
            Node::Gone => Err(FsError::NotFound { volume: self.volume(), path: path.clone() }),
            _ => Err(FsError::WrongKind { path: path.clone(), expected: "a symbolic link" }),
        }
    }

    /// Directories resolved, the last component as it is.
    pub(super) fn settle(&self, path: &ImagePath) -> Result<ImagePath, FsError> {
        match (path.parent(), path.name()) {
            (Some(parent), Some(name)) => Ok(self.resolve(&parent)?.join(name)?),
            _ => Ok(path.clone()),
        }
    }
}

impl Tree for EditedTree<'_, '_> {
    fn volume(&self) -> &'static str {
        self.original().volume()
    }

    fn stat(&self, path: &ImagePath) -> Result<Option<Stat>, FsError> {
        self.lstat(&self.settle(path)?)
    }

    fn resolve(&self, path: &ImagePath) -> Result<ImagePath, FsError> {
        crate::fs::tree::resolve_with(path, &|at| {
            Ok(match self.lstat(at)? {
                Some(stat) if stat.kind == FileKind::Symlink => Some(self.link(at)?),
                _ => None,
            })
        })
    }

    fn read(&self, path: &ImagePath, limit: u64) -> Result<Vec<u8>, FsError> {
        let path = self.settle(path)?;
        match self.known(&path).node {
            Node::Kept => self.original().read(&path, limit),
            Node::File(index) => match self.proposed.content(index) {
                Some(content) => content.read(&path, limit),
                None => Ok(Vec::new()),
            },
            Node::Gone => Err(FsError::NotFound { volume: self.volume(), path }),
            Node::Directory | Node::Symlink(_) => Err(FsError::WrongKind { path, expected: "a regular file" }),
        }
    }

    fn read_part(&self, path: &ImagePath, offset: u64, buf: &mut [u8]) -> Result<usize, FsError> {
        // What steps propose is small; only the image itself has files that must be read in parts.
        const PROPOSED_LIMIT: u64 = 64 << 20;
        let path = self.settle(path)?;
        if let Node::Kept = self.known(&path).node {
            return self.original().read_part(&path, offset, buf);
        }
        let whole = self.read(&path, PROPOSED_LIMIT)?;
        let rest = usize::try_from(offset).ok().and_then(|at| whole.get(at..)).unwrap_or_default();
        buf.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(rest.len().min(buf.len()))
    }

    fn list(&self, path: &ImagePath) -> Result<Vec<Entry>, FsError> {
        let path = self.settle(path)?;
        let mut entries: BTreeMap<Vec<u8>, FileKind> = match self.known(&path).node {
            Node::Kept => self.original().list(&path)?.into_iter().map(|entry| (entry.name, entry.kind)).collect(),
            Node::Directory if self.own_stat(&path)?.is_some_and(|stat| stat.kind == FileKind::Directory) => {
                self.original().list(&path)?.into_iter().map(|entry| (entry.name, entry.kind)).collect()
            }
            Node::Directory => BTreeMap::new(),
            Node::Gone => return Err(FsError::NotFound { volume: self.volume(), path }),
            Node::File(_) | Node::Symlink(_) => return Err(FsError::WrongKind { path, expected: "a directory" }),
        };
        for at in self.proposed.known_in(self.volume, &path) {
            let Some(name) = at.name() else { continue };
            match self.lstat(at)? {
                Some(stat) => entries.insert(name.to_vec(), stat.kind),
                None => entries.remove(name),
            };
        }
        Ok(entries.into_iter().map(|(name, kind)| Entry { name, kind }).collect())
    }

    fn read_link(&self, path: &ImagePath) -> Result<Vec<u8>, FsError> {
        self.link(&self.settle(path)?)
    }

    fn hard_links(&self) -> Result<HardLinks, FsError> {
        let mut links = self.original().hard_links()?;
        // A name that was removed, or is written anew, is none of the old file any more.
        for names in links.values_mut() {
            names.retain(|name| matches!(self.known(name).node, Node::Kept));
        }
        Ok(links)
    }
}
