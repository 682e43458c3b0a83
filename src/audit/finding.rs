//! What a rule found, and how serious it is.

use serde::Serialize;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; does not make an image dirty.
    Note,
    /// Should not be on an image that many cards are made from.
    Warning,
    /// Cards made from it would share an identity or a secret, would not come up, or anybody could become root.
    Error,
}

/// One thing that a rule found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's id.
    pub rule: &'static str,
    /// How serious.
    pub severity: Severity,
    /// Path in the image (`/etc/…`, `boot:/…`) or region.
    pub place: String,
    /// What was found; never a secret.
    pub text: String,
}
