//! A file system in memory, as a step sees one, and how an input fills it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read;

use cardsmith::fs::tree::resolve_with;
use cardsmith::fs::{Attributes, Entry, FileKind, FsError, ImagePath, Stat, Tree, TreeMut};

#[derive(Clone)]
enum Node {
    File(Vec<u8>, Attributes),
    Directory(Attributes),
    Symlink(Vec<u8>),
}

#[derive(Clone)]
pub struct MemTree {
    volume: &'static str,
    nodes: RefCell<BTreeMap<ImagePath, Node>>,
}

pub fn at(path: &str) -> ImagePath {
    ImagePath::new(path).expect("the path of a literal")
}

impl MemTree {
    pub fn new(volume: &'static str) -> MemTree {
        let root = (ImagePath::root(), Node::Directory(Attributes::root(0o755)));
        MemTree { volume, nodes: RefCell::new(BTreeMap::from([root])) }
    }

    pub fn file(&self, path: &str, mode: u16, content: impl Into<Vec<u8>>) -> &MemTree {
        self.place(path, Node::File(content.into(), Attributes::root(mode)))
    }

    pub fn link(&self, path: &str, target: &[u8]) -> &MemTree {
        self.place(path, Node::Symlink(target.to_vec()))
    }

    fn place(&self, path: &str, node: Node) -> &MemTree {
        let path = at(path);
        let mut above = path.parent();
        while let Some(directory) = above {
            above = directory.parent();
            self.nodes.borrow_mut().entry(directory).or_insert(Node::Directory(Attributes::root(0o755)));
        }
        self.nodes.borrow_mut().insert(path, node);
        self
    }

    fn settle(&self, path: &ImagePath) -> Result<ImagePath, FsError> {
        match (path.parent(), path.name()) {
            (Some(parent), Some(name)) => Ok(self.resolve(&parent)?.join(name)?),
            _ => Ok(path.clone()),
        }
    }

    fn missing(&self, path: &ImagePath) -> FsError {
        FsError::NotFound { volume: self.volume, path: path.clone() }
    }

    /// Something is put where its directory is not: a plan that cannot be carried out.
    fn put(&self, path: &ImagePath, node: Node) -> Result<(), FsError> {
        let path = self.settle(path)?;
        let parent = path.parent().unwrap_or_else(ImagePath::root);
        if !matches!(self.nodes.borrow().get(&parent), Some(Node::Directory(_))) {
            return Err(FsError::WrongKind { path: parent, expected: "a directory" });
        }
        self.nodes.borrow_mut().insert(path, node);
        Ok(())
    }
}

impl Tree for MemTree {
    fn volume(&self) -> &'static str {
        self.volume
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
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
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
        let entries = below.map(|(at, node)| Entry {
            name: at.name().unwrap_or_default().to_vec(),
            kind: match node {
                Node::File(..) => FileKind::File,
                Node::Directory(_) => FileKind::Directory,
                Node::Symlink(_) => FileKind::Symlink,
            },
        });
        Ok(entries.collect())
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
        let read = |source| FsError::Io { doing: "read what is to be written".to_owned(), source };
        content.read_to_end(&mut bytes).map_err(read)?;
        self.put(path, Node::File(bytes, attributes))
    }

    fn make_directory(&self, path: &ImagePath, attributes: Attributes) -> Result<(), FsError> {
        self.put(path, Node::Directory(attributes))
    }

    fn make_symlink(&self, path: &ImagePath, target: &[u8]) -> Result<(), FsError> {
        self.put(path, Node::Symlink(target.to_vec()))
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

/// Pieces of an input, which are set apart by a line `=== NAME`: readable in the corpus, and one mutation away from each
/// other. What stands before the first such line has no name.
pub fn pieces(input: &[u8]) -> Vec<(&[u8], &[u8])> {
    const MARK: &[u8] = b"=== ";
    let mut pieces = Vec::new();
    let (mut name, mut begin): (&[u8], usize) = (b"", 0);
    let mut at = 0;
    for line in input.split_inclusive(|&b| b == b'\n') {
        if let Some(rest) = line.strip_prefix(MARK) {
            pieces.push((name, &input[begin..at]));
            (name, begin) = (rest.strip_suffix(b"\n").unwrap_or(rest), at + line.len());
        }
        at += line.len();
    }
    pieces.push((name, &input[begin..]));
    pieces
}

/// A root file system with what most steps ask for.
pub fn pi_root() -> MemTree {
    let root = MemTree::new("root");
    root.file("/etc/sudoers", 0o440, "root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n")
        .file("/etc/hostname", 0o644, "raspberrypi\n")
        .file("/etc/hosts", 0o644, "127.0.0.1\tlocalhost\n127.0.1.1\traspberrypi\n")
        .file("/etc/passwd", 0o644, PASSWD)
        .file("/etc/group", 0o644, "root:x:0:\nsudo:x:27:pi\npi:x:1000:\nssm-user:x:1001:\n")
        .file("/etc/shadow", 0o640, SHADOW)
        .file("/usr/lib/os-release", 0o644, "ID=debian\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n")
        .file("/var/lib/dpkg/status", 0o644, STATUS)
        .file("/etc/machine-id", 0o444, "0123456789abcdef0123456789abcdef\n")
        .link("/etc/os-release", b"../usr/lib/os-release")
        .link("/bin", b"usr/bin")
        .link("/sbin", b"usr/sbin");
    for program in ["/usr/bin/bash", "/usr/bin/sudo", "/usr/bin/dpkg", "/usr/sbin/sshd", "/usr/bin/ssh-keygen"] {
        root.file(program, 0o755, ELF);
    }
    root.link("/usr/bin/sh", b"bash");
    root
}

/// A little-endian ELF of 64 bits for AArch64, as far as its header is read.
const ELF: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0";
pub const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\npi:x:1000:1000::/home/pi:/bin/bash\n\
                          ssm-user:x:1001:1001::/home/ssm-user:/bin/sh\n";
const SHADOW: &str = "root:*:1::::::\npi:$6$saltsalt$hashhashhashhashhashhashhashhash:1::::::\nssm-user:!:1::::::\n";
const STATUS: &str =
    "Package: sudo\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1.9.16p2-3\nDescription: sudo\n\n";
