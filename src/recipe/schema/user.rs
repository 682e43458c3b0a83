//! `[user]` and `[ssh]`: who can log in on a card, and how.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[user]`: the person's account on every card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct User {
    /// Login name: a letter, then letters, digits, `-` and `_`; 32 at most. On an image whose first boot would ask for
    /// a user, the first user (uid 1000, `pi`) gets this name, as Raspberry Pi's userconf does it; elsewhere the user
    /// of this name is changed, or added.
    pub name: String,
    /// The password's hash as it stands in /etc/shadow (`openssl passwd -6`, `mkpasswd -m yescrypt`), never the
    /// password. Without it a new user has no password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Groups that the user is in. A new user is in those that Raspberry Pi OS gives its first user, where this is
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// A file beside the recipe that becomes the user's `~/.ssh/authorized_keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorized_keys: Option<PathBuf>,
}

/// `[ssh]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ssh {
    /// Whether the SSH server starts. Left as the image has it where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// `false`: keys only. Left as the image has it where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_login: Option<bool>,
}
