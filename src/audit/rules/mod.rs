//! The rules, one file per subject, and the list of them. Each rule is a constant: its id, its page and the function
//! that looks.

mod activation;
mod history_and_logs;
mod identity;
mod privilege;
mod residue;
mod ssm;
mod system;

use super::rule::Rule;

/// All rules, in the order in which they are reported.
pub static RULES: &[Rule] = &[
    ssm::REGISTRATION,
    ssm::VAULT,
    ssm::CLONE,
    ssm::CREDENTIALS,
    ssm::AWS_KEYS,
    ssm::INSTANCE_STATE,
    ssm::CUSTOM_IDENTITY,
    ssm::COMMANDS,
    ssm::LOGS,
    activation::ACTIVATION_FILE,
    activation::CODES,
    identity::MACHINE_ID,
    identity::HOST_KEYS,
    identity::NO_REGENERATOR,
    identity::RANDOM_SEED,
    identity::CLOUD_INIT,
    privilege::NOPASSWD,
    privilege::NOPASSWD_FIRST_BOOT,
    privilege::AGENT_USERS,
    privilege::SSM_USER_GROUP,
    history_and_logs::HISTORY,
    history_and_logs::LOGS,
    history_and_logs::WIFI,
    history_and_logs::AUTHORIZED_KEYS,
    system::UNIT_SCRIPT,
    system::UNCLEAN,
    residue::RESIDUE,
];

/// The rule of that id.
pub fn find_rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}
