//! The step that puts the first-boot registration into the image: a unit, its script, and a condition on the agent's own
//! unit. It knows no activation; that comes with the card, see [`super::card`].
//!
//! The activation file is `/var/lib/cardsmith/activation` ([`ACTIVATION_FILE`]), 0600 root on ext4 only. What the
//! agent does with `-register` is in amazon-ssm-agent, `core/agent_parser.go`.

use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, SETTINGS_LIMIT, Step, StepError, View, Volume};

/// Where a card's activation stands until the card has registered.
pub const ACTIVATION_FILE: &str = "/var/lib/cardsmith/activation";
/// The unit that registers a card.
pub const UNIT: &str = "cardsmith-register.service";
/// The script that the unit runs.
pub const SCRIPT: &str = "/usr/local/lib/cardsmith/register";

const UNIT_TEXT: &str = include_str!("cardsmith-register.service");
const SCRIPT_TEXT: &str = include_str!("register");
const CONDITION_TEXT: &str = include_str!("10-cardsmith.conf");
const UNITS: &str = "/etc/systemd/system";
const AGENT_UNIT: &str = "amazon-ssm-agent.service";
const SNAP_UNIT: &str = "snap.amazon-ssm-agent.amazon-ssm-agent.service";
const SOURCE: &str = "amazon-ssm-agent, core/agent_parser.go; packaging/ubuntu/amazon-ssm-agent.service";

/// Puts the first-boot registration into the image.
pub struct Register;

impl Step for Register {
    fn name(&self) -> &'static str {
        "register"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        let unit = ImagePath::new(format!("{UNITS}/{UNIT}")).map_err(FsError::from)?;
        let script = ImagePath::new(SCRIPT).map_err(FsError::from)?;
        file(view, &script, SCRIPT_TEXT, 0o755, "registers the card at its first boot with a network")?;
        file(view, &unit, UNIT_TEXT, 0o644, "starts the registration while the card has an activation")?;
        // The link itself enables the unit: nothing can run systemctl in an image.
        let link = ImagePath::new(format!("{UNITS}/multi-user.target.wants/{UNIT}")).map_err(FsError::from)?;
        view.symlink(&link, &unit, Class::Configuration.because("enables it", "systemctl(1), enable"))?;
        condition(view)?;
        environment(view)?;
        note_delayed_registration(view)?;
        Ok(())
    }
}

fn file(view: &mut View<'_>, path: &ImagePath, text: &str, mode: u16, why: &'static str) -> Result<(), FsError> {
    let content = Content::Bytes(text.as_bytes().to_vec());
    view.write(Volume::Root, path, content, Attributes::root(mode), Class::Configuration.because(why, SOURCE))?;
    Ok(())
}

fn condition(view: &mut View<'_>) -> Result<(), FsError> {
    let mut units = vec![AGENT_UNIT];
    // The snap names the unit otherwise, and a drop-in counts only under its unit's own name.
    if view.root().stat(&ImagePath::new(format!("{UNITS}/{SNAP_UNIT}"))?)?.is_some() {
        units.push(SNAP_UNIT);
    }
    for unit in units {
        let path = ImagePath::new(format!("{UNITS}/{unit}.d/10-cardsmith.conf"))?;
        file(view, &path, CONDITION_TEXT, 0o644, "the agent waits for the registration instead of starting in vain")?;
    }
    Ok(())
}

/// The agent reaches AWS the way its drop-ins say (`https_proxy` and the like); registering must go the same way.
fn environment(view: &mut View<'_>) -> Result<(), FsError> {
    let mut lines = Vec::new();
    let mut mode = 0o644;
    for pattern in [
        "/usr/lib/systemd/system/amazon-ssm-agent.service.d/*.conf",
        "/etc/systemd/system/amazon-ssm-agent.service.d/*.conf",
        "/etc/systemd/system/snap.amazon-ssm-agent.amazon-ssm-agent.service.d/*.conf",
    ] {
        for path in view.find(pattern)? {
            let path = view.root().resolve(&path)?;
            let Some(stat) = view.root().stat(&path)?.filter(|stat| stat.kind == FileKind::File) else { continue };
            let text = view.root().text(&path, SETTINGS_LIMIT)?.unwrap_or_default();
            let found = environment_lines(&text);
            if !found.is_empty() {
                // The strictest mode of all: whoever hid a proxy's password from users wants it hidden here, too.
                mode &= stat.attributes.mode;
                lines.extend(found);
            }
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    let text =
        format!("# Put here by cardsmith: the same as in the agent's own drop-ins.\n[Service]\n{}\n", lines.join("\n"));
    let path = ImagePath::new(format!("{UNITS}/{UNIT}.d/10-agent-environment.conf"))?;
    let why = "the registration uses the agent's own proxy and environment";
    // A proxy's address may hold a password: what the agent's drop-in holds is not shown again.
    let content = Content::Secret(text.into_bytes().into());
    view.write(
        Volume::Root,
        &path,
        content,
        Attributes::root(mode),
        Class::Configuration.because(why, "systemd.exec(5), Environment="),
    )?;
    Ok(())
}

/// The settings of `[Service]` that make up the environment, with their continuation lines.
fn environment_lines(text: &str) -> Vec<String> {
    let (mut lines, mut in_service, mut goes_on) = (Vec::new(), false, false);
    for line in text.lines() {
        let bare = line.trim();
        let wanted = if goes_on {
            true
        } else if bare.starts_with('[') {
            in_service = bare == "[Service]";
            false
        } else {
            let key = bare.split('=').next().unwrap_or_default().trim();
            in_service && matches!(key, "Environment" | "EnvironmentFile" | "PassEnvironment" | "UnsetEnvironment")
        };
        goes_on = wanted && bare.ends_with('\\');
        if wanted {
            lines.push(line.to_owned());
        }
    }
    lines
}

fn note_delayed_registration(view: &mut View<'_>) -> Result<(), FsError> {
    let cmdline = view.boot().text(&ImagePath::new("/cmdline.txt")?, SETTINGS_LIMIT)?.unwrap_or_default();
    if cmdline.split_whitespace().any(|word| word == "systemd.unit=kernel-command-line.target") {
        view.note(
            "cmdline.txt on the boot partition starts a first-boot script (Imager's firstrun.sh) instead of the usual \
             units: the card registers at the boot after that",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_environment_of_a_drop_in_is_taken_over() {
        let text = "[Unit]\nEnvironment=no\n[Service]\nExecStart=\nEnvironment=a=1 \\\n  b=2\nRestart=no\n EnvironmentFile=-/etc/p\n";
        assert_eq!(environment_lines(text), ["Environment=a=1 \\", "  b=2", " EnvironmentFile=-/etc/p"]);
    }
}
