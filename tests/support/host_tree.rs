//! A directory of this machine as a file system of an image, for tests of steps: other people's tools can look at it.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cardsmith::fs::tree::resolve_with;
use cardsmith::fs::{Attributes, Entry, FileKind, FsError, HardLinks, ImagePath, Stat, Tree, TreeMut};
use cardsmith::golden::apply::apply;
use cardsmith::prepare::{Plan, Step, StepError, View};

/// A directory that vanishes with it.
pub struct HostTree {
    dir: tempfile::TempDir,
    volume: &'static str,
}

/// The path of a literal.
pub fn at(path: &str) -> ImagePath {
    ImagePath::new(path).unwrap()
}

impl HostTree {
    pub fn root() -> HostTree {
        HostTree { dir: tempfile::tempdir().unwrap(), volume: "root" }
    }

    pub fn boot() -> HostTree {
        HostTree { dir: tempfile::tempdir().unwrap(), volume: "boot" }
    }

    /// Where it is on this machine.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The place of an absolute path, on this machine.
    pub fn host(&self, path: &str) -> PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    /// The same for a path that need not be UTF-8.
    pub fn host_bytes(&self, path: &[u8]) -> PathBuf {
        self.dir.path().join(std::ffi::OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)))
    }

    /// As [`HostTree::file`], for a name that need not be UTF-8.
    pub fn file_bytes(&self, path: &[u8], mode: u32, content: impl AsRef<[u8]>) -> &HostTree {
        let place = self.host_bytes(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, content).unwrap();
        fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Makes a file with its directories. Returns itself, to be chained.
    pub fn file(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> &HostTree {
        let place = self.host(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, content).unwrap();
        fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    pub fn link(&self, path: &str, target: &str) -> &HostTree {
        let place = self.host(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink(target, place).unwrap();
        self
    }

    /// Another name of a file that is there.
    pub fn hard_link(&self, path: &str, of: &str) -> &HostTree {
        let place = self.host(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::hard_link(self.host(of), place).unwrap();
        self
    }

    pub fn directory(&self, path: &str) -> &HostTree {
        fs::create_dir_all(self.host(path)).unwrap();
        self
    }

    /// The text of a file; `None` where none is.
    pub fn text_of(&self, path: &str) -> Option<String> {
        fs::read(self.host(path)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    pub fn has(&self, path: &str) -> bool {
        self.host(path).symlink_metadata().is_ok()
    }

    pub fn mode(&self, path: &str) -> u32 {
        self.host(path).symlink_metadata().unwrap().mode() & 0o7777
    }

    /// Every path below it, as find(1) says, sorted.
    pub fn paths(&self) -> Vec<String> {
        let out = std::process::Command::new("find").arg(".").current_dir(self.path()).output().unwrap();
        let mut paths: Vec<String> =
            String::from_utf8_lossy(&out.stdout).lines().map(|line| line[1..].to_owned()).collect();
        paths.sort();
        paths
    }

    fn settle(&self, path: &ImagePath) -> Result<PathBuf, FsError> {
        let settled = match (path.parent(), path.name()) {
            (Some(parent), Some(name)) => self.resolve(&parent)?.join(name)?,
            _ => path.clone(),
        };
        let below = std::ffi::OsStr::from_bytes(&settled.as_bytes()[1..]);
        Ok(self.dir.path().join(below))
    }

    fn missing(&self, path: &ImagePath) -> FsError {
        FsError::NotFound { volume: self.volume, path: path.clone() }
    }
}

/// Carries out a plan on both trees, as cardsmith does.
pub fn carry_out(plan: &Plan, root: &HostTree, boot: &HostTree) {
    apply(plan, root, boot).unwrap();
}

impl Tree for HostTree {
    fn volume(&self) -> &'static str {
        self.volume
    }

    fn stat(&self, path: &ImagePath) -> Result<Option<Stat>, FsError> {
        let Ok(meta) = self.settle(path)?.symlink_metadata() else { return Ok(None) };
        let kind = match meta.file_type() {
            kind if kind.is_symlink() => FileKind::Symlink,
            kind if kind.is_dir() => FileKind::Directory,
            kind if kind.is_file() => FileKind::File,
            _ => FileKind::Special,
        };
        let attributes = Attributes { mode: (meta.mode() & 0o7777) as u16, uid: meta.uid(), gid: meta.gid() };
        let (size, modified, links, inode) = (meta.len(), meta.mtime(), meta.nlink() as u32, meta.ino() as u32);
        Ok(Some(Stat { kind, attributes, size, modified, links, inode, protected: false }))
    }

    fn resolve(&self, path: &ImagePath) -> Result<ImagePath, FsError> {
        resolve_with(path, &|at| {
            let place = self.dir.path().join(std::ffi::OsStr::from_bytes(&at.as_bytes()[1..]));
            Ok(fs::read_link(place).ok().map(|target| target.into_os_string().into_vec()))
        })
    }

    fn read(&self, path: &ImagePath, limit: u64) -> Result<Vec<u8>, FsError> {
        let stat = self.stat(path)?.ok_or_else(|| self.missing(path))?;
        if stat.kind != FileKind::File {
            return Err(FsError::WrongKind { path: path.clone(), expected: "a regular file" });
        }
        if stat.size > limit {
            return Err(FsError::TooLarge { path: path.clone(), size: stat.size, limit });
        }
        Ok(fs::read(self.settle(path)?).unwrap())
    }

    fn read_part(&self, path: &ImagePath, offset: u64, buf: &mut [u8]) -> Result<usize, FsError> {
        Ok(fs::File::open(self.settle(path)?).unwrap().read_at(buf, offset).unwrap())
    }

    fn list(&self, path: &ImagePath) -> Result<Vec<Entry>, FsError> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.settle(path)?).map_err(|_| self.missing(path))? {
            let name = entry.unwrap().file_name().into_vec();
            let kind = self.stat(&path.join(&name)?)?.unwrap().kind;
            entries.push(Entry { name, kind });
        }
        entries.sort();
        Ok(entries)
    }

    fn read_link(&self, path: &ImagePath) -> Result<Vec<u8>, FsError> {
        let target = fs::read_link(self.settle(path)?).map_err(|_| self.missing(path))?;
        Ok(target.into_os_string().into_vec())
    }

    fn hard_links(&self) -> Result<HardLinks, FsError> {
        let mut found = HardLinks::new();
        self.names_below(&ImagePath::root(), &mut found);
        found.retain(|_, names| names.len() > 1);
        Ok(found)
    }
}

impl HostTree {
    fn names_below(&self, directory: &ImagePath, found: &mut HardLinks) {
        for entry in self.list(directory).unwrap() {
            let path = directory.join(&entry.name).unwrap();
            match entry.kind {
                FileKind::Directory => self.names_below(&path, found),
                FileKind::File => found.entry(self.stat(&path).unwrap().unwrap().inode).or_default().push(path),
                _ => {}
            }
        }
    }
}

impl TreeMut for HostTree {
    fn write_file(&self, path: &ImagePath, attributes: Attributes, content: &mut dyn Read) -> Result<(), FsError> {
        let place = self.settle(path)?;
        let _ = fs::remove_file(&place);
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).unwrap();
        fs::write(&place, bytes).unwrap();
        self.set_attributes(path, attributes)
    }

    fn make_directory(&self, path: &ImagePath, attributes: Attributes) -> Result<(), FsError> {
        let place = self.settle(path)?;
        if !place.is_dir() {
            fs::create_dir(&place).unwrap();
        }
        self.set_attributes(path, attributes)
    }

    fn make_symlink(&self, path: &ImagePath, target: &[u8]) -> Result<(), FsError> {
        let place = self.settle(path)?;
        let _ = fs::remove_file(&place);
        symlink(std::ffi::OsStr::from_bytes(target), place).unwrap();
        Ok(())
    }

    fn remove(&self, path: &ImagePath) -> Result<(), FsError> {
        let place = self.settle(path)?;
        match place.symlink_metadata() {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(place).unwrap(),
            Ok(_) => fs::remove_file(place).unwrap(),
            Err(_) => {}
        }
        Ok(())
    }

    fn set_attributes(&self, path: &ImagePath, attributes: Attributes) -> Result<(), FsError> {
        // Owners need root; without it tests look at modes only.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(self.settle(path)?, Some(attributes.uid), Some(attributes.gid)).unwrap();
        }
        fs::set_permissions(self.settle(path)?, fs::Permissions::from_mode(attributes.mode.into())).unwrap();
        Ok(())
    }

    fn sync(&self) -> Result<(), FsError> {
        Ok(())
    }
}

/// What a step proposes for these two trees.
pub fn proposed(step: &dyn Step, root: &HostTree, boot: &HostTree) -> Result<Plan, StepError> {
    let mut view = View::new(root, boot);
    view.enter(step.name());
    step.propose(&mut view)?;
    Ok(view.into_plan())
}
