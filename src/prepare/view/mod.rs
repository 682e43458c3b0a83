//! What a step sees: the image with all edits so far applied, and the pen to propose more.

mod telling;

pub use telling::SETTINGS_LIMIT;

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::fs::clock::Clock;
use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::content::Content;
use crate::prepare::edited_tree::EditedTree;
use crate::prepare::listings::Listings;
use crate::prepare::pattern;
use crate::prepare::plan::{Change, Class, Edit, Plan, Reason, Volume};
use crate::prepare::proposed::Proposed;

/// The root and boot file systems of an image as they would be after the edits proposed so far.
pub struct View<'a> {
    proposed: Proposed<'a>,
    listings: Listings,
    step: &'static str,
    clock: Clock,
    /// What steps wanted to read and did not: which step, and what it says.
    unread: RefCell<BTreeSet<(&'static str, String)>>,
}

impl<'a> View<'a> {
    /// A view of an image with nothing proposed yet, at the beginning of 1970.
    pub fn new(root: &'a dyn Tree, boot: &'a dyn Tree) -> View<'a> {
        View {
            proposed: Proposed::new(root, boot),
            listings: Listings::default(),
            step: "",
            clock: Clock { seconds: 0 },
            unread: RefCell::default(),
        }
    }

    /// From now on, edits and findings belong to this step.
    pub fn enter(&mut self, step: &'static str) {
        self.step = step;
    }

    /// What was proposed, and what was found.
    pub fn into_plan(mut self) -> Plan {
        for (step, text) in self.unread.take() {
            self.enter(step);
            self.warn(text);
        }
        self.proposed.plan
    }

    /// The edits so far.
    pub fn plan(&self) -> &Plan {
        &self.proposed.plan
    }

    /// The root file system, with the edits so far.
    pub fn root(&self) -> EditedTree<'_, 'a> {
        self.tree(Volume::Root)
    }

    /// The boot file system, with the edits so far.
    pub fn boot(&self) -> EditedTree<'_, 'a> {
        self.tree(Volume::Boot)
    }

    /// One of the two, with the edits so far.
    pub fn tree(&self, volume: Volume) -> EditedTree<'_, 'a> {
        EditedTree { proposed: &self.proposed, volume }
    }

    /// One of the two as it is in the image, without any edit.
    pub fn original(&self, volume: Volume) -> &'a dyn Tree {
        self.proposed.original(volume)
    }

    /// What is there now that a [pattern](super::pattern) means, sorted.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub fn find(&self, pattern: &str) -> Result<Vec<ImagePath>, FsError> {
        pattern::find(&self.root(), &self.boot(), &self.listings, pattern)
    }

    /// Folders in which a star of a [pattern](super::pattern) stands for nothing, because a link leads from them to a part
    /// of the system; each with where it leads.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub fn led_astray(&self, pattern: &str) -> Result<Vec<(ImagePath, ImagePath)>, FsError> {
        pattern::led_astray(&self.root(), &self.boot(), &self.listings, pattern)
    }

    /// The same view with this time, for what a file of the image says about when it was changed.
    pub fn at(self, clock: Clock) -> View<'a> {
        View { clock, ..self }
    }

    /// The time of all edits.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Proposes that `path` goes (file, symlink or tree). Returns whether there was anything to remove. Directories on
    /// the way are resolved, the last component is not: removing a symlink removes the link.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub fn remove(&mut self, volume: Volume, path: impl AsRef<[u8]>, reason: Reason) -> Result<bool, FsError> {
        let named = ImagePath::new(path)?;
        let path = self.settle(volume, &named)?;
        if self.tree(volume).stat(&path)?.is_none() || self.is_led_astray(volume, &named, &path) {
            return Ok(false);
        }
        self.push(Edit { volume, path, change: Change::Remove, reason, before: None });
        Ok(true)
    }

    /// Whether a link leads from a place that would be stripped to one that makes up the system: `/var/crash -> /` would
    /// take everything along. Then it is said, and no golden image is made.
    fn is_led_astray(&mut self, volume: Volume, named: &ImagePath, path: &ImagePath) -> bool {
        let parts: Vec<&[u8]> = path.components().collect();
        let is_system = match parts.as_slice() {
            [] | [_] => true,
            [top, _] => ![&b"run"[..], b"tmp", b"mnt", b"media", b"data"].contains(top),
            _ => false,
        };
        let is_led = volume == Volume::Root && named != path && is_system;
        if is_led {
            self.block(format!(
                "{named} leads to {path} by a link: what is there would be stripped, and the system with it. Take the link out \
                 of the base image"
            ));
        }
        is_led
    }

    /// Proposes that everything in a directory goes, and the directory stays as it is. Returns how much there was.
    /// Nothing is proposed where `path` is not a directory.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub fn remove_contents(
        &mut self,
        volume: Volume,
        path: impl AsRef<[u8]>,
        reason: Reason,
    ) -> Result<usize, FsError> {
        let named = ImagePath::new(path)?;
        let path = self.tree(volume).resolve(&named)?;
        if self.tree(volume).stat(&path)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
            return Ok(0);
        }
        if named != path && !may_be_cleared(&named, &path) {
            self.block(format!(
                "{named} is a link to {path}: what is there would be cleared, and it is no place for such files. Take the link out of \
                 the base image"
            ));
            return Ok(0);
        }
        let entries = self.tree(volume).list(&path)?;
        for entry in &entries {
            self.remove(volume, path.join(&entry.name)?, reason.clone())?;
        }
        Ok(entries.len())
    }

    /// Proposes a file with these bytes. Missing parent directories are proposed too (0755 root). Nothing is proposed
    /// where the file already is exactly that. Returns whether there is an edit.
    ///
    /// # Errors
    /// Where the image cannot be read, or a parent is no directory.
    pub fn write(
        &mut self,
        volume: Volume,
        path: impl AsRef<[u8]>,
        content: Content,
        attributes: Attributes,
        reason: Reason,
    ) -> Result<bool, FsError> {
        const DIFF_LIMIT: u64 = 1 << 20;
        let path = self.settle(volume, &ImagePath::new(path)?)?;
        self.parents(volume, &path, &reason)?;
        // Read before the edit joins the others, for a diff; a file too large for a person to compare has none.
        let before = match (self.tree(volume).stat(&path)?, &content) {
            (Some(stat), Content::Bytes(bytes)) if stat.kind == FileKind::File && stat.size <= DIFF_LIMIT => {
                let old = self.tree(volume).read(&path, DIFF_LIMIT)?;
                if old == *bytes && (stat.attributes == attributes || volume == Volume::Boot) {
                    return Ok(false);
                }
                may_be_shown(reason.class).then_some(old)
            }
            (Some(stat), _) if stat.kind == FileKind::Directory => {
                return Err(FsError::WrongKind { path, expected: "a regular file" });
            }
            _ => None,
        };
        self.push(Edit { volume, path, change: Change::Write { content, attributes }, reason, before });
        Ok(true)
    }

    /// Proposes that a regular file loses what it holds; mode and owner stay. Returns whether it held anything.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub fn empty(&mut self, volume: Volume, path: impl AsRef<[u8]>, reason: Reason) -> Result<bool, FsError> {
        let path = ImagePath::new(path)?;
        match self.tree(volume).stat(&path)? {
            Some(stat) if stat.kind == FileKind::File && stat.size > 0 => {
                self.write(volume, path, Content::Bytes(Vec::new()), stat.attributes, reason)
            }
            _ => Ok(false),
        }
    }

    /// Proposes a symlink, with missing parents; nothing where it already is that.
    ///
    /// # Errors
    /// As [`View::write`].
    pub fn symlink(
        &mut self,
        path: impl AsRef<[u8]>,
        target: impl AsRef<[u8]>,
        reason: Reason,
    ) -> Result<bool, FsError> {
        let target = target.as_ref();
        let path = self.settle(Volume::Root, &ImagePath::new(path)?)?;
        self.parents(Volume::Root, &path, &reason)?;
        if let Some(stat) = self.root().stat(&path)? {
            if stat.kind == FileKind::Symlink && self.root().read_link(&path)? == target {
                return Ok(false);
            }
            if stat.kind == FileKind::Directory {
                return Err(FsError::WrongKind { path, expected: "a symbolic link" });
            }
        }
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
        path: impl AsRef<[u8]>,
        attributes: Attributes,
        reason: Reason,
    ) -> Result<bool, FsError> {
        let path = self.settle(volume, &ImagePath::new(path)?)?;
        self.parents(volume, &path, &reason)?;
        match self.tree(volume).stat(&path)? {
            Some(stat) if stat.kind != FileKind::Directory => {
                return Err(FsError::WrongKind { path, expected: "a directory" });
            }
            Some(stat) if stat.attributes == attributes || volume == Volume::Boot => return Ok(false),
            _ => {}
        }
        self.push(Edit { volume, path, change: Change::Directory { attributes }, reason, before: None });
        Ok(true)
    }

    /// Proposes another mode or owner; nothing where they are so already.
    ///
    /// # Errors
    /// [`FsError::NotFound`].
    pub fn attributes(
        &mut self,
        path: impl AsRef<[u8]>,
        attributes: Attributes,
        reason: Reason,
    ) -> Result<bool, FsError> {
        let path = self.settle(Volume::Root, &ImagePath::new(path)?)?;
        let Some(stat) = self.root().stat(&path)? else {
            return Err(FsError::NotFound { volume: "root", path });
        };
        if stat.attributes == attributes {
            return Ok(false);
        }
        self.push(Edit { volume: Volume::Root, path, change: Change::Attributes { attributes }, reason, before: None });
        Ok(true)
    }

    fn parents(&mut self, volume: Volume, path: &ImagePath, reason: &Reason) -> Result<(), FsError> {
        let mut missing = Vec::new();
        let mut at = path.parent();
        while let Some(directory) = at {
            match self.tree(volume).stat(&directory)? {
                Some(stat) if stat.kind == FileKind::Directory => break,
                Some(_) => return Err(FsError::WrongKind { path: directory, expected: "a directory" }),
                None => {
                    at = directory.parent();
                    missing.push(directory);
                }
            }
        }
        for directory in missing.into_iter().rev() {
            let reason = Reason { text: format!("holds {path}").into(), ..reason.clone() };
            let change = Change::Directory { attributes: Attributes::root(0o755) };
            self.push(Edit { volume, path: directory, change, reason, before: None });
        }
        Ok(())
    }

    fn push(&mut self, edit: Edit) {
        let reason = Reason { step: self.step, ..edit.reason };
        self.listings.forget();
        self.proposed.push(Edit { reason, ..edit });
    }

    fn settle(&self, volume: Volume, path: &ImagePath) -> Result<ImagePath, FsError> {
        self.tree(volume).settle(path)
    }
}

/// Whether a directory that is a link may be cleared where it leads: among temporary files, or to a directory of the same
/// name on another disk. `/tmp -> /` would take the whole system along.
fn may_be_cleared(named: &ImagePath, path: &ImagePath) -> bool {
    let is_temporary = ["/tmp", "/var/tmp", "/run"]
        .iter()
        .any(|place| ImagePath::new(place).is_ok_and(|place| path.is_within(&place)));
    is_temporary
        || (path.components().count() > 1 && path.name() == named.name() && !path.as_bytes().starts_with(b"/usr/"))
}

/// Whether a plan may show what a file of this class held before: the others are stripped because nobody may see them.
fn may_be_shown(class: Class) -> bool {
    matches!(class, Class::Configuration | Class::Privilege | Class::Code)
}
