//! What people and services leave behind.

use crate::audit::finding::Severity;
use crate::audit::options::AuditOptions;
use crate::audit::reader::{AuditError, AuditImage};
use crate::audit::rule::{Found, Rule};

/// `shell-history`
pub const HISTORY: Rule = Rule {
    id: "shell-history",
    severity: Severity::Warning,
    title: "what was typed on the machine",
    deep: false,
    check: history,
    page: "\
Looks for files that end in `history` in every home directory. They hold commands, and often passwords and codes.

Remedy: `cardsmith golden` removes them.",
};

/// `logs`
pub const LOGS: Rule = Rule {
    id: "logs",
    severity: Severity::Warning,
    title: "journals and logs of another machine",
    deep: false,
    check: logs,
    page: "\
Looks for journals below /var/log/journal and for auth.log, syslog and cloud-init logs with content. They name users,
hosts and ids, and `sudo` logs whole command lines, activation codes included.

Remedy: `cardsmith golden` removes them.",
};

/// `saved-wifi`
pub const WIFI: Rule = Rule {
    id: "saved-wifi",
    severity: Severity::Note,
    title: "saved Wi-Fi networks with their passwords",
    deep: false,
    check: wifi,
    page: "\
Looks for NetworkManager keyfiles and a wpa_supplicant.conf with a password. A fleet may want them, so this is a note;
`audit --strict` makes notes count.

Remedy: `[strip] also = [\"wifi\"]` in the recipe.",
};

/// `authorized-keys`
pub const AUTHORIZED_KEYS: Rule = Rule {
    id: "authorized-keys",
    severity: Severity::Note,
    title: "people who can log in with their SSH key",
    deep: false,
    check: authorized_keys,
    page: "\
Lists the authorized_keys files with their number of keys. A fleet may want them, so this is a note.

Remedy: `[strip] also = [\"authorized-keys\"]` in the recipe.",
};

fn history(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for home in image.homes()? {
        for name in image.names(&home)?.into_iter().filter(|name| name.starts_with('.') && name.ends_with("history")) {
            let path = format!("{home}/{name}");
            if image.stat(&path)?.is_some_and(|stat| stat.size > 0) {
                found(path, "holds what was typed".to_owned());
            }
        }
    }
    Ok(())
}

fn logs(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for path in image.files_below("/var/log")? {
        let name = path.rsplit('/').next().unwrap_or_default();
        // By their beginnings: rotated logs end in .1 or .gz.
        let telling = path.starts_with("/var/log/journal/")
            || ["auth.log", "syslog", "messages", "daemon.log", "user.log", "wtmp", "btmp", "lastlog", "cloud-init"]
                .iter()
                .any(|log| name.starts_with(log));
        if telling && image.stat(&path)?.is_some_and(|stat| stat.size > 0) {
            found(path, "is another machine's log".to_owned());
        }
    }
    Ok(())
}

fn wifi(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let keyfiles = image.files_below("/etc/NetworkManager/system-connections")?;
    for path in keyfiles.into_iter().chain(["/etc/wpa_supplicant/wpa_supplicant.conf".to_owned()]) {
        let text = image.text(&path)?.unwrap_or_default();
        // NetworkManager and wpa_supplicant write it alike.
        if text.lines().any(|line| line.trim_start().starts_with("psk=")) {
            found(path, "holds a Wi-Fi password".to_owned());
        }
    }
    Ok(())
}

fn authorized_keys(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for home in image.homes()? {
        let path = format!("{home}/.ssh/authorized_keys");
        let text = image.text(&path)?.unwrap_or_default();
        // Counted and not quoted: the comment of a key is mostly somebody's name.
        let keys = text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')).count();
        if keys > 0 {
            found(path, format!("lets in the owners of {keys} keys"));
        }
    }
    Ok(())
}
