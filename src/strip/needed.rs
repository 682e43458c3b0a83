//! What a system cannot be without: no line of a recipe takes it away.

use super::choices::{OwnFate, Strip};
use crate::fs::ImagePath;
use crate::prepare::Volume;
use crate::prepare::pattern::is_like;

/// Files without which nothing boots, or nobody logs in.
const NEEDED: [&str; 18] = [
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/gshadow",
    "/etc/fstab",
    "/etc/nsswitch.conf",
    "/etc/pam.d/common-auth",
    "/etc/machine-id",
    "/usr/bin/sh",
    "/usr/sbin/init",
    "/usr/lib/systemd/systemd",
    "/bin/sh",
    "/sbin/init",
    "/lib/systemd/systemd",
    "/var/lib/dpkg/status",
    "/home",
    "boot:/config.txt",
    "boot:/cmdline.txt",
];

/// What of the system a pattern would take with it: the pattern means it, or a directory that it is in.
pub fn needed_in(pattern: &str) -> Option<&'static str> {
    let (side, path) = match pattern.strip_prefix("boot:") {
        Some(path) => (true, path),
        None => (false, pattern),
    };
    // What is below a home is a person's.
    if path.starts_with('~') {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    NEEDED.into_iter().find(|needed| {
        let (on_boot, whole) = (needed.starts_with("boot:"), needed.trim_start_matches("boot:"));
        let names: Vec<&str> = whole.split('/').filter(|name| !name.is_empty()).collect();
        // `**` means whatever is below.
        let means = |(part, name): (&&str, &&str)| *part == "**" || is_like(name.as_bytes(), part.as_bytes());
        side == on_boot && parts.len() <= names.len() && parts.iter().zip(&names).all(means)
    })
}

/// Whether something at a path without links is needed, or has in it what is.
pub(super) fn is_needed(volume: Volume, path: &ImagePath) -> bool {
    NEEDED.iter().any(|needed| {
        let (side, whole) = match needed.strip_prefix("boot:") {
            Some(whole) => (Volume::Boot, whole),
            None => (Volume::Root, *needed),
        };
        side == volume && ImagePath::new(whole).is_ok_and(|needed| needed.is_within(path))
    })
}

/// The first path or rule of a recipe that would take a part of the system, and which.
pub fn needed_by_system(strip: &Strip) -> Option<(&str, &'static str)> {
    let removed = strip.remove.iter().map(String::as_str);
    let by_rules = strip.rules.iter().filter(|rule| rule.fate != OwnFate::Name).map(|rule| rule.path.as_str());
    removed.chain(by_rules).find_map(|path| Some((path, needed_in(path)?)))
}

#[cfg(test)]
mod tests {
    use super::needed_in;

    #[test]
    fn what_a_system_needs_is_known_by_every_pattern_that_means_it() {
        for (pattern, needed) in [
            ("/etc/passwd", "/etc/passwd"),
            ("/etc", "/etc/passwd"),
            ("/etc/pass*", "/etc/passwd"),
            ("/*/fstab", "/etc/fstab"),
            ("/etc/**", "/etc/passwd"),
            ("/usr/", "/usr/bin/sh"),
            ("/home", "/home"),
            ("boot:/*.txt", "boot:/config.txt"),
        ] {
            assert_eq!(needed_in(pattern), Some(needed), "{pattern}");
        }
        for pattern in
            ["/etc/passwd-", "/etc/motd", "/home/pi", "~/x", "boot:/custom.toml", "/var/lib/app", "~/.config"]
        {
            assert_eq!(needed_in(pattern), None, "{pattern}");
        }
    }
}
