//! What a step sees: the image with all edits so far applied, and the pen to propose more.

use std::collections::BTreeMap;

use super::plan::{Change, Class, Content, Edit, Finding, Plan, Reason, Severity, Volume};
use crate::fs::{Attributes, Entry, FileKind, FsError, ImagePath, Stat, Tree};

/// The root and boot file systems of an image as they would be after the edits proposed so far.
pub struct View<'a> {
    root: &'a dyn Tree,
    boot: &'a dyn Tree,
    plan: Plan,
    step: &'static str,
    // (volume, path) -> index of the edit that has the last word on that path.
    last: BTreeMap<(Volume, ImagePath), usize>,
}

/// A read-only side of a [`View`].
pub struct Side<'v, 'a> {
    view: &'v View<'a>,
    volume: Volume,
}

impl<'a> View<'a> {
    /// A view of an image with nothing proposed yet.
    pub fn new(root: &'a dyn Tree, boot: &'a dyn Tree) -> View<'a> {
        View { root, boot, plan: Plan::default(), step: "", last: BTreeMap::new() }
    }

    /// From now on, edits and findings belong to this step.
    pub fn enter(&mut self, step: &'static str) {
        self.step = step;
    }

    /// What was proposed.
    pub fn into_plan(self) -> Plan {
        self.plan
    }

    /// The edits so far.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The root file system, with the edits so far.
    pub fn root(&self) -> Side<'_, 'a> {
        Side { view: self, volume: Volume::Root }
    }

    /// The boot file system, with the edits so far.
    pub fn boot(&self) -> Side<'_, 'a> {
        Side { view: self, volume: Volume::Boot }
    }

    /// One side, by name.
    pub fn side(&self, volume: Volume) -> Side<'_, 'a> {
        Side { view: self, volume }
    }

    /// A reason of the current step.
    pub fn reason(
        &self,
        class: Class,
        text: impl Into<std::borrow::Cow<'static, str>>,
        source: &'static str,
    ) -> Reason {
        Reason { step: self.step, class, text: text.into(), source: source.into() }
    }

    /// Says something without changing anything.
    pub fn note(&mut self, text: impl Into<String>) {
        self.plan.findings.push(Finding { step: self.step, severity: Severity::Note, text: text.into() });
    }

    /// Says something that a person should look at.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.plan.findings.push(Finding { step: self.step, severity: Severity::Warning, text: text.into() });
    }

    /// Proposes that `path` goes (file, symlink or tree). Returns whether there was anything to remove. Directories on
    /// the way are resolved, the last component is not: removing a symlink removes the link.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub fn remove(
        &mut self,
        volume: Volume,
        path: &ImagePath,
        class: Class,
        why: impl Into<std::borrow::Cow<'static, str>>,
        source: &'static str,
    ) -> Result<bool, FsError> {
        let path = self.settle(volume, path)?;
        if self.side(volume).stat(&path)?.is_none() {
            return Ok(false);
        }
        let reason = self.reason(class, why, source);
        self.push(Edit { volume, path, change: Change::Remove, reason, before: None });
        Ok(true)
    }

    /// Proposes a file with these bytes. Missing parent directories are proposed too (0755 root). Nothing is proposed
    /// where the file already is exactly that. Returns whether there is an edit.
    ///
    /// # Errors
    /// Where the image cannot be read, or a parent is no directory.
    pub fn write(
        &mut self,
        volume: Volume,
        path: &ImagePath,
        content: Content,
        attributes: Attributes,
        class: Class,
        why: impl Into<std::borrow::Cow<'static, str>>,
        source: &'static str,
    ) -> Result<bool, FsError> {
        const DIFF_LIMIT: u64 = 1 << 20;
        let path = self.settle(volume, path)?;
        let why = why.into();
        self.parents(volume, &path, class, source)?;
        let before = match (self.side(volume).stat(&path)?, &content) {
            (Some(stat), Content::Bytes(bytes)) if stat.kind == FileKind::File && stat.size <= DIFF_LIMIT => {
                let old = self.side(volume).read(&path, DIFF_LIMIT)?;
                if old == *bytes && (stat.attributes == attributes || volume == Volume::Boot) {
                    return Ok(false);
                }
                Some(old)
            }
            (Some(stat), _) if stat.kind == FileKind::Directory => {
                return Err(FsError::WrongKind { path, expected: "a regular file" });
            }
            _ => None,
        };
        let reason = self.reason(class, why, source);
        self.push(Edit { volume, path, change: Change::Write { content, attributes }, reason, before });
        Ok(true)
    }

    /// Proposes a symlink, with missing parents; nothing where it already is that.
    ///
    /// # Errors
    /// As [`View::write`].
    pub fn symlink(
        &mut self,
        path: &ImagePath,
        target: &str,
        class: Class,
        why: impl Into<std::borrow::Cow<'static, str>>,
        source: &'static str,
    ) -> Result<bool, FsError> {
        let path = self.settle(Volume::Root, path)?;
        self.parents(Volume::Root, &path, class, source)?;
        if let Some(stat) = self.root().stat(&path)? {
            if stat.kind == FileKind::Symlink && self.root().read_link(&path)? == target.as_bytes() {
                return Ok(false);
            }
            if stat.kind == FileKind::Directory {
                return Err(FsError::WrongKind { path, expected: "a symbolic link" });
            }
        }
        let reason = self.reason(class, why, source);
        self.push(Edit {
            volume: Volume::Root,
            path,
            change: Change::Symlink { target: target.into() },
            reason,
            before: None,
        });
        Ok(true)
    }

    /// Proposes a directory, with missing parents; nothing where it already is that.
    ///
    /// # Errors
    /// As [`View::write`].
    pub fn directory(
        &mut self,
        volume: Volume,
        path: &ImagePath,
        attributes: Attributes,
        class: Class,
        why: impl Into<std::borrow::Cow<'static, str>>,
        source: &'static str,
    ) -> Result<bool, FsError> {
        let path = self.settle(volume, path)?;
        self.parents(volume, &path, class, source)?;
        match self.side(volume).stat(&path)? {
            Some(stat) if stat.kind != FileKind::Directory => {
                return Err(FsError::WrongKind { path, expected: "a directory" });
            }
            Some(stat) if stat.attributes == attributes || volume == Volume::Boot => return Ok(false),
            _ => {}
        }
        let reason = self.reason(class, why, source);
        self.push(Edit { volume, path, change: Change::Directory { attributes }, reason, before: None });
        Ok(true)
    }

    /// Proposes another mode or owner; nothing where they are so already.
    ///
    /// # Errors
    /// [`FsError::NotFound`].
    pub fn attributes(
        &mut self,
        path: &ImagePath,
        attributes: Attributes,
        class: Class,
        why: impl Into<std::borrow::Cow<'static, str>>,
        source: &'static str,
    ) -> Result<bool, FsError> {
        let path = self.settle(Volume::Root, path)?;
        let Some(stat) = self.root().stat(&path)? else {
            return Err(FsError::NotFound { volume: "root", path });
        };
        if stat.attributes == attributes {
            return Ok(false);
        }
        let reason = self.reason(class, why, source);
        self.push(Edit { volume: Volume::Root, path, change: Change::Attributes { attributes }, reason, before: None });
        Ok(true)
    }

    fn parents(&mut self, volume: Volume, path: &ImagePath, class: Class, source: &'static str) -> Result<(), FsError> {
        let mut missing = Vec::new();
        let mut at = path.parent();
        while let Some(directory) = at {
            match self.side(volume).stat(&directory)? {
                Some(stat) if stat.kind == FileKind::Directory => break,
                Some(_) => return Err(FsError::WrongKind { path: directory, expected: "a directory" }),
                None => {
                    at = directory.parent();
                    missing.push(directory);
                }
            }
        }
        for directory in missing.into_iter().rev() {
            let reason = self.reason(class, format!("holds {path}"), source);
            let change = Change::Directory { attributes: Attributes::root(0o755) };
            self.push(Edit { volume, path: directory, change, reason, before: None });
        }
        Ok(())
    }

    /// Directories resolved, last component as it is.
    fn settle(&self, volume: Volume, path: &ImagePath) -> Result<ImagePath, FsError> {
        match (path.parent(), path.name()) {
            (Some(parent), Some(name)) => Ok(self.side(volume).resolve(&parent)?.join(name)?),
            _ => Ok(path.clone()),
        }
    }

    fn push(&mut self, edit: Edit) {
        if matches!(edit.change, Change::Remove) {
            let gone = edit.path.clone();
            self.last.retain(|(volume, path), _| *volume != edit.volume || !path.is_within(&gone));
        }
        self.last.insert((edit.volume, edit.path.clone()), self.plan.edits.len());
        self.plan.edits.push(edit);
    }
}

enum Pending<'v> {
    /// The image itself has the word.
    Untouched,
    /// It, or a directory above it, was removed.
    Gone,
    /// An edit says what is there.
    Is(&'v Change),
}

impl Side<'_, '_> {
    fn tree(&self) -> &dyn Tree {
        match self.volume {
            Volume::Root => self.view.root,
            Volume::Boot => self.view.boot,
        }
    }

    fn edit(&self, path: &ImagePath) -> Option<&Change> {
        let index = self.view.last.get(&(self.volume, path.clone()))?;
        self.view.plan.edits.get(*index).map(|edit| &edit.change)
    }

    /// `path` must be settled: only its last component may be a symlink.
    fn pending(&self, path: &ImagePath) -> Pending<'_> {
        if let Some(change) = self.edit(path) {
            return if matches!(change, Change::Remove) { Pending::Gone } else { Pending::Is(change) };
        }
        let mut above = path.parent();
        while let Some(directory) = above {
            // A directory that was removed, or replaced by something else, takes what it held with it. One that was
            // removed and made again keeps only what was proposed afterwards, which the lookup above has found.
            if self.view.plan.edits.iter().any(|edit| {
                edit.volume == self.volume
                    && edit.path == directory
                    && !matches!(edit.change, Change::Directory { .. } | Change::Attributes { .. })
            }) {
                return Pending::Gone;
            }
            above = directory.parent();
        }
        Pending::Untouched
    }

    fn lstat(&self, path: &ImagePath) -> Result<Option<Stat>, FsError> {
        let made = |kind, attributes, size| Stat { kind, attributes, size, modified: 0, links: 1, protected: false };
        Ok(match self.pending(path) {
            Pending::Untouched => self.tree().stat(path)?,
            Pending::Gone => None,
            Pending::Is(Change::Write { content, attributes }) => {
                Some(made(FileKind::File, *attributes, content.size()))
            }
            Pending::Is(Change::Directory { attributes }) => Some(made(FileKind::Directory, *attributes, 0)),
            Pending::Is(Change::Symlink { target }) => {
                Some(made(FileKind::Symlink, Attributes::root(0o777), target.len() as u64))
            }
            Pending::Is(Change::Attributes { attributes }) => {
                self.tree().stat(path)?.map(|stat| Stat { attributes: *attributes, ..stat })
            }
            Pending::Is(Change::Remove) => None,
        })
    }

    fn link(&self, path: &ImagePath) -> Result<Vec<u8>, FsError> {
        match self.pending(path) {
            Pending::Is(Change::Symlink { target }) => Ok(target.clone()),
            Pending::Untouched | Pending::Is(Change::Attributes { .. }) => self.tree().read_link(path),
            _ => Err(FsError::WrongKind { path: path.clone(), expected: "a symbolic link" }),
        }
    }

    fn settled(&self, path: &ImagePath) -> Result<ImagePath, FsError> {
        self.view.settle(self.volume, path)
    }
}

impl Tree for Side<'_, '_> {
    fn volume(&self) -> &'static str {
        self.tree().volume()
    }

    fn stat(&self, path: &ImagePath) -> Result<Option<Stat>, FsError> {
        self.lstat(&self.settled(path)?)
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
        let path = self.settled(path)?;
        let missing = || FsError::NotFound { volume: self.volume(), path: path.clone() };
        match self.pending(&path) {
            Pending::Untouched | Pending::Is(Change::Attributes { .. }) => self.tree().read(&path, limit),
            Pending::Is(Change::Write { content, .. }) => content.read(&path, limit),
            Pending::Gone => Err(missing()),
            Pending::Is(_) => Err(FsError::WrongKind { path: path.clone(), expected: "a regular file" }),
        }
    }

    fn read_part(&self, path: &ImagePath, offset: u64, buf: &mut [u8]) -> Result<usize, FsError> {
        const PROPOSED_LIMIT: u64 = 64 << 20;
        let path = self.settled(path)?;
        if let Pending::Untouched | Pending::Is(Change::Attributes { .. }) = self.pending(&path) {
            return self.tree().read_part(&path, offset, buf);
        }
        let whole = self.read(&path, PROPOSED_LIMIT)?;
        let rest = usize::try_from(offset).ok().and_then(|at| whole.get(at..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(n)
    }

    fn list(&self, path: &ImagePath) -> Result<Vec<Entry>, FsError> {
        let path = self.settled(path)?;
        let mut entries: BTreeMap<Vec<u8>, FileKind> = match self.pending(&path) {
            Pending::Untouched | Pending::Is(Change::Attributes { .. }) => {
                self.tree().list(&path)?.into_iter().map(|entry| (entry.name, entry.kind)).collect()
            }
            Pending::Is(Change::Directory { .. }) => match self.removed_before(&path) {
                false if self.tree().stat(&path)?.is_some() => {
                    self.tree().list(&path)?.into_iter().map(|entry| (entry.name, entry.kind)).collect()
                }
                _ => BTreeMap::new(),
            },
            Pending::Gone => return Err(FsError::NotFound { volume: self.volume(), path }),
            Pending::Is(_) => return Err(FsError::WrongKind { path, expected: "a directory" }),
        };
        for (volume, at) in self.view.last.keys() {
            if *volume != self.volume || at.parent().as_ref() != Some(&path) {
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
        self.link(&self.settled(path)?)
    }
}

impl Side<'_, '_> {
    fn removed_before(&self, path: &ImagePath) -> bool {
        self.view.plan.edits.iter().any(|edit| {
            edit.volume == self.volume && path.is_within(&edit.path) && matches!(edit.change, Change::Remove)
        })
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

    /// The content as text, for finding out which lines of an old file stay. Empty for a file of this machine.
    pub fn shown_lossily(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Content::Bytes(bytes) => String::from_utf8_lossy(bytes),
            Content::Secret(_) | Content::HostFile { .. } => "".into(),
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
