//! Reads the root file system again with `ext4-view`, a reader that shares no code with the writer, and compares it
//! with what was to be there.

use std::sync::Arc;

use ext4_view::{Ext4, Ext4Error, Ext4Read, Path};
use sha2::{Digest, Sha256};

use super::ext4::inode::{Inode, InodeKind};
use super::ext4::reader::Reader;
use super::path::ImagePath;
use super::tree::{Attributes, FileKind};
use crate::digest::Sha256Digest;
use crate::image::ReadAt;
use crate::printable::Printable;
use crate::units::ByteOffset;

/// What has to stand at a path. The last component is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Absent,
    /// A regular file.
    File {
        /// Digest of its content.
        sha256: Sha256Digest,
        /// Its size in bytes.
        size: u64,
        /// Its mode and owner.
        attributes: Attributes,
    },
    /// A directory.
    Directory {
        /// Its mode and owner.
        attributes: Attributes,
    },
    /// A symbolic link.
    Symlink {
        /// Its target.
        target: Vec<u8>,
    },
    /// Anything with this mode and owner.
    Attributes {
        /// Mode and owner.
        attributes: Attributes,
    },
}

/// What the second reader found instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RereadError {
    /// It could not read the file system or a path in it.
    #[error("could not read {path} again: {said}")]
    Unreadable {
        /// What was being read.
        path: ImagePath,
        /// The reader's words.
        said: String,
    },
    /// Something else stands there.
    #[error("{path} should be {expected}, but is {found}")]
    Differs {
        /// Where.
        path: ImagePath,
        /// In words.
        expected: String,
        /// In words.
        found: String,
    },
}

/// Compares `expectations` with what `ext4-view` finds in `window`. Where that does not know a feature of the file
/// system, [`Reader`] looks instead.
///
/// # Errors
/// The first path that is not as expected.
pub fn verify(window: Arc<dyn ReadAt>, expectations: &[(ImagePath, Expect)]) -> Result<(), RereadError> {
    let root = ImagePath::root();
    let reader: Box<dyn Look> = match Ext4::load(Box::new(Source(window.clone()))) {
        Ok(ext4) => Box::new(ext4),
        // Only for a feature that it does not know: damage must not lead to a milder reader.
        Err(Ext4Error::Incompatible(_)) => Box::new(Reader::open(window).map_err(|e| unreadable(&root, &e))?),
        Err(e) => return Err(unreadable(&root, &e)),
    };
    expectations.iter().try_for_each(|(path, expect)| verify_one(&*reader, path, expect))
}

/// What a second reader has to be able to tell. Errors are its words.
trait Look {
    fn look(&self, path: &ImagePath) -> Result<Option<Found>, String>;
    fn digest(&self, path: &ImagePath) -> Result<Sha256Digest, String>;
    fn target(&self, path: &ImagePath) -> Result<Vec<u8>, String>;
}

struct Found {
    kind: FileKind,
    attributes: Attributes,
    size: u64,
}

fn verify_one(reader: &dyn Look, path: &ImagePath, expect: &Expect) -> Result<(), RereadError> {
    let said = |said| RereadError::Unreadable { path: path.clone(), said };
    let found = match reader.look(path).map_err(said)? {
        Some(found) => found,
        None if *expect == Expect::Absent => return Ok(()),
        None => return Err(differs(path, expect, "absent".into())),
    };
    let (fits, wanted) = match expect {
        // Something is there.
        Expect::Absent => (false, None),
        Expect::File { attributes, .. } => (found.kind == FileKind::File, Some(attributes)),
        Expect::Directory { attributes } => (found.kind == FileKind::Directory, Some(attributes)),
        Expect::Symlink { .. } => (found.kind == FileKind::Symlink, None),
        Expect::Attributes { attributes } => (true, Some(attributes)),
    };
    if !fits {
        return Err(differs(path, expect, format!("{:?}", found.kind)));
    }
    if wanted.is_some_and(|wanted| *wanted != found.attributes) {
        return Err(differs(path, expect, shown(&found.attributes)));
    }
    // The size first: it costs nothing, and says more than two digests.
    match expect {
        Expect::File { size, .. } if found.size != *size => {
            Err(differs(path, expect, format!("{} bytes long", found.size)))
        }
        Expect::File { sha256, .. } => match reader.digest(path).map_err(said)? {
            digest if digest == *sha256 => Ok(()),
            digest => Err(differs(path, expect, format!("of content {digest}"))),
        },
        Expect::Symlink { target } => match reader.target(path).map_err(said)? {
            found if found == *target => Ok(()),
            found => Err(differs(path, expect, format!("a link to {}", Printable::of(&found)))),
        },
        _ => Ok(()),
    }
}

impl Look for Ext4 {
    fn look(&self, path: &ImagePath) -> Result<Option<Found>, String> {
        let meta = match self.symlink_metadata(view_path(path)?) {
            Ok(meta) => meta,
            Err(Ext4Error::NotFound | Ext4Error::NotADirectory) => return Ok(None),
            Err(e) => return Err(e.to_string()),
        };
        let kind = match meta.file_type() {
            kind if kind.is_regular_file() => FileKind::File,
            kind if kind.is_dir() => FileKind::Directory,
            kind if kind.is_symlink() => FileKind::Symlink,
            _ => FileKind::Special,
        };
        let attributes = Attributes { mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid() };
        Ok(Some(Found { kind, attributes, size: meta.len() }))
    }

    fn digest(&self, path: &ImagePath) -> Result<Sha256Digest, String> {
        // `look` has found a regular file here, so no link is followed.
        let mut file = self.open(view_path(path)?).map_err(|e| e.to_string())?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read_bytes(&mut buffer).map_err(|e| e.to_string())? {
                0 => return Ok(Sha256Digest::from_hasher(hasher)),
                got => hasher.update(buffer.get(..got).unwrap_or_default()),
            }
        }
    }

    fn target(&self, path: &ImagePath) -> Result<Vec<u8>, String> {
        self.read_link(view_path(path)?).map(|target| target.as_ref().to_vec()).map_err(|e| e.to_string())
    }
}

fn view_path(path: &ImagePath) -> Result<Path<'_>, String> {
    Path::try_from(path.as_bytes()).map_err(|e| format!("{e:?}"))
}

impl Reader {
    fn at(&self, path: &ImagePath) -> Result<Inode, String> {
        self.find(path).map_err(|e| e.to_string())?.ok_or_else(|| "it is not there".to_owned())
    }
}

impl Look for Reader {
    fn look(&self, path: &ImagePath) -> Result<Option<Found>, String> {
        let inode = self.find(path).map_err(|e| e.to_string())?;
        Ok(inode.map(|inode| Found {
            kind: match inode.kind() {
                InodeKind::File => FileKind::File,
                InodeKind::Directory => FileKind::Directory,
                InodeKind::Symlink => FileKind::Symlink,
                InodeKind::Other => FileKind::Special,
            },
            attributes: Reader::attributes(&inode),
            size: inode.size(),
        }))
    }

    fn digest(&self, path: &ImagePath) -> Result<Sha256Digest, String> {
        Reader::digest(self, &self.at(path)?).map_err(|e| e.to_string())
    }

    fn target(&self, path: &ImagePath) -> Result<Vec<u8>, String> {
        Reader::target(self, &self.at(path)?).map_err(|e| e.to_string())
    }
}

fn shown(attributes: &Attributes) -> String {
    format!("mode {:04o}, owner {}:{}", attributes.mode, attributes.uid, attributes.gid)
}

/// Without contents: a file may be a secret.
fn differs(path: &ImagePath, expect: &Expect, found: String) -> RereadError {
    let expected = match expect {
        Expect::Absent => "absent".into(),
        Expect::File { sha256, size, attributes } => {
            format!("a file of {size} bytes, {}, content {sha256}", shown(attributes))
        }
        Expect::Directory { attributes } => format!("a directory, {}", shown(attributes)),
        Expect::Symlink { target } => format!("a link to {}", Printable::of(target)),
        Expect::Attributes { attributes } => shown(attributes),
    };
    RereadError::Differs { path: path.clone(), expected, found }
}

fn unreadable(path: &ImagePath, error: &dyn std::fmt::Display) -> RereadError {
    RereadError::Unreadable { path: path.clone(), said: error.to_string() }
}

struct Source(Arc<dyn ReadAt>);

impl Ext4Read for Source {
    fn read(&mut self, start_byte: u64, dst: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.read_at(ByteOffset(start_byte), dst)?)
    }
}
