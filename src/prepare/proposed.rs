//! What the edits so far make of an image. The view adds to it, and edited trees read it: neither needs the other.

use std::collections::{BTreeMap, BTreeSet};

use super::content::Content;
use super::plan::{Change, Edit, Plan, Volume};
use crate::fs::{Attributes, ImagePath, Tree};

/// An image, and the edits proposed so far with what they say about each path.
pub(super) struct Proposed<'a> {
    root: &'a dyn Tree,
    boot: &'a dyn Tree,
    pub(super) plan: Plan,
    /// What the edits so far say about a settled path.
    known: BTreeMap<(Volume, ImagePath), Known>,
    /// What was removed at some time: what the image holds below it no longer counts, even if the path is made again.
    severed: BTreeSet<(Volume, ImagePath)>,
}

/// What the edits so far say about one settled path.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) node: Node,
    /// Mode and owner, where an edit set them.
    pub(super) attributes: Option<Attributes>,
}

/// What is at a settled path.
#[derive(Clone, Copy)]
pub(super) enum Node {
    /// What the image has there.
    Kept,
    /// Nothing: it, or a directory above it, was removed.
    Gone,
    /// The file that this edit writes.
    File(usize),
    /// A directory, with what the image has in it unless that was removed before.
    Directory,
    /// The symlink that this edit makes.
    Symlink(usize),
}

impl<'a> Proposed<'a> {
    /// An image as it is.
    pub(super) fn new(root: &'a dyn Tree, boot: &'a dyn Tree) -> Proposed<'a> {
        Proposed { root, boot, plan: Plan::default(), known: BTreeMap::new(), severed: BTreeSet::new() }
    }

    /// The image's own file system, without any edit.
    pub(super) fn original(&self, volume: Volume) -> &'a dyn Tree {
        match volume {
            Volume::Root => self.root,
            Volume::Boot => self.boot,
        }
    }

    /// `path` must be settled: only its last component may be a symlink.
    pub(super) fn known(&self, volume: Volume, path: &ImagePath) -> Known {
        match self.known.get(&(volume, path.clone())) {
            Some(known) => *known,
            None if self.is_severed(volume, path) => Known { node: Node::Gone, attributes: None },
            None => Known { node: Node::Kept, attributes: None },
        }
    }

    /// Whether the image's own content of this path was removed, with it or with a directory above it.
    pub(super) fn is_severed(&self, volume: Volume, path: &ImagePath) -> bool {
        let mut at = Some(path.clone());
        while let Some(path) = at {
            at = path.parent();
            if self.severed.contains(&(volume, path)) {
                return true;
            }
        }
        false
    }

    /// Every path in the directory at `path` that an edit says something about.
    pub(super) fn known_in(&self, volume: Volume, path: &ImagePath) -> impl Iterator<Item = &ImagePath> {
        // Paths are ordered as bytes, so everything below `path` follows it, mixed with siblings that share the prefix.
        self.known
            .range((volume, path.clone())..)
            .map(|((of, at), _)| (*of, at))
            .take_while(move |(of, at)| *of == volume && at.as_bytes().starts_with(path.as_bytes()))
            .map(|(_, at)| at)
            .filter(move |at| at.parent().as_ref() == Some(path))
    }

    /// What the edit with this number writes.
    pub(super) fn content(&self, index: usize) -> Option<&Content> {
        match self.change(index) {
            Some(Change::Write { content, .. }) => Some(content),
            _ => None,
        }
    }

    /// Where the symlink that the edit with this number makes leads to.
    pub(super) fn target(&self, index: usize) -> &[u8] {
        match self.change(index) {
            Some(Change::Symlink { target }) => target,
            _ => b"",
        }
    }

    fn change(&self, index: usize) -> Option<&Change> {
        self.plan.edits.get(index).map(|edit| &edit.change)
    }

    /// Adds an edit of a settled path.
    pub(super) fn push(&mut self, edit: Edit) {
        let at = (edit.volume, edit.path.clone());
        let index = self.plan.edits.len();
        let known = match &edit.change {
            Change::Remove => {
                // Earlier edits below it went with it; were they still known, the path would show them when made again.
                self.known.retain(|(volume, path), _| *volume != edit.volume || !path.is_within(&edit.path));
                self.severed.insert(at.clone());
                Known { node: Node::Gone, attributes: None }
            }
            Change::Write { attributes, .. } => Known { node: Node::File(index), attributes: Some(*attributes) },
            Change::Directory { attributes } => Known { node: Node::Directory, attributes: Some(*attributes) },
            Change::Symlink { .. } => Known { node: Node::Symlink(index), attributes: None },
            // Only mode and owner are new: what the path holds stays as the edits before have it.
            Change::Attributes { attributes } => {
                let node = self.known.get(&at).map_or(Node::Kept, |known| known.node);
                Known { node, attributes: Some(*attributes) }
            }
        };
        self.known.insert(at, known);
        self.plan.edits.push(edit);
    }
}
