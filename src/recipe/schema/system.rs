//! `[locale]`, `[boot]` and `[[unit]]`: how a card's system is set up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[locale]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Locale {
    /// A name below /usr/share/zoneinfo: `"Europe/Berlin"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The keyboard's layout, with a variant in parentheses where it needs one: `"gb"`, `"de(nodeadkeys)"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyboard: Option<String>,
    /// The system's locale: `"de_DE.UTF-8"`. One that the image does not have is generated at the first boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// `[boot]`: what is added to the files that the firmware reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Boot {
    /// Lines for config.txt, added once, under `[all]`; a filter such as `"[pi4]"` holds for the lines after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<String>,
    /// Words for cmdline.txt, added once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cmdline: Vec<String>,
}

/// What a unit becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnitState {
    /// It starts as its `[Install]` section says, as with `systemctl enable`.
    Enabled,
    /// Nothing starts it because of its `[Install]` section, as with `systemctl disable`.
    Disabled,
    /// Nothing can start it, as with `systemctl mask`.
    Masked,
}

/// One `[[unit]]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Unit {
    /// The systemd unit with its suffix: `"bluetooth.service"`, `"getty@tty2.service"`.
    pub name: String,
    /// `"enabled"`, `"disabled"` or `"masked"`.
    pub state: UnitState,
}
