//! What an activation is asked for with, and how it is recognised at AWS when its answer never arrived.

use crate::digest::Sha256Digest;

/// One card that needs an activation.
#[derive(Debug, Clone, Copy)]
pub struct CardRequest<'a> {
    /// The card's name; becomes the node's name.
    pub name: &'a str,
    /// The card's number.
    pub serial: u64,
    /// The run's UUID.
    pub run: &'a str,
    /// The recipe's name.
    pub recipe: &'a str,
    /// The golden image's digest, where there is one.
    pub golden: Option<&'a Sha256Digest>,
}

/// The longest description that CreateActivation takes, in characters (botocore, ssm 2014-11-06).
pub const DESCRIPTION_MAX: usize = 256;

const MARK: &str = "cardsmith run=";

impl CardRequest<'_> {
    /// The description at AWS. The run's UUID makes it ours, the card's name and number make it this card's.
    pub fn description(&self) -> String {
        let (run, name, serial) = (self.run, self.name, self.serial);
        let mut text = format!("{MARK}{run} card={name} serial={serial}");
        // Host names have 63 characters at most, so this never cuts; AWS would refuse what is longer.
        if let Some((at, _)) = text.char_indices().nth(DESCRIPTION_MAX) {
            text.truncate(at);
        }
        text
    }
}

/// Whether some cardsmith, on this bench or another one, made an activation with this description.
pub fn is_ours(description: &str) -> bool {
    description.starts_with(MARK)
}
