//! What tells one machine from another.

use ext4_view::FileType;

use crate::audit::error::AuditError;
use crate::audit::finding::Severity;
use crate::audit::options::AuditOptions;
use crate::audit::reader::AuditImage;
use crate::audit::rule::{Found, Look, Rule};
use crate::strip;

/// `machine-id`
pub const MACHINE_ID: Rule = Rule {
    id: "machine-id",
    severity: Severity::Error,
    title: "a machine-id that every card would share",
    deep: false,
    look: Look::Code(machine_id),
    text: "\
/etc/machine-id (and D-Bus's copy) must be empty, absent or the word `uninitialized` on an image that cards are made
from; systemd then makes a new one at first boot (machine-id(5)).

The SSM agent's fingerprint is built on it, DHCP leases and journals too.

Remedy: `cardsmith golden` empties it. On a card that has booted, a machine-id is right: allow this rule.",
};

/// `host-keys`
pub const HOST_KEYS: Rule = Rule {
    id: "host-keys",
    severity: Severity::Error,
    title: "SSH host keys that every card would share",
    deep: false,
    look: Look::Code(host_keys),
    text: "\
Looks for /etc/ssh/ssh_host_*_key, and for what HostKey lines of sshd_config and its Includes name. Whoever has one card
could pose as every other.

Remedy: `cardsmith golden` removes them and makes sure that a unit makes new ones.",
};

/// `host-keys-regenerator`
pub const NO_REGENERATOR: Rule = Rule {
    id: "host-keys-regenerator",
    severity: Severity::Error,
    title: "no SSH host keys, and nothing enabled that would make them",
    deep: false,
    look: Look::Code(no_regenerator),
    text: "\
An image with sshd but without host keys needs an enabled unit that makes them: Pi OS ships
regenerate_ssh_host_keys.service, which disables itself after its first run. On an image taken from a card in use it is
off, and removing the keys kills SSH.

Remedy: `cardsmith golden` enables it, or adds a unit of its own.",
};

fn machine_id(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    const ID: &str = "/etc/machine-id";
    for path in [ID, "/var/lib/dbus/machine-id"] {
        // The usual D-Bus copy is a link to the other one; that is not a second finding.
        if path != ID
            && image.link(path)?.is_some()
            && image.settled(path.as_bytes())? == image.settled(ID.as_bytes())?
        {
            continue;
        }
        let text = image.text(path)?.unwrap_or_default();
        if !text.trim().is_empty() && text.trim() != "uninitialized" {
            found(path.into(), "is set; every card would have it".to_owned());
        }
    }
    Ok(())
}

/// Private host keys: under the usual names, and under those that sshd_config gives.
fn host_key_paths(image: &AuditImage) -> Result<Vec<Vec<u8>>, AuditError> {
    let names = image.names("/etc/ssh")?.into_iter();
    let usual = names.filter(|name| name.starts_with(b"ssh_host_") && name.ends_with(b"_key"));
    let mut paths: Vec<Vec<u8>> = usual.map(|name| [b"/etc/ssh/", name.as_slice()].concat()).collect();
    for named in super::sshd_config::arguments(image, &["hostkey", "hostdsakey"])? {
        let path = match named.strip_prefix(b"~/") {
            Some(rest) => [b"/root/", rest].concat(),
            None if named.starts_with(b"/") => named,
            // sshd's working directory is the root.
            None => [b"/", named.as_slice()].concat(),
        };
        if image.resolved(&path)?.is_some_and(|stat| stat.kind == FileType::Regular && stat.size > 0) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    paths.dedup();
    Ok(paths)
}

fn host_keys(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let keys = host_key_paths(image)?;
    for place in strip::find("host-keys").map(|row| row.places).unwrap_or_default() {
        for path in image.like(place)? {
            if !keys.contains(&path) {
                let text = "the public half of a host key, by which the old machine is known";
                found(path.into(), text.to_owned());
            }
        }
    }
    for path in keys {
        found(path.into(), "a private host key; every card would have it".to_owned());
    }
    Ok(())
}

fn no_regenerator(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    // Without sshd nobody misses the keys.
    let has_sshd = ["/usr/sbin/sshd", "/sbin/sshd"].iter().try_fold(false, |has, path| {
        Ok::<_, AuditError>(has || image.stat(path)?.is_some_and(|stat| stat.kind == FileType::Regular))
    })?;
    if !has_sshd || !host_key_paths(image)?.is_empty() {
        return Ok(());
    }
    // Any enabled unit that runs ssh-keygen -A will do; names differ between releases.
    for place in image.names("/etc/systemd/system")?.into_iter().filter(|name| name.ends_with(b".wants")) {
        for unit in image.names([b"/etc/systemd/system/", place.as_slice()].concat())? {
            if super::system::unit_text(image, &unit)?.is_some_and(|text| makes_host_keys(image, &text)) {
                return Ok(());
            }
        }
    }
    found("/etc/ssh".into(), "holds no host keys, and no enabled unit runs ssh-keygen: sshd will not start".to_owned());
    Ok(())
}

/// So much of a script is looked into.
const SCRIPT: u64 = 1 << 20;

fn makes_host_keys(image: &AuditImage, unit: &[u8]) -> bool {
    let lines = unit.split(|&byte| byte == b'\n');
    let commands = lines.filter_map(|line| {
        let rest = line.trim_ascii().strip_prefix(b"ExecStart")?;
        rest.get(rest.iter().position(|&byte| byte == b'=')? + 1..)
    });
    commands.into_iter().any(|command| {
        // Some units run ssh-keygen, others a script that does; one level is followed. `#!` keeps out programs that
        // hold the word.
        let flags = command.iter().take_while(|byte| b"-@+!".contains(byte)).count();
        let words = command.get(flags..).unwrap_or_default().split(u8::is_ascii_whitespace);
        let script = words.into_iter().find(|word| word.starts_with(b"/"));
        // Most are programs of megabytes: a script says so at once.
        let head = |most| script.and_then(|path| image.beginning(path, most).ok()).unwrap_or_default();
        let makes = |text: &[u8]| memchr::memmem::find(text, b"ssh-keygen").is_some();
        makes(command) || (head(2) == b"#!" && makes(&head(SCRIPT)))
    })
}
