//! What an audit is asked for.

/// What an image is meant to be: a card carries an activation, a golden image must not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// The image that cards are made from.
    #[default]
    Golden,
    /// One finished card.
    Card,
}

/// How to audit.
#[derive(Debug, Clone, Default)]
pub struct AuditOptions {
    /// What the image is meant to be.
    pub kind: Kind,
    /// Also compare every byte of the image with what its files hold, to find what deleting left behind.
    pub deep: bool,
    /// Rules of a recipe's own: where, and what is there.
    pub own_rules: Vec<(String, String)>,
    /// Rule ids that may be found.
    pub allow: Vec<String>,
}
