//! What every step is: something that reads an image and proposes edits, or says why it cannot go on.

use super::View;
use crate::fs::{BadPath, FsError};

/// Reads an image and proposes edits.
pub trait Step {
    /// The step's name as plans and manifests show it: `ssm`, `identity`, `remove`, `links`, `secrets`, `user`, `files`, `ssh`, `network`, `wifi`,
    /// `locale`, `boot`, `units`, `proxy`, `agent`, `register`, `sudoers`.
    fn name(&self) -> &'static str;

    /// Adds to `plan` what this step wants changed. Must look at the image only through `view`, which already shows
    /// what earlier steps proposed.
    ///
    /// # Errors
    /// [`StepError`] where the image cannot be prepared as the recipe asks.
    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError>;
}

/// Why a step cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The image could not be read.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The image cannot be prepared as the recipe asks; `next` says what a person can do.
    #[error("{what}")]
    Refused {
        /// What is in the way, naming the path in the image.
        what: String,
        /// The next step.
        next: String,
    },
    /// A file on this machine, named by the recipe, cannot be used.
    #[error("{path}: {what}", path = path.display())]
    HostFile {
        /// The file as the recipe names it.
        path: std::path::PathBuf,
        /// What is wrong with it.
        what: String,
        /// The next step.
        next: String,
    },
}

impl From<BadPath> for StepError {
    fn from(error: BadPath) -> StepError {
        StepError::Fs(error.into())
    }
}
