//! What an image carries of the life that it had, and what happens to it: one table, by subject. A [rule](Rule) says
//! everything once; the steps, the search for traces, the audit, `inspect`, the recipe's words and the documentation are
//! made from it. The code here proposes edits through [`View`](crate::prepare::View) and writes nothing; the audit takes
//! the facts and none of the code.

mod account_databases;
mod addresses;
mod agent;
mod authorized_keys;
mod behind;
mod bluetooth;
mod browsers;
mod caches;
mod choices;
mod cloud_init;
mod expressions;
mod finder;
mod first_boot;
pub mod forms;
mod histories;
mod host_keys;
mod leases;
mod links;
mod logins;
mod logs;
mod machine_id;
mod mounts;
mod named_in_settings;
mod names;
mod needed;
mod other_agents;
mod packages;
mod proposal;
mod random_seeds;
mod remove;
mod rule;
mod sshd;
mod step;
mod subjects;
pub mod swap;
mod wifi;
mod words;

pub use choices::{Also, Choice, Keep, OwnFate, OwnRule, Strip};
pub use expressions::any_matches;
pub use finder::{FindSecrets, SECRETS_IN_FILES};
pub use links::StripLinks;
pub use needed::{needed_by_system, needed_in};
pub use proposal::found;
pub use remove::{OWN_RULE, RemovePaths};
pub use rule::{Counts, Example, Fate, Rule, Severity, USUAL_NAMES};
pub use step::StripStep;
pub use subjects::{AGENT, IDENTITY, Subject, rules};

/// The rule of that id.
pub fn find(id: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.id == id)
}
