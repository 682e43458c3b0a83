//! The lock file: digests of everything that a recipe refers to, so that a build elsewhere or later uses the same bytes
//! or says what differs. Secrets and files of activations are not in it: they differ by intent, and a digest of a short
//! secret tells it.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::LoadedRecipe;
use crate::digest::Sha256Digest;
use crate::read_limited::read_limited;

/// The version of the lock file's format.
const VERSION: u32 = 1;
/// No sane lock file is larger, in bytes.
const LARGEST: u64 = 1 << 20;

/// What a recipe refers to, as the recipe names it, with its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    files: BTreeMap<String, Sha256Digest>,
}

/// Why there is no lock, or why it does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// `--locked`, and nothing was ever locked.
    #[error("there is no lock file {}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A file that the recipe refers to, or the lock file, cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// `read`, `write`.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file is no lock file.
    #[error("{} is not a lock file of cardsmith: {what}", path.display())]
    NotALock {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// An image on the network without a digest.
    #[error("{source_name} cannot be locked: the recipe has no `sha256` for it")]
    NoDigest {
        /// As the recipe names it.
        source_name: String,
    },
    /// The recipe's files are not those that were locked.
    #[error("{} does not hold: {}", path.display(), differences.join("; "))]
    Differs {
        /// The lock file.
        path: PathBuf,
        /// One sentence for each difference.
        differences: Vec<String>,
    },
}

impl LockError {
    /// What a person can do about it.
    pub fn help(&self) -> &'static str {
        match self {
            LockError::Missing { .. } => "`cardsmith recipe lock RECIPE` writes it; keep it in git beside the recipe",
            LockError::Io { .. } => "paths count from the recipe's directory",
            LockError::NotALock { .. } => "write it anew: `cardsmith recipe lock RECIPE`",
            LockError::NoDigest { .. } => "add `sha256 = \"…\"` of the file as published under [image]",
            LockError::Differs { .. } => {
                "put back what was locked; or, where the change is meant, run `cardsmith recipe lock RECIPE` and commit \
                 the new lock file"
            }
        }
    }
}

/// The lock file of a recipe: `kiosk.toml.lock` beside `kiosk.toml`.
pub fn lock_path(recipe: &Path) -> PathBuf {
    let mut name = recipe.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

impl Lock {
    /// The digests of what the recipe refers to now. Reads every file, also a large image.
    ///
    /// # Errors
    /// [`LockError::Io`], [`LockError::NoDigest`].
    pub fn of(loaded: &LoadedRecipe) -> Result<Lock, LockError> {
        let recipe = &loaded.recipe;
        let mut files = BTreeMap::new();
        let source = &recipe.image.source;
        if source.contains("://") {
            let missing = || LockError::NoDigest { source_name: source.clone() };
            files.insert(source.clone(), recipe.image.sha256.ok_or_else(missing)?);
        } else {
            files.insert(source.clone(), digest(&loaded.beside(source))?);
        }
        let mut add = |path: &Path| -> Result<(), LockError> {
            let digest = digest(&loaded.beside(path))?;
            files.insert(path.to_string_lossy().into_owned(), digest);
            Ok(())
        };
        if let Some(agent) = &recipe.agent {
            add(&agent.package)?;
        }
        if let Some(keys) = recipe.user.as_ref().and_then(|user| user.authorized_keys.as_deref()) {
            add(keys)?;
        }
        for file in recipe.files.iter().filter_map(|file| file.source.as_deref()) {
            add(file)?;
        }
        if let Some(base) = &loaded.base {
            files.insert(base.path.to_string_lossy().into_owned(), base.digest);
        }
        Ok(Lock { version: VERSION, files })
    }

    /// Reads the lock file of `recipe`.
    ///
    /// # Errors
    /// [`LockError::Missing`], [`LockError::Io`], [`LockError::NotALock`].
    pub fn read(recipe: &Path) -> Result<Lock, LockError> {
        let path = lock_path(recipe);
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(LockError::Missing { path }),
            other => other.map_err(|source| LockError::Io { doing: "read", path: path.clone(), source })?,
        };
        let not = |what: String| LockError::NotALock { path: path.clone(), what };
        let unreadable = |source| LockError::Io { doing: "read", path: path.clone(), source };
        let bytes = read_limited(file, LARGEST).map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => not(error.to_string()),
            _ => unreadable(error),
        })?;
        let text = String::from_utf8(bytes).map_err(|error| unreadable(std::io::Error::other(error)))?;
        let lock: Lock = toml::from_str(&text)
            .map_err(|error| not(error.message().lines().next().unwrap_or_default().to_owned()))?;
        if lock.version != VERSION {
            return Err(not(format!("it has version {}, and this cardsmith reads {VERSION}", lock.version)));
        }
        Ok(lock)
    }

    /// What is locked: as the recipe names it, with its digest.
    pub fn files(&self) -> &BTreeMap<String, Sha256Digest> {
        &self.files
    }

    /// The lock file's text: the same for the same digests.
    pub fn to_text(&self) -> String {
        let body = toml::to_string(self).unwrap_or_default();
        format!(
            "# Written by `cardsmith recipe lock`: the SHA-256 of everything that the recipe refers to. Keep it in git; with\n\
             # --locked cardsmith refuses to use anything else.\n{body}"
        )
    }

    /// Writes it beside `recipe`, whole or not at all. Returns where.
    ///
    /// # Errors
    /// [`LockError::Io`].
    pub fn write(&self, recipe: &Path) -> Result<PathBuf, LockError> {
        let path = lock_path(recipe);
        let io = |source| LockError::Io { doing: "write", path: path.clone(), source };
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .prefix(".cardsmith-lock")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(dir)
            .map_err(io)?;
        file.write_all(self.to_text().as_bytes()).map_err(io)?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(&path).map_err(|error| io(error.error))?;
        Ok(path)
    }

    fn differences(&self, now: &Lock) -> Vec<String> {
        let mut all = Vec::new();
        for (name, digest) in &now.files {
            match self.files.get(name) {
                None => all.push(format!("{name} is not in it")),
                Some(locked) if locked != digest => all.push(format!("{name} has sha256 {digest}, locked is {locked}")),
                Some(_) => {}
            }
        }
        let gone = self.files.keys().filter(|name| !now.files.contains_key(*name));
        all.extend(gone.map(|name| format!("{name} is locked, and the recipe does not refer to it")));
        all
    }
}

/// Compares what the recipe refers to with its lock file (`--locked`). Where the recipe itself states no digest of its
/// image, it does afterwards: the image that is opened later is the one that was locked.
///
/// # Errors
/// [`LockError`]; nothing was touched.
pub fn check_lock(loaded: &mut LoadedRecipe) -> Result<(), LockError> {
    let lock = Lock::read(&loaded.path)?;
    let differences = lock.differences(&Lock::of(loaded)?);
    if !differences.is_empty() {
        return Err(LockError::Differs { path: lock_path(&loaded.path), differences });
    }
    let image = &mut loaded.recipe.image;
    image.sha256 = image.sha256.or_else(|| lock.files.get(&image.source).copied());
    Ok(())
}

fn digest(path: &Path) -> Result<Sha256Digest, LockError> {
    let io = |source| LockError::Io { doing: "read", path: path.to_owned(), source };
    Ok(Sha256Digest::of_all(File::open(path).map_err(io)?).map_err(io)?.0)
}
