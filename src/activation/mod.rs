//! Who issues activations: AWS, or a file of pre-issued ones; and the [`Dispenser`], which hands them to cards one by one
//! and writes each step to the ledger. An activation's code lives in memory and on the card, nowhere else: not in the
//! ledger, a log, JSON, an error or the environment. This room touches no image and no device.

mod aws_issuer;
mod connection;
mod dispenser;
mod error;
mod file;
mod issuer;
mod request;
mod sweep;

use secrecy::{ExposeSecret, SecretString};

pub use aws_issuer::AwsIssuer;
pub use dispenser::{Dispenser, Order};
pub use error::ActivationError;
pub use file::ActivationFile;
pub use issuer::Issuer;
pub use request::CardRequest;
pub use sweep::{SweepReport, Swept, SweptActivation, sweep};

/// The code of one activation. It has no `Debug`, `Display`, `Serialize` or `Clone` on purpose.
pub struct ActivationCode(SecretString);

impl ActivationCode {
    /// Takes a code in.
    pub fn new(code: String) -> ActivationCode {
        ActivationCode(SecretString::from(code))
    }

    /// The code, for the one place that writes it: the card's activation file.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<SecretString> for ActivationCode {
    fn from(code: SecretString) -> ActivationCode {
        ActivationCode(code)
    }
}

/// One SSM hybrid activation, made for one card (registration limit 1).
pub struct Activation {
    /// The public id, a UUID.
    pub id: String,
    /// The secret.
    pub code: ActivationCode,
    /// The AWS region to register in.
    pub region: String,
    /// When it stops being usable, in seconds since 1970, where that is known.
    pub expires: Option<i64>,
}
