//! Scripts that would register a card by themselves, with somebody's activation: first-boot scripts on the boot partition
//! and home-made units. They are found by what they say, and shown by file and line, never by content.

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, View, Volume, pattern};

const LIMIT: u64 = 256 << 10;
/// Where people put such scripts.
const LOOKED_AT: [&str; 11] = [
    "boot:/user-data",
    "boot:/firstrun.sh",
    "boot:/custom.toml",
    "boot:/rpi-preseed.toml",
    "/etc/rc.local",
    "/etc/systemd/system/*.service",
    "/etc/cron.d/*",
    "/usr/local/bin/*",
    "/usr/local/sbin/*",
    "/var/lib/cloud/seed/*/user-data",
    "~/*.sh",
];

/// Proposes that a first-boot script goes which has run, and warns of what would register with an activation of its own.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>) -> Result<(), FsError> {
    spent_firstrun(view)?;
    for pattern in LOOKED_AT {
        let volume = pattern::volume_of(pattern);
        for path in view.find(pattern)? {
            let small = |stat: &crate::fs::Stat| stat.kind == FileKind::File && stat.size <= LIMIT;
            if !view.tree(volume).stat(&path)?.is_some_and(|stat| small(&stat)) {
                continue;
            }
            let text = view.tree(volume).text(&path, LIMIT)?.unwrap_or_default();
            let lines: Vec<String> = text
                .lines()
                .enumerate()
                .filter(|(_, line)| registers(line))
                .map(|(index, _)| (index + 1).to_string())
                .collect();
            if !lines.is_empty() {
                let side = if volume == Volume::Boot { "on the boot partition " } else { "" };
                view.warn(format!(
                    "{path} {side}(line {}) registers an SSM agent with an activation of its own, or holds an \
                     activation code: it would do so on every card. Take it out of the base image",
                    lines.join(", ")
                ));
            }
        }
    }
    Ok(())
}

/// Whether a line of a script registers an agent, or is about an activation code.
fn registers(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let about_agent = line.contains("amazon-ssm-agent") || line.contains("ssm-setup-cli");
    (about_agent && line.contains("-register"))
        || ["activationcode=", "activation_code=", "activation-code "].iter().any(|word| line.contains(word))
}

/// Imager's firstrun.sh deletes itself and its words in cmdline.txt. One that cmdline.txt does not name never runs, but
/// holds the user's password hash and the Wi-Fi password.
fn spent_firstrun(view: &mut View<'_>) -> Result<(), FsError> {
    let (script, cmdline) = (ImagePath::new("/firstrun.sh")?, ImagePath::new("/cmdline.txt")?);
    let Some(words) = view.boot().text(&cmdline, LIMIT)? else { return Ok(()) };
    if !words.contains("firstrun.sh") {
        let why = "a first-boot script that nothing starts any more; such scripts hold passwords";
        view.remove(Volume::Boot, &script, Class::Secret.because(why, "rpi-imager, firstrun.sh"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_register_are_told_from_others() {
        assert!(registers("sudo amazon-ssm-agent -register -y -code \"$C\" -id $I"));
        assert!(registers("/tmp/ssm-setup-cli -register -activation-code x"));
        assert!(registers("ACTIVATION_CODE=abc"));
        assert!(!registers("systemctl restart amazon-ssm-agent"));
        assert!(!registers("# registers nothing"));
    }
}
