//! Small questions that every part of this room asks of a file system.

use std::cell::RefCell;

use crate::fs::{FsError, ImagePath, Tree};

/// The largest text file that is looked into, in bytes: dpkg's status of a desktop image has several MiB.
pub(super) const TEXT_LIMIT: u64 = 16 << 20;

/// A file system that is looked at, and which of its files were too large to be read.
pub(super) struct Looks<'a> {
    pub(super) tree: &'a dyn Tree,
    unread: RefCell<Vec<String>>,
}

impl<'a> Looks<'a> {
    pub(super) fn at(tree: &'a dyn Tree) -> Looks<'a> {
        Looks { tree, unread: RefCell::default() }
    }

    /// The text of a file, links followed; `None` where there is none, or where it is too large to be what was meant.
    pub(super) fn text(&self, path: &str) -> Result<Option<String>, FsError> {
        let path = self.tree.resolve(&ImagePath::new(path)?)?;
        match self.tree.text(&path, TEXT_LIMIT) {
            // Not an error: one odd file must not keep the rest from being shown.
            Err(FsError::TooLarge { path, .. }) => {
                self.unread.borrow_mut().push(path.to_string());
                Ok(None)
            }
            other => other,
        }
    }

    /// Whether something is at a path, links followed.
    pub(super) fn is_there(&self, path: &str) -> Result<bool, FsError> {
        let path = self.tree.resolve(&ImagePath::new(path)?)?;
        Ok(self.tree.stat(&path)?.is_some())
    }

    /// The files that were too large to be read.
    pub(super) fn into_unread(self) -> Vec<String> {
        self.unread.into_inner()
    }
}
