//! Which issuer a recipe names.

use std::path::Path;

use super::{ActivationError, ActivationFile, AwsIssuer};
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::recipe::schema::ActivationFrom;

/// Who issues activations.
pub enum Issuer {
    /// AWS makes one when a card is made.
    Aws(AwsIssuer),
    /// A file has them.
    File(ActivationFile),
}

impl Issuer {
    /// The issuer of `recipe`, or `None` where its cards do not register. `beside` is the directory that the recipe's
    /// paths count from; `file` is given on the command line and goes before the recipe's path.
    ///
    /// # Errors
    /// The recipe asks for what cannot be, the file is wrong, or AWS is not to be reached with what the environment
    /// has: all of it said before anything is written.
    pub fn of_recipe(
        recipe: &Recipe,
        beside: &Path,
        file: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Option<Issuer>, ActivationError> {
        let Some(wanted) = &recipe.activation else { return Ok(None) };
        match wanted.from {
            ActivationFrom::Aws => {
                // Neither may win in silence: only the person knows which of the two was meant.
                if file.is_some() {
                    let text = "from = \"aws\", but a file of activations was given; change one of the two";
                    return Err(ActivationError::Recipe(text.to_owned()));
                }
                Ok(Some(Issuer::Aws(AwsIssuer::connect(wanted)?)))
            }
            ActivationFrom::File => {
                let path = match (file, &wanted.path) {
                    // From the command line it counts from the working directory, as a shell completes it.
                    (Some(path), _) => path.to_owned(),
                    (None, Some(path)) => beside.join(path),
                    (None, None) => {
                        let text = "from = \"file\" needs path = \"…\" in the recipe, or --activations FILE";
                        return Err(ActivationError::Recipe(text.to_owned()));
                    }
                };
                let file = ActivationFile::open(&path)?;
                file.warnings().iter().for_each(|warning| progress.warn(warning));
                Ok(Some(Issuer::File(file)))
            }
        }
    }
}
