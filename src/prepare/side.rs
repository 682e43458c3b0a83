//! One file system as it would be after the edits proposed so far: the image's own answers, overlaid by the plan's.

use std::collections::BTreeMap;

use super::plan::{Change, Content, Volume};
use super::view::View;
use crate::fs::{Attributes, Entry, FileKind, FsError, ImagePath, Stat, Tree};

/// A read-only side of a [`View`].
pub struct Side<'v, 'a> {
    pub(super) view: &'v View<'a>,
    pub(super) volume: Volume,
}

/// What the edits so far say about one settled path.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) node: Node,
    /// Mode and owner, where an edit set them.
    pub(super) attributes: Option<Attributes>,
}

/// What is at a settled path.
#[derive(Clone, Copy)]
pub(super) enum Node {
    /// What the image has there.
    Kept,
    /// Nothing: it, or a directory above it, was removed.
    Gone,
    /// The file that this edit writes.
    File(usize),
    /// A directory, with what the image has in it unless that was removed before.
    Directory,
    /// The symlink that this edit makes.
    Symlink(usize),
}

impl Side<'_, '_> {
    fn tree(&self) -> &dyn Tree {
        match self.volume {
            Volume::Root => self.view.root,
            Volume::Boot => self.view.boot,
        }
    }

    /// `path` must be settled: only its last component may be a symlink.
    fn known(&self, path: &ImagePath) -> Known {
        match self.view.known.get(&(self.volume, path.clone())) {
            Some(known) => *known,
            None if self.is_severed(path) => Known { node: Node::Gone, attributes: None },
            None => Known { node: Node::Kept, attributes: None },
        }
    }

    /// Whether the image's own content of this path was removed, with it or with a directory above it.
    fn is_severed(&self, path: &ImagePath) -> bool {
        let mut at = Some(path.clone());
        while let Some(path) = at {
            at = path.parent();
            if self.view.severed.contains(&(self.volume, path)) {
                return true;
            }
        }
        false
    }

    /// What the image has there, as far as it still counts.
    fn own_stat(&self, path: &ImagePath) -> Result<Option<Stat>, FsError> {
        if self.is_severed(path) { Ok(None) } else { self.tree().stat(path) }
    }

    fn change(&self, index: usize) -> Option<&Change> {
        self.view.plan.edits.get(index).map(|edit| &edit.change)
    }

    fn content(&self, index: usize) -> Option<&Content> {
        match self.change(index) {
            Some(Change::Write { content, .. }) => Some(content),
            _ => None,
        }
    }

    fn target(&self, index: usize) -> &[u8] {
        match self.change(index) {
            Some(Change::Symlink { target }) => target,
            _ => b"",
        }
    }

    fn lstat(&self, path: &ImagePath) -> Result<Option<Stat>, FsError> {
        let made = |kind, size| Stat {
            kind,
            attributes: Attributes::root(0o777),
            size,
            modified: 0,
            links: 1,
            protected: false,
        };
        let known = self.known(path);
        let stat = match known.node {
            Node::Kept => self.tree().stat(path)?,
            Node::Gone => None,
            Node::File(index) => Some(made(FileKind::File, self.content(index).map_or(0, Content::size))),
            Node::Directory => {
                let own = self.own_stat(path)?.filter(|stat| stat.kind == FileKind::Directory);
                Some(own.unwrap_or_else(|| made(FileKind::Directory, 0)))
            }
            Node::Symlink(index) => Some(made(FileKind::Symlink, self.target(index).len() as u64)),
        };
        Ok(stat.map(|stat| Stat { attributes: known.attributes.unwrap_or(stat.attributes), ..stat }))
    }

    fn link(&self, path: &ImagePath) -> Result<Vec<u8>, FsError> {
        match self.known(path).node {
            Node::Symlink(index) => Ok(self.target(index).to_vec()),
            Node::Kept => self.tree().read_link(path),
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

impl Tree for Side<'_, '_> {
    fn volume(&self) -> &'static str {
        self.tree().volume()
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
            Node::Kept => self.tree().read(&path, limit),
            Node::File(index) => match self.content(index) {
                Some(content) => content.read(&path, limit),
                None => Ok(Vec::new()),
            },
            Node::Gone => Err(FsError::NotFound { volume: self.volume(), path }),
            Node::Directory | Node::Symlink(_) => Err(FsError::WrongKind { path, expected: "a regular file" }),
        }
    }

    fn read_part(&self, path: &ImagePath, offset: u64, buf: &mut [u8]) -> Result<usize, FsError> {
        const PROPOSED_LIMIT: u64 = 64 << 20;
        let path = self.settle(path)?;
        if let Node::Kept = self.known(&path).node {
            return self.tree().read_part(&path, offset, buf);
        }
        let whole = self.read(&path, PROPOSED_LIMIT)?;
        let rest = usize::try_from(offset).ok().and_then(|at| whole.get(at..)).unwrap_or_default();
        buf.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(rest.len().min(buf.len()))
    }

    fn list(&self, path: &ImagePath) -> Result<Vec<Entry>, FsError> {
        let path = self.settle(path)?;
        let mut entries: BTreeMap<Vec<u8>, FileKind> = match self.known(&path).node {
            Node::Kept => self.tree().list(&path)?.into_iter().map(|entry| (entry.name, entry.kind)).collect(),
            Node::Directory if self.own_stat(&path)?.is_some_and(|stat| stat.kind == FileKind::Directory) => {
                self.tree().list(&path)?.into_iter().map(|entry| (entry.name, entry.kind)).collect()
            }
            Node::Directory => BTreeMap::new(),
            Node::Gone => return Err(FsError::NotFound { volume: self.volume(), path }),
            Node::File(_) | Node::Symlink(_) => return Err(FsError::WrongKind { path, expected: "a directory" }),
        };
        // Paths are ordered as bytes, so everything below `path` follows it, mixed with siblings that share the prefix.
        let below = self.view.known.range((self.volume, path.clone())..);
        for (_, at) in below
            .map(|(key, _)| key)
            .take_while(|(volume, at)| *volume == self.volume && at.as_bytes().starts_with(path.as_bytes()))
        {
            if at.parent().as_ref() != Some(&path) {
                continue;
            }
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
}

impl Content {
    /// How many bytes it is.
    pub fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Secret(bytes) => bytes.len() as u64,
            Content::HostFile { size, .. } => size.0,
        }
    }

    /// The content as text, secret or not, for finding out which lines of an old file stay: never to be shown. Empty
    /// for a file of this machine.
    pub fn shown_lossily(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Content::Bytes(bytes) => String::from_utf8_lossy(bytes),
            Content::Secret(bytes) => String::from_utf8_lossy(bytes),
            Content::HostFile { .. } => "".into(),
        }
    }

    fn read(&self, path: &ImagePath, limit: u64) -> Result<Vec<u8>, FsError> {
        if self.size() > limit {
            return Err(FsError::TooLarge { path: path.clone(), size: self.size(), limit });
        }
        match self {
            Content::Bytes(bytes) => Ok(bytes.clone()),
            Content::Secret(bytes) => Ok(bytes.to_vec()),
            Content::HostFile { path, .. } => {
                std::fs::read(path).map_err(|source| FsError::Io { doing: format!("read {}", path.display()), source })
            }
        }
    }
}
