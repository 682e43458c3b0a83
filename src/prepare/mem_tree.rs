//! A file system in memory, for unit tests of steps and views.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read;

use crate::fs::tree::resolve_with;
use crate::fs::{Attributes, Entry, FileKind, FsError, ImagePath, Stat, Tree, TreeMut};

enum Node {
    File(Vec<u8>, Attributes),
    Directory(Attributes),
    Symlink(Vec<u8>),
}

/// A [`Tree`] and [`TreeMut`] that starts with an empty root directory.
pub(crate) struct MemTree {
    nodes: RefCell<BTreeMap<ImagePath, Node>>,
}

/// The path of a literal.
pub(crate) fn at(path: &str) -> ImagePath {
    ImagePath::new(path).unwrap()
}

impl MemTree {
    pub(crate) fn new() -> MemTree {
        let root = (ImagePath::root(), Node::Directory(Attributes::root(0o755)));
        MemTree { nodes: RefCell::new(BTreeMap::from([root])) }
    }

    /// A tree with these files (0644 root) and their directories; a path that ends in `/` is an empty directory, a
    /// content that begins with `-> ` a symlink.
    pub(crate) fn with(files: &[(&str, &str)]) -> MemTree {
        let tree = MemTree::new();
        for (path, content) in files {
            match content.strip_prefix("-> ") {
                _ if path.ends_with('/') => tree.directories(&at(path)),
                Some(target) => tree.place(path, Node::Symlink(target.into())),
                None => tree.place(path, Node::File((*content).into(), Attributes::root(0o644))),
            }
        }
        tree
    }

    fn place(&self, path: &str, node: Node) {
        let path = at(path);
        self.directories(&path.parent().unwrap());
        self.nodes.borrow_mut().insert(path, node);
    }

    fn directories(&self, path: &ImagePath) {
        let mut next = Some(path.clone());
        while let Some(path) = next {
            next = path.parent();
            self.nodes.borrow_mut().entry(path).or_insert(Node::Directory(Attributes::root(0o755)));
        }
    }

    fn settle(&self, path: &ImagePath) -> Result<ImagePath, FsError> {
        match (path.parent(), path.name()) {
            (Some(parent), Some(name)) => Ok(self.resolve(&parent)?.join(name)?),
            _ => Ok(path.clone()),
        }
    }

    fn missing(&self, path: &ImagePath) -> FsError {
        FsError::NotFound { volume: "root", path: path.clone() }
    }
}

impl Tree for MemTree {
    fn volume(&self) -> &'static str {
        "root"
    }

    fn stat(&self, path: &ImagePath) -> Result<Option<Stat>, FsError> {
        let made = |kind, attributes, size: usize| Stat {
            kind,
            attributes,
            size: size as u64,
            modified: 0,
            links: 1,
            inode: 0,
            protected: false,
        };
        Ok(self.nodes.borrow().get(&self.settle(path)?).map(|node| match node {
            Node::File(bytes, attributes) => made(FileKind::File, *attributes, bytes.len()),
            Node::Directory(attributes) => made(FileKind::Directory, *attributes, 0),
            Node::Symlink(target) => made(FileKind::Symlink, Attributes::root(0o777), target.len()),
        }))
    }

    fn resolve(&self, path: &ImagePath) -> Result<ImagePath, FsError> {
        resolve_with(path, &|at| {
            Ok(match self.nodes.borrow().get(at) {
                Some(Node::Symlink(target)) => Some(target.clone()),
                _ => None,
            })
        })
    }

    fn read(&self, path: &ImagePath, limit: u64) -> Result<Vec<u8>, FsError> {
        let path = self.settle(path)?;
        match self.nodes.borrow().get(&path) {
            Some(Node::File(bytes, _)) if bytes.len() as u64 > limit => {
                Err(FsError::TooLarge { path, size: bytes.len() as u64, limit })
            }
            Some(Node::File(bytes, _)) => Ok(bytes.clone()),
            Some(_) => Err(FsError::WrongKind { path, expected: "a regular file" }),
            None => Err(self.missing(&path)),
        }
    }

    fn read_part(&self, path: &ImagePath, offset: u64, buf: &mut [u8]) -> Result<usize, FsError> {
        let bytes = self.read(path, u64::MAX)?;
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn list(&self, path: &ImagePath) -> Result<Vec<Entry>, FsError> {
        let path = self.settle(path)?;
        let nodes = self.nodes.borrow();
        match nodes.get(&path) {
            Some(Node::Directory(_)) => {}
            Some(_) => return Err(FsError::WrongKind { path, expected: "a directory" }),
            None => return Err(self.missing(&path)),
        }
        let below = nodes.iter().filter(|(at, _)| at.parent().as_ref() == Some(&path));
        Ok(below
            .map(|(at, node)| Entry {
                name: at.name().unwrap().to_vec(),
                kind: match node {
                    Node::File(..) => FileKind::File,
                    Node::Directory(_) => FileKind::Directory,
                    Node::Symlink(_) => FileKind::Symlink,
                },
            })
            .collect())
    }

    fn read_link(&self, path: &ImagePath) -> Result<Vec<u8>, FsError> {
        let path = self.settle(path)?;
        match self.nodes.borrow().get(&path) {
            Some(Node::Symlink(target)) => Ok(target.clone()),
            Some(_) => Err(FsError::WrongKind { path, expected: "a symbolic link" }),
            None => Err(self.missing(&path)),
        }
    }
}

impl TreeMut for MemTree {
    fn write_file(&self, path: &ImagePath, attributes: Attributes, content: &mut dyn Read) -> Result<(), FsError> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).unwrap();
        let path = self.settle(path)?;
        assert!(self.nodes.borrow().contains_key(&path.parent().unwrap()), "the directory of {path} is missing");
        self.nodes.borrow_mut().insert(path, Node::File(bytes, attributes));
        Ok(())
    }

    fn make_directory(&self, path: &ImagePath, attributes: Attributes) -> Result<(), FsError> {
        let path = self.settle(path)?;
        assert!(self.nodes.borrow().contains_key(&path.parent().unwrap()), "the directory of {path} is missing");
        self.nodes.borrow_mut().insert(path, Node::Directory(attributes));
        Ok(())
    }

    fn make_symlink(&self, path: &ImagePath, target: &[u8]) -> Result<(), FsError> {
        let path = self.settle(path)?;
        assert!(self.nodes.borrow().contains_key(&path.parent().unwrap()), "the directory of {path} is missing");
        self.nodes.borrow_mut().insert(path, Node::Symlink(target.to_vec()));
        Ok(())
    }

    fn remove(&self, path: &ImagePath) -> Result<(), FsError> {
        let path = self.settle(path)?;
        self.nodes.borrow_mut().retain(|at, _| !at.is_within(&path));
        Ok(())
    }

    fn set_attributes(&self, path: &ImagePath, to: Attributes) -> Result<(), FsError> {
        let path = self.settle(path)?;
        match self.nodes.borrow_mut().get_mut(&path) {
            Some(Node::File(_, attributes) | Node::Directory(attributes)) => *attributes = to,
            _ => return Err(self.missing(&path)),
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), FsError> {
        Ok(())
    }
}
