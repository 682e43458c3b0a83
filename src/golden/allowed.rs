//! What a manifest that nobody signed may have of this machine: what the person named on the command line, and nothing else.
//!
//! A manifest is a stranger's text, and so is the image beside it: a secret that goes onto its cards can be read by whoever
//! made the image. So each is allowed by its exact name, before anything is read.

use std::path::{Path, PathBuf};

use super::error::GoldenError;
use super::manifest::Manifest;
use crate::printable::is_harmless;
use crate::recipe::{SecretRef, Wants};

/// What was allowed.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Secrets that may be read.
    pub secrets: Vec<SecretRef>,
    /// Roles of this machine's AWS account for which activations may be made.
    pub roles: Vec<String>,
    /// A file of activations was named by the person, so that the manifest's own is not opened.
    pub activations_named: bool,
}

/// Where a manifest came from.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// From a file of this machine, in this directory.
    Directory(&'a Path),
    /// From a server.
    Server,
}

impl Allowed {
    /// Whether all that the manifest at `path` wants of this machine was allowed. Nothing of it is read.
    ///
    /// # Errors
    /// [`GoldenError::NotAllowed`], with the options that would allow it.
    pub fn check(&self, manifest: &Manifest, path: &Path, origin: Origin<'_>) -> Result<(), GoldenError> {
        let wants = Wants::of(&manifest.recipe);
        let (mut what, mut options) = (Vec::new(), Vec::new());
        for secret in wants.secrets.iter().filter(|secret| !self.secrets.contains(secret)) {
            what.push(secret.to_string());
            options.push(format!("--allow-secret {}", quoted(&secret.word())?));
        }
        if let Some(role) = wants.role.as_ref().filter(|role| !self.roles.contains(&role.name)) {
            what.push(format!("the role {} for nodes in {}", role.name, role.region));
            options.push(format!("--allow-role {}", quoted(&role.name)?));
        }
        if let Some(file) = wants.activations.as_ref().filter(|_| !self.activations_named)
            && !is_beside(file, origin)
        {
            what.push(format!("activations from {}", file.display()));
            let full = match origin {
                Origin::Directory(directory) => directory.join(file),
                Origin::Server => file.clone(),
            };
            options.push(format!("--activations {}", quoted(&full.display().to_string())?));
        }
        match what.is_empty() {
            true => Ok(()),
            false => Err(GoldenError::NotAllowed {
                manifest: path.to_owned(),
                what: what.join(", "),
                options: options.join(" "),
            }),
        }
    }
}

/// Whether a manifest of this machine names a file that lies beside it, in truth and not by way of a link: whoever puts
/// the two into one directory means it.
fn is_beside(file: &Path, origin: Origin<'_>) -> bool {
    let Origin::Directory(directory) = origin else { return false };
    // One name: no directory, no `..`, no full path.
    if file.file_name() != Some(file.as_os_str()) {
        return false;
    }
    match directory.join(file).symlink_metadata() {
        Ok(about) => !about.is_symlink(),
        // What is not there is told by whoever opens it.
        Err(_) => true,
    }
}

/// A word for the command line, quoted where a shell would take it for more.
fn quoted(word: &str) -> Result<String, GoldenError> {
    // It would be shown by its numbers, and what is copied then names another file.
    if !word.chars().all(is_harmless) {
        let what = format!("it names {word:?}, with characters in it that nobody sees");
        return Err(GoldenError::Unallowable { what });
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@+=".contains(c);
    match word.chars().all(is_plain) {
        true => Ok(word.to_owned()),
        false => Ok(format!("'{}'", word.replace('\'', "'\\''"))),
    }
}

impl Origin<'_> {
    /// The directory that the paths of the manifest's recipe count from: its own, or the current one where it came from a
    /// server.
    pub fn directory(&self) -> PathBuf {
        match self {
            Origin::Directory(directory) => (*directory).to_owned(),
            Origin::Server => PathBuf::from("."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn what_is_to_be_copied_is_one_word_for_a_shell() {
        assert_eq!(quoted("env:WIFI_PSK").unwrap(), "env:WIFI_PSK");
        assert_eq!(quoted("file:a; rm -rf ~").unwrap(), "'file:a; rm -rf ~'");
        assert_eq!(quoted("file:it's").unwrap(), "'file:it'\\''s'");
        assert!(quoted("file:a\u{202e}b").is_err() && quoted("file:a\nb").is_err());
    }
}
