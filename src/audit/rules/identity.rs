//! What tells one machine from another.

use ext4_view::FileType;

use crate::audit::finding::Severity;
use crate::audit::options::AuditOptions;
use crate::audit::reader::{AuditError, AuditImage};
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
    for path in ["/etc/machine-id", "/var/lib/dbus/machine-id"] {
        // The usual D-Bus copy is a link to the other one; that is not a second finding.
        if image.link(path)?.is_some() {
            continue;
        }
        let text = image.text(path)?.unwrap_or_default();
        if !text.trim().is_empty() && text.trim() != "uninitialized" {
            found(path.to_owned(), "is set; every card would have it".to_owned());
        }
    }
    Ok(())
}

/// Private host keys: under the usual names, and under those that sshd_config gives.
fn host_key_paths(image: &AuditImage) -> Result<Vec<String>, AuditError> {
    let names = image.names("/etc/ssh")?.into_iter();
    let usual = names.filter(|n| n.starts_with("ssh_host_") && n.ends_with("_key")).map(|n| format!("/etc/ssh/{n}"));
    let mut paths: Vec<String> = usual.collect();
    for named in super::sshd_config::arguments(image, &["hostkey", "hostdsakey"])? {
        let path = match named.strip_prefix("~/") {
            Some(rest) => format!("/root/{rest}"),
            None if named.starts_with('/') => named,
            // sshd's working directory is the root.
            None => format!("/{named}"),
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
            let path = String::from_utf8_lossy(&path).into_owned();
            if !keys.contains(&path) {
                found(path, "the public half of a host key, by which the old machine is known".to_owned());
            }
        }
    }
    for path in keys {
        found(path, "a private host key; every card would have it".to_owned());
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
    for place in image.names("/etc/systemd/system")?.into_iter().filter(|name| name.ends_with(".wants")) {
        for unit in image.names(&format!("/etc/systemd/system/{place}"))? {
            if super::system::unit_text(image, &unit)?.is_some_and(|text| makes_host_keys(image, &text)) {
                return Ok(());
            }
        }
    }
    found(
        "/etc/ssh".to_owned(),
        "holds no host keys, and no enabled unit runs ssh-keygen: sshd will not start".to_owned(),
    );
    Ok(())
}

/// So much of a script is looked into.
const SCRIPT: u64 = 1 << 20;

fn makes_host_keys(image: &AuditImage, unit: &str) -> bool {
    let commands = unit.lines().filter_map(|line| line.trim().strip_prefix("ExecStart"));
    commands.filter_map(|rest| rest.split_once('=')).any(|(_, command)| {
        // Some units run ssh-keygen, others a script that does; one level is followed. `#!` keeps out programs that
        // hold the word.
        let script = command.trim_start_matches(['-', '@', '+', '!']).split_whitespace().find(|w| w.starts_with('/'));
        // Most are programs of megabytes: a script says so at once.
        let head = |most| script.and_then(|path| image.beginning(path.as_bytes(), most).ok()).unwrap_or_default();
        let in_script = || head(2) == b"#!" && memchr::memmem::find(&head(SCRIPT), b"ssh-keygen").is_some();
        command.contains("ssh-keygen") || in_script()
    })
}
