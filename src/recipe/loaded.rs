//! A recipe that was read and checked, with what is known of its files.

use std::path::{Path, PathBuf};

use super::mistake::Mistake;
use super::schema::Recipe;
use crate::digest::Sha256Digest;

/// A recipe that was checked, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedRecipe {
    /// What it says.
    pub recipe: Recipe,
    /// The file, as it was named.
    pub path: PathBuf,
    /// The directory that its paths count from.
    pub dir: PathBuf,
    /// Digest of the file's bytes.
    pub digest: Sha256Digest,
    /// The recipe that it extends. What that one says is part of `recipe` already.
    pub base: Option<BaseRecipe>,
    /// What is read all the same and should be written otherwise: keys that have another name now.
    pub outdated: Vec<Mistake>,
}

/// A recipe that another one extends.
#[derive(Debug, Clone, PartialEq)]
pub struct BaseRecipe {
    /// The file, as `extends` names it, from the recipe's directory.
    pub path: PathBuf,
    /// Digest of the file's bytes.
    pub digest: Sha256Digest,
}

impl LoadedRecipe {
    /// A path of the recipe as this machine understands it: beside the recipe, unless it is absolute.
    pub fn beside(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.join(path)
    }
}
