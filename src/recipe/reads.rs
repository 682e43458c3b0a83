//! Which files of this machine a recipe has cardsmith read, so that none of them is written to.

use std::path::{Path, PathBuf};

use super::lock::lock_path;
use super::{LoadedRecipe, Recipe, SecretRef};

impl LoadedRecipe {
    /// Every file that is read for this recipe, each with what it is: the recipe, the one that it extends, its lock file
    /// and what it names.
    pub fn reads(&self) -> Vec<(PathBuf, &'static str)> {
        let mut files = vec![(self.path.clone(), "the recipe"), (lock_path(&self.path), "the recipe's lock file")];
        files.extend(self.base.iter().map(|base| (self.beside(&base.path), "the recipe that this one extends")));
        files.extend(self.recipe.reads(&self.dir));
        files
    }
}

impl Recipe {
    /// Every file that the recipe names, each with what it is. `dir` is the directory that its paths count from.
    pub fn reads(&self, dir: &Path) -> Vec<(PathBuf, &'static str)> {
        let mut files: Vec<(&Path, &'static str)> = Vec::new();
        if !self.image.source.contains("://") {
            files.push((Path::new(&self.image.source), "the base image"));
        }
        if let Some(agent) = &self.agent {
            files.push((&agent.package, "the agent's package"));
        }
        if let Some(path) = self.activation.as_ref().and_then(|activation| activation.path.as_deref()) {
            files.push((path, "the file of activations"));
        }
        if let Some(keys) = self.user.as_ref().and_then(|user| user.authorized_keys.as_deref()) {
            files.push((keys, "the user's authorized keys"));
        }
        if let Some(SecretRef::File(path)) = self.network.as_ref().and_then(|net| Some(&net.wifi.as_ref()?.psk)) {
            files.push((path, "the file with the Wi-Fi password"));
        }
        files.extend(self.files.iter().filter_map(|file| Some((file.source.as_deref()?, "the source of a [[file]]"))));
        files.into_iter().map(|(path, what)| (dir.join(path), what)).collect()
    }
}
