//! What tells one machine from another.

use ext4_view::FileType;

use crate::audit::finding::Severity;
use crate::audit::options::AuditOptions;
use crate::audit::reader::{AuditError, AuditImage};
use crate::audit::rule::{Found, Rule};

/// `machine-id`
pub const MACHINE_ID: Rule = Rule {
    id: "machine-id",
    severity: Severity::Error,
    title: "a machine-id that every card would share",
    deep: false,
    check: machine_id,
    page: "\
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
    check: host_keys,
    page: "\
Looks for /etc/ssh/ssh_host_*_key. Whoever has one card could pose as every other.

Remedy: `cardsmith golden` removes them and makes sure that a unit makes new ones.",
};

/// `host-keys-regenerator`
pub const NO_REGENERATOR: Rule = Rule {
    id: "host-keys-regenerator",
    severity: Severity::Error,
    title: "no SSH host keys, and nothing enabled that would make them",
    deep: false,
    check: no_regenerator,
    page: "\
An image with sshd but without host keys needs an enabled unit that makes them: Pi OS ships
regenerate_ssh_host_keys.service, which disables itself after its first run. On an image taken from a card in use it is
off, and removing the keys kills SSH.

Remedy: `cardsmith golden` enables it, or adds a unit of its own.",
};

/// `random-seed`
pub const RANDOM_SEED: Rule = Rule {
    id: "random-seed",
    severity: Severity::Warning,
    title: "a random seed that every card would share",
    deep: false,
    check: random_seed,
    page: "\
/var/lib/systemd/random-seed and credential.secret must not be shared between machines
(systemd-random-seed.service(8)).

Remedy: `cardsmith golden` removes them; systemd makes new ones.",
};

/// `cloud-init-state`
pub const CLOUD_INIT: Rule = Rule {
    id: "cloud-init-state",
    severity: Severity::Warning,
    title: "cloud-init believes that it has already run",
    deep: false,
    check: cloud_init,
    page: "\
/var/lib/cloud/instance(s) and sem say that cloud-init has set up this machine; it may then skip what a new card needs,
and instance data can hold passwords and codes.

Remedy: `cardsmith golden` removes the instance state.",
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

fn host_key_paths(image: &AuditImage) -> Result<Vec<String>, AuditError> {
    let names = image.names("/etc/ssh")?.into_iter();
    Ok(names.filter(|n| n.starts_with("ssh_host_") && n.ends_with("_key")).map(|n| format!("/etc/ssh/{n}")).collect())
}

fn host_keys(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for path in host_key_paths(image)? {
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

fn makes_host_keys(image: &AuditImage, unit: &str) -> bool {
    let commands = unit.lines().filter_map(|line| line.trim().strip_prefix("ExecStart"));
    commands.filter_map(|rest| rest.split_once('=')).any(|(_, command)| {
        // Some units run ssh-keygen, others a script that does; one level is followed. `#!` keeps out programs that
        // hold the word.
        let script = command.trim_start_matches(['-', '@', '+', '!']).split_whitespace().find(|w| w.starts_with('/'));
        let in_script = script.and_then(|path| image.text(path).ok().flatten()).unwrap_or_default();
        command.contains("ssh-keygen") || (in_script.starts_with("#!") && in_script.contains("ssh-keygen"))
    })
}

fn random_seed(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for path in ["/var/lib/systemd/random-seed", "/var/lib/systemd/credential.secret"] {
        // An empty file gives no two cards the same seed.
        if image.stat(path)?.is_some_and(|stat| stat.size > 0) {
            found(path.to_owned(), "every card would have it".to_owned());
        }
    }
    Ok(())
}

fn cloud_init(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for path in ["/var/lib/cloud/instance", "/var/lib/cloud/instances", "/var/lib/cloud/sem"] {
        let stat = image.stat(path)?;
        // `instance` is a link, and says that there was a boot even where it leads nowhere.
        let full = stat.is_some_and(|stat| stat.kind == FileType::Symlink) || !image.names(path)?.is_empty();
        if full {
            found(path.to_owned(), "is left of another machine's first boot".to_owned());
        }
    }
    Ok(())
}
