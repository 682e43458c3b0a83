//! Small questions that every part of this room asks of a file system.

use crate::fs::{FsError, ImagePath, Tree};

/// The largest text file that is looked into, in bytes: dpkg's status of a desktop image has several MiB.
pub(super) const TEXT_LIMIT: u64 = 16 << 20;

/// The text of a file, links followed; `None` where there is none. One that is too large is an error: what was not read
/// must not look as if it were not there.
pub(super) fn text(tree: &dyn Tree, path: &str) -> Result<Option<String>, FsError> {
    let path = tree.resolve(&ImagePath::new(path)?)?;
    tree.text(&path, TEXT_LIMIT)
}

/// Whether something is at a path, links followed.
pub(super) fn is_there(tree: &dyn Tree, path: &str) -> Result<bool, FsError> {
    let path = tree.resolve(&ImagePath::new(path)?)?;
    Ok(tree.stat(&path)?.is_some())
}
