//! The rules: those that are written by hand, one file per subject, and those of the strip table.

mod activation;
mod authorized_keys;
mod identity;
mod own_rules;
mod privilege;
mod read_in_part;
mod residue;
mod secrets_in_files;
mod sshd_config;
mod ssm;
mod swap;
mod system;
mod table;

use super::error::AuditError;
use super::options::AuditOptions;
use super::reader::AuditImage;
use super::rule::{Found, Look, Rule};
use crate::strip;

/// The rules that are written by hand: they see more than a place.
static BY_HAND: &[Rule] = &[
    ssm::REGISTRATION,
    ssm::VAULT,
    ssm::CLONE,
    ssm::CREDENTIALS,
    ssm::AWS_KEYS,
    activation::ACTIVATION_FILE,
    activation::CODES,
    identity::MACHINE_ID,
    identity::HOST_KEYS,
    identity::NO_REGENERATOR,
    privilege::NOPASSWD,
    privilege::NOPASSWD_FIRST_BOOT,
    privilege::AGENT_USERS,
    privilege::SSM_USER_GROUP,
    authorized_keys::AUTHORIZED_KEYS,
    system::UNIT_SCRIPT,
    system::UNCLEAN,
    own_rules::OWN_RULES,
    secrets_in_files::PRIVATE_KEYS,
    secrets_in_files::SECRETS,
    secrets_in_files::NOT_SEARCHED,
    swap::SWAP,
    residue::RESIDUE,
];

/// All rules, in the order in which they look and are reported. The last one tells what the others left out.
pub fn rules() -> impl Iterator<Item = Rule> {
    BY_HAND.iter().copied().chain(strip::rules().filter_map(Rule::of_table)).chain([read_in_part::READ_IN_PART])
}

/// The rule of that id.
pub fn find_rule(id: &str) -> Option<Rule> {
    rules().find(|rule| rule.id == id)
}

/// The ids that a word of `--allow` or `[audit] allow` means: a rule's own, or what a name or group of `[strip]` stands for.
/// Empty where there is no such word.
pub fn rules_named(word: &str) -> Vec<&'static str> {
    // What was one rule before the table had one for each place. Pipelines still say so.
    let word = match word {
        "saved-wifi" => "wifi",
        "shell-history" => "histories",
        word => word,
    };
    if let Some(rule) = find_rule(word) {
        return vec![rule.id];
    }
    strip::rules().filter(|row| row.is_named(word)).map(|row| row.audited_as).collect()
}

/// Looks by one rule.
///
/// # Errors
/// Where the image cannot be read.
pub fn look(rule: &Rule, image: &AuditImage, options: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    match rule.look {
        Look::Code(code) => code(image, options, found),
        Look::Table(row) => table::look(row, image, found),
    }
}
