//! Directories as they are with the edits so far, each read once until the next edit: hundreds of rules ask for thousands of
//! paths, most of which are not there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::plan::Volume;
use crate::fs::{Entry, FileKind, FsError, ImagePath, Tree};

/// A directory without links in its path, and what is in it, sorted by name.
pub(super) struct Directory {
    pub(super) at: ImagePath,
    pub(super) entries: Vec<Entry>,
}

impl Directory {
    /// Whether something has this name.
    pub(super) fn holds(&self, name: &[u8]) -> bool {
        self.entries.binary_search_by(|entry| entry.name.as_slice().cmp(name)).is_ok()
    }
}

/// `None` where a path leads to no directory.
pub(super) type Listing = Option<Rc<Directory>>;

/// The directories that were read, and the homes.
#[derive(Default)]
pub(super) struct Listings {
    known: RefCell<HashMap<(Volume, ImagePath), Listing>>,
    homes: RefCell<Option<Rc<[ImagePath]>>>,
}

impl Listings {
    /// Nothing is known any more: an edit was proposed. It may be anywhere, for links lead elsewhere, and edits are few.
    pub(super) fn forget(&self) {
        self.known.borrow_mut().clear();
        self.homes.borrow_mut().take();
    }

    /// What is in a directory; links in its path, and itself where it is one, are followed.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub(super) fn of(&self, tree: &dyn Tree, volume: Volume, path: &ImagePath) -> Result<Listing, FsError> {
        let key = (volume, path.clone());
        if let Some(listing) = self.known.borrow().get(&key) {
            return Ok(listing.clone());
        }
        let listing = read(tree, path)?;
        self.known.borrow_mut().insert(key, listing.clone());
        Ok(listing)
    }

    /// The homes, looked for with `find` the first time.
    ///
    /// # Errors
    /// Those of `find`.
    pub(super) fn homes(
        &self,
        find: impl FnOnce() -> Result<Vec<ImagePath>, FsError>,
    ) -> Result<Rc<[ImagePath]>, FsError> {
        if let Some(homes) = self.homes.borrow().as_ref() {
            return Ok(homes.clone());
        }
        let homes: Rc<[ImagePath]> = find()?.into();
        *self.homes.borrow_mut() = Some(homes.clone());
        Ok(homes)
    }
}

fn read(tree: &dyn Tree, path: &ImagePath) -> Result<Listing, FsError> {
    let at = match tree.resolve(path) {
        Ok(at) => at,
        // Links in a circle lead to nothing, and are nobody's secret.
        Err(FsError::LinkLoop { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    if tree.stat(&at)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
        return Ok(None);
    }
    let mut entries = tree.list(&at)?;
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(Some(Rc::new(Directory { at, entries })))
}
