//! The recipe's fields. This file is the documentation: the JSON schema and `recipe new` are made from it.

mod network;
mod system;
mod user;

pub use network::{Cidr, Interface, Network, Proxy, Wifi};
pub use system::{Boot, Locale, Unit, UnitState};
pub use user::{Ssh, User};

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::strip::Strip;

/// A recipe: which base image, what to strip, harden and add, how cards are named and activated. Never a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the fleet or product, `[a-z0-9-]`; used in file names, tags and the ledger.
    pub name: String,
    /// Another recipe, on top of which this one counts: tables are joined, later wins, `[[file]]` goes by path. One
    /// level; paths count from the file that says them.
    #[serde(default, skip_serializing)]
    pub extends: Option<PathBuf>,
    /// The base image.
    pub image: Image,
    /// What to leave alone although it would be stripped.
    #[serde(default)]
    pub strip: Strip,
    /// Who may become root.
    #[serde(default)]
    pub sudo: Sudo,
    /// The agent's package, where the image does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    /// Where activations come from. Without it cards are made that do not register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// The person's account on every card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Whether and how one logs in over the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<Ssh>,
    /// Host name and addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The proxy of the agent and the registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// Time zone, keyboard, language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    /// What is added to config.txt and cmdline.txt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<Boot>,
    /// How a card is named and what happens to its unused space.
    #[serde(default)]
    pub card: Card,
    /// What the audit may find without failing.
    #[serde(default)]
    pub audit: Audit,
    /// Files to add.
    #[serde(default, rename = "file", skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileEntry>,
    /// Systemd units that are enabled, disabled or masked.
    #[serde(default, rename = "unit", skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<Unit>,
}

/// `[image]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// A path beside the recipe, an https:// address or an s3:// one.
    pub source: String,
    /// Digest of the file as published; required for https and s3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<Sha256Digest>,
}

/// What happens to the agent's own user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SsmUser {
    /// A comment-only `/etc/sudoers.d/ssm-agent-users`, the way AWS documents it; never in group sudo.
    #[default]
    NoSudo,
    /// Left as it is.
    Keep,
}

/// What happens to NOPASSWD rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nopasswd {
    /// Every one is removed, found by parsing sudoers, not by file name.
    #[default]
    Remove,
    /// Left as they are.
    Keep,
}

/// What to do when nobody could become root afterwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lockout {
    /// Stop and say so.
    #[default]
    Refuse,
    /// That is wanted: SSM's Run Command is the way in.
    Accept,
}

/// `[sudo]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sudo {
    /// `"no-sudo"` (default) or `"keep"`.
    #[serde(default)]
    pub ssm_user: SsmUser,
    /// `"remove"` (default) or `"keep"`.
    #[serde(default)]
    pub nopasswd: Nopasswd,
    /// `"refuse"` (default) or `"accept"`: what to do when nobody could become root afterwards.
    #[serde(default)]
    pub lockout: Lockout,
}

/// `[agent]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The agent's .deb, a path beside the recipe.
    pub package: PathBuf,
    /// Its digest.
    #[schemars(with = "String", regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: Sha256Digest,
}

/// Who issues activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActivationFrom {
    /// Made by AWS when the card is made.
    Aws,
    /// Pre-issued, one row of a file per card.
    File,
}

/// `[activation]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// `"aws"` or `"file"`.
    pub from: ActivationFrom,
    /// The file of pre-issued activations, beside the recipe (or `--activations`). Not in git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// AWS region; required for `aws`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Name (not ARN) of the IAM role that nodes get; required for `aws`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// How long an activation can be used: `"12h"`, `"7d"`; 30 days at most. Default 24 hours, as AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Tags that every node gets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// What happens on a reused card to space that the image does not use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnusedSpace {
    /// Discard it, where the device can.
    #[default]
    Discard,
    /// Write zeros over it.
    Zero,
    /// Leave what is there.
    Keep,
}

/// `[card]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Host name and SSM default instance name; `{serial}` or `{serial:04}` stands for the card's number.
    #[serde(default = "default_card_name")]
    pub name: String,
    /// What happens on a reused card to space that the image does not use: `"discard"` (default), `"zero"` or `"keep"`.
    #[serde(default, rename = "unused-space")]
    pub unused_space: UnusedSpace,
}

fn default_card_name() -> String {
    "{recipe}-{serial:04}".to_owned()
}

impl Default for Card {
    fn default() -> Card {
        Card { name: default_card_name(), unused_space: UnusedSpace::default() }
    }
}

/// `[audit]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Rule ids that may be found without failing.
    #[serde(default)]
    pub allow: Vec<String>,
}

/// Where a `[[file]]` goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileVolume {
    /// The ext4 root file system.
    #[default]
    Root,
    /// The FAT boot file system; the path counts from its root.
    Boot,
}

/// One `[[file]]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Absolute path inside the image.
    pub path: String,
    /// The file's content: a path beside the recipe. Exactly one of `source`, `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// The file's content, in the recipe itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Octal, as in `"0644"` (default).
    #[serde(default = "default_mode")]
    pub mode: String,
    /// User: a number or a name in the image's /etc/passwd. Default root.
    #[serde(default = "default_owner")]
    pub owner: String,
    /// Group: a number or a name in the image's /etc/group. Default root.
    #[serde(default = "default_owner")]
    pub group: String,
    /// Which file system.
    #[serde(default)]
    pub volume: FileVolume,
}

fn default_mode() -> String {
    "0644".to_owned()
}

fn default_owner() -> String {
    "root".to_owned()
}
