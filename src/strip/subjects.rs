//! The subjects of the table, in the order in which they are worked through: each a file with its rules and its code.

use super::choices::Strip;
use super::rule::Rule;
use super::{
    account_databases, addresses, agent, authorized_keys, bluetooth, browsers, caches, cloud_init, first_boot,
    histories, host_keys, leases, logins, logs, machine_id, names, other_agents, random_seeds, swap, wifi,
};
use crate::prepare::{StepError, View};

/// Rules that belong together, and the code of those that are more than a place.
pub struct Subject {
    /// What the documentation calls it.
    pub title: &'static str,
    /// The rules.
    pub rules: &'static [Rule],
    /// What does the rules that are `by_code`, and says what else there is to say. It runs before the other rules.
    pub code: Option<Code>,
}

/// The code of a subject.
pub type Code = fn(&mut View<'_>, &Strip) -> Result<(), StepError>;

const fn subject(title: &'static str, rules: &'static [Rule], code: Option<Code>) -> Subject {
    Subject { title, rules, code }
}

/// What the SSM agent keeps of a registered life.
pub const AGENT: &[Subject] = &[subject("The SSM agent", agent::RULES, Some(agent::propose))];

/// Everything else.
pub const IDENTITY: &[Subject] = &[
    subject("The machine's id", machine_id::RULES, Some(machine_id::propose)),
    subject("SSH host keys", host_keys::RULES, Some(host_keys::propose)),
    subject("Random seeds", random_seeds::RULES, None),
    subject("Leases", leases::RULES, None),
    subject("Addresses", addresses::RULES, None),
    subject("Wi-Fi", wifi::RULES, Some(wifi::propose)),
    subject("Bluetooth", bluetooth::RULES, None),
    subject("cloud-init", cloud_init::RULES, None),
    subject("First-boot files", first_boot::RULES, Some(first_boot::propose)),
    subject("Histories", histories::RULES, None),
    subject("Who may log in", authorized_keys::RULES, Some(authorized_keys::propose)),
    subject("Old account databases", account_databases::RULES, None),
    subject("Remote access", other_agents::remote_access::RULES, None),
    subject("Containers and clusters", other_agents::clusters::RULES, None),
    subject("Device management", other_agents::device_management::RULES, None),
    subject("Monitoring and security", other_agents::monitoring::RULES, None),
    subject("Runners and deployment", other_agents::runners::RULES, None),
    subject("Home, media, printers", other_agents::home::RULES, None),
    subject("Media, screens, receivers", other_agents::media::RULES, None),
    subject("Services of the system", other_agents::services::RULES, None),
    subject("Version control and packages", logins::packages::RULES, None),
    subject("Clouds", logins::clouds::RULES, None),
    subject("Tools", logins::tools::RULES, None),
    subject("Keys of people", logins::keys::RULES, None),
    subject("Mail, chat, remote desktops", logins::mail_and_desktops::RULES, None),
    subject("Databases", logins::databases::RULES, None),
    subject("Backups and mounts", logins::backups::RULES, None),
    subject("Servers", logins::servers::RULES, None),
    subject("Logins in the system's places", logins::system::RULES, None),
    subject("Sessions", logins::sessions::RULES, None),
    subject("Browsers", browsers::RULES, None),
    subject("Names", names::RULES, None),
    subject("Caches", caches::RULES, None),
    subject("Logs", logs::RULES, Some(logs::propose)),
    subject("Swap and memory", swap::RULES, Some(swap::propose)),
];

/// All rules, with the subject of each.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    AGENT.iter().chain(IDENTITY).flat_map(|subject| subject.rules)
}
