//! What systemd's presets say at a first boot. With a machine id that is `uninitialized` or missing, systemd enables every
//! unit that no preset disables: a unit that was disabled in the image would be back (machine-id(5), "First Boot
//! Semantics"; systemd.preset(5)). Elsewhere presets are not looked at, and nothing is written.

use crate::fs::{Attributes, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, SETTINGS_LIMIT, View, Volume};

const FILE: &str = "/etc/systemd/system-preset/00-cardsmith.preset";
const HEAD: &str = "# Put here by cardsmith: what the recipe says about units, for systemd's first boot.\n";

/// Says what becomes of a unit at the first boot.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn report(view: &mut View<'_>, name: &str, enabled: bool) -> Result<(), FsError> {
    let id = view.root().text(&view.root().resolve(&ImagePath::new("/etc/machine-id")?)?, SETTINGS_LIMIT)?;
    if id.is_some_and(|id| id.trim() != "uninitialized") {
        return Ok(());
    }
    let path = ImagePath::new(FILE)?;
    let old = view.root().text(&path, SETTINGS_LIMIT)?.unwrap_or_else(|| HEAD.to_owned());
    let word = if enabled { "enable" } else { "disable" };
    if old.lines().any(|line| line == format!("{word} {name}")) {
        return Ok(());
    }
    let kept = old.lines().filter(|line| line.split_whitespace().nth(1) != Some(name) || line.starts_with('#'));
    let mut text: String = kept.map(|line| format!("{line}\n")).collect();
    text.push_str(&format!("{word} {name}\n"));
    let why = "systemd's first boot leaves these units as the recipe wants them";
    let content = Content::Bytes(text.into_bytes());
    view.write(
        Volume::Root,
        &path,
        content,
        Attributes::root(0o644),
        Class::Configuration.because(why, "systemd.preset(5)"),
    )?;
    Ok(())
}
