//! Who issues activations: AWS, or a file of pre-issued ones. An activation's code lives in memory and on the card,
//! nowhere else. This room keeps no record; that is the ledger's.

use secrecy::{ExposeSecret, SecretString};

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
