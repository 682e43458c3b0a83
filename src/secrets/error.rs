//! Why a secret is not there. None of these quotes a value.

use std::path::PathBuf;

use crate::aws::AwsError;

/// Why a secret that the recipe names cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The environment does not have it.
    #[error("{key} is to come from the environment variable {name}, which {what}")]
    Env {
        /// The recipe's key: `[network.wifi] psk`.
        key: &'static str,
        /// The variable.
        name: String,
        /// "is not set", "is empty", "is not text".
        what: &'static str,
    },
    /// The file cannot be used.
    #[error("{key} is to come from the file {path}, which {what}", path = path.display())]
    File {
        /// The recipe's key.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// "cannot be read: …", "is empty", "is not text".
        what: String,
    },
    /// SSM does not give it.
    #[error("{key} is to come from the SSM parameter {name}")]
    Parameter {
        /// The recipe's key.
        key: &'static str,
        /// The parameter.
        name: String,
        /// What AWS said.
        #[source]
        source: AwsError,
    },
    /// It is there, and cannot be what the recipe uses it for.
    #[error("{key} from {place} cannot be used: {what}")]
    Unfit {
        /// The recipe's key.
        key: &'static str,
        /// Where it was found, in words.
        place: String,
        /// What is wrong with it; not a part of it.
        what: &'static str,
    },
}

impl SecretError {
    /// What a person can do about it.
    pub fn help(&self) -> String {
        match self {
            SecretError::Env { name, .. } => {
                // `read -rs` keeps it out of the shell's history.
                format!("set it for this command only, for example: read -rs {name} && export {name}")
            }
            SecretError::File { .. } => {
                "paths count from the recipe's directory (with a manifest: from the manifest's); the file holds the secret \
                 and nothing else"
                    .to_owned()
            }
            SecretError::Parameter { name, source, .. } => match source.code.as_deref() {
                Some("ParameterNotFound") => format!(
                    "is it in this account and region? aws ssm put-parameter --type SecureString --name {name} --value …"
                ),
                Some("AccessDeniedException") => {
                    "the bench needs ssm:GetParameter on it, and kms:Decrypt on its key".to_owned()
                }
                _ => "the region is the recipe's [activation] region, or else AWS_REGION".to_owned(),
            },
            SecretError::Unfit { .. } => "look at what is stored there; a line end or a blank counts".to_owned(),
        }
    }
}
