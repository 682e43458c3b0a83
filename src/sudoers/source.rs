//! Where sudoers files come from.

use crate::fs::{FileKind, FsError, ImagePath, Tree};

/// A file as `stat` and `read` show it, with symlinks followed.
#[derive(Debug, Clone)]
pub struct SudoersFile {
    /// Where it really is.
    pub path: Vec<u8>,
    /// It is a regular file; sudo reads nothing else.
    pub regular: bool,
    /// What it holds; empty where it is not regular.
    pub content: Vec<u8>,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u16,
}

/// A directory as `stat` and `readdir` show it.
#[derive(Debug, Clone)]
pub struct SudoersDirectory {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u16,
    /// The names in it, in any order.
    pub names: Vec<Vec<u8>>,
}

/// Looks at files by absolute path, `..` and symlinks resolved as the kernel would.
pub trait SudoersFiles {
    /// What can go wrong besides "it is not there".
    type Error;

    /// The file, or `None` where nothing is there.
    ///
    /// # Errors
    /// Where the file system cannot be read, or the file is absurdly large.
    fn file(&self, path: &[u8]) -> Result<Option<SudoersFile>, Self::Error>;

    /// The directory, or `None` where no directory is there.
    ///
    /// # Errors
    /// As [`SudoersFiles::file`].
    fn directory(&self, path: &[u8]) -> Result<Option<SudoersDirectory>, Self::Error>;
}

/// [`SudoersFiles`] over a file system of an image.
pub struct TreeFiles<'a>(pub &'a dyn Tree);

/// A sudoers file larger than this is no sudoers file (sudo itself has no limit; 1 MiB is about 10,000 rules). Also the
/// limit for binaries whose digest a rule asks for, which is why it is not smaller.
const LARGEST_FILE: u64 = 16 << 20;

impl TreeFiles<'_> {
    fn settle(&self, path: &[u8]) -> Result<ImagePath, FsError> {
        let mut at = ImagePath::root();
        for component in path.split(|&b| b == b'/') {
            at = match component {
                b"" | b"." => continue,
                b".." => at.parent().unwrap_or_else(ImagePath::root),
                name => self.0.resolve(&at.join(name)?)?,
            };
        }
        Ok(at)
    }
}

impl SudoersFiles for TreeFiles<'_> {
    type Error = FsError;

    fn file(&self, path: &[u8]) -> Result<Option<SudoersFile>, FsError> {
        let at = match self.settle(path) {
            Err(FsError::LinkLoop { .. } | FsError::Path(_)) => return Ok(None),
            settled => settled?,
        };
        let Some(stat) = self.0.stat(&at)? else { return Ok(None) };
        let regular = stat.kind == FileKind::File;
        Ok(Some(SudoersFile {
            content: if regular { self.0.read(&at, LARGEST_FILE)? } else { Vec::new() },
            path: at.as_bytes().to_vec(),
            regular,
            uid: stat.attributes.uid,
            gid: stat.attributes.gid,
            mode: stat.attributes.mode,
        }))
    }

    fn directory(&self, path: &[u8]) -> Result<Option<SudoersDirectory>, FsError> {
        let at = match self.settle(path) {
            Err(FsError::LinkLoop { .. } | FsError::Path(_)) => return Ok(None),
            settled => settled?,
        };
        match self.0.stat(&at)? {
            Some(stat) if stat.kind == FileKind::Directory => Ok(Some(SudoersDirectory {
                uid: stat.attributes.uid,
                gid: stat.attributes.gid,
                mode: stat.attributes.mode,
                names: self.0.list(&at)?.into_iter().map(|entry| entry.name).collect(),
            })),
            _ => Ok(None),
        }
    }
}
