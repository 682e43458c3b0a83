//! What a rule found, and how serious it is.

use serde::Serialize;

pub use crate::strip::Severity;

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
