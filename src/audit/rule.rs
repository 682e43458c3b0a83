//! What a rule is, and the list of all rules.

use serde::Serialize;

use super::reader::{AuditError, AuditImage};
use super::{AuditOptions, rules};

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

/// All rules, in the order in which they are reported.
pub static RULES: &[Rule] = &[
    rules::ssm::REGISTRATION,
    rules::ssm::VAULT,
    rules::ssm::CLONE,
    rules::ssm::CREDENTIALS,
    rules::ssm::AWS_KEYS,
    rules::ssm::INSTANCE_STATE,
    rules::ssm::CUSTOM_IDENTITY,
    rules::ssm::COMMANDS,
    rules::ssm::LOGS,
    rules::activation::ACTIVATION_FILE,
    rules::activation::CODES,
    rules::identity::MACHINE_ID,
    rules::identity::HOST_KEYS,
    rules::identity::NO_REGENERATOR,
    rules::identity::RANDOM_SEED,
    rules::identity::CLOUD_INIT,
    rules::privilege::NOPASSWD,
    rules::privilege::NOPASSWD_FIRST_BOOT,
    rules::privilege::AGENT_USERS,
    rules::privilege::SSM_USER_GROUP,
    rules::traces::HISTORY,
    rules::traces::LOGS,
    rules::traces::WIFI,
    rules::traces::AUTHORIZED_KEYS,
    rules::system::UNIT_SCRIPT,
    rules::system::UNCLEAN,
    rules::residue::RESIDUE,
];

/// The rule of that id.
pub fn find_rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}
