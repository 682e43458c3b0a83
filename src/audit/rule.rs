//! What a rule is.

use super::finding::Severity;
use super::options::AuditOptions;
use super::reader::{AuditError, AuditImage};

/// Takes what a rule finds: the place (a path or region of the image) and one or two sentences.
pub type Found<'a> = &'a mut dyn FnMut(String, String);

/// One rule.
pub struct Rule {
    /// Stable: scripts and recipes name it.
    pub id: &'static str,
    /// How serious.
    pub severity: Severity,
    /// One line.
    pub title: &'static str,
    /// The page that `audit --explain` prints: what it looks for, why it matters, what to do.
    pub page: &'static str,
    /// Only with `--deep`: it reads the whole image.
    pub deep: bool,
    /// Looks.
    pub check: fn(&AuditImage, &AuditOptions, Found<'_>) -> Result<(), AuditError>,
}
