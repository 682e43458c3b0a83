//! Secrets that a recipe names by reference: looked up once, when cards are made, and kept in memory until they stand on
//! the cards. A value has no `Debug`, `Display` or `Serialize`, and no message of this room quotes one. This room asks
//! the environment, files and AWS; it touches no image and no device.

mod error;
mod psk;
mod resolve;

use secrecy::{ExposeSecret, SecretString};

pub use error::SecretError;
pub use resolve::resolve;

/// The value of one secret. It has no `Debug`, `Display`, `Serialize` or `Clone` on purpose.
pub struct Secret(SecretString);

impl Secret {
    /// Takes a value in.
    pub fn new(value: String) -> Secret {
        Secret(SecretString::from(value))
    }

    /// The value, for the one place that writes it to the card.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// What all cards of a run have in common and nobody may see.
#[derive(Default)]
pub struct CardSecrets {
    /// `[network.wifi] psk`: a passphrase of 8 to 63 characters, or 64 hexadecimal digits.
    pub wifi_psk: Option<Secret>,
}
