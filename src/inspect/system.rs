//! Which operating system an image holds.

use serde::Serialize;

use super::look_up::Looks;
use crate::fs::{FsError, ImagePath, Tree};

/// The operating system.
#[derive(Debug, Clone, Serialize)]
pub struct SystemFacts {
    /// `PRETTY_NAME` of os-release.
    pub name: Option<String>,
    /// The first two lines of `/etc/rpi-issue`: the date of the image, and what made it.
    pub issue: Option<String>,
    /// `/etc/hostname`.
    pub hostname: Option<String>,
    /// `arm64`, `armhf`, `amd64`: by the program that systemd is.
    pub architecture: Option<&'static str>,
    /// `set`, `empty`, `uninitialized` or `missing`.
    pub machine_id: &'static str,
    /// How many SSH host keys there are.
    pub host_keys: usize,
    /// Saved Wi-Fi networks.
    pub wifi: usize,
}

pub(super) fn look(root: &Looks<'_>) -> Result<SystemFacts, FsError> {
    let os = root.text("/etc/os-release")?.unwrap_or_default();
    let name = os.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).map(|name| name.trim_matches(['"', '\'']));
    let first_lines = |text: String| text.lines().take(2).collect::<Vec<_>>().join("; ");
    Ok(SystemFacts {
        name: name.map(str::to_owned),
        issue: root.text("/etc/rpi-issue")?.map(first_lines),
        hostname: root.text("/etc/hostname")?.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()),
        architecture: architecture(root.tree)?,
        machine_id: match root.text("/etc/machine-id")?.as_deref().map(str::trim) {
            None => "missing",
            Some("") => "empty",
            Some("uninitialized") => "uninitialized",
            Some(_) => "set",
        },
        host_keys: count(root, "/etc/ssh", |name| name.starts_with(b"ssh_host_") && name.ends_with(b"_key"))?,
        wifi: count(root, "/etc/NetworkManager/system-connections", |_| true)?,
    })
}

fn count(root: &Looks<'_>, directory: &str, wanted: impl Fn(&[u8]) -> bool) -> Result<usize, FsError> {
    // A minimal image has neither directory, and that is no damage.
    if !root.is_there(directory)? {
        return Ok(0);
    }
    let entries = root.tree.list(&root.tree.resolve(&ImagePath::new(directory)?)?)?;
    Ok(entries.iter().filter(|entry| wanted(&entry.name)).count())
}

/// From the ELF header: class at byte 4, machine at bytes 18 and 19 (elf.h).
fn architecture(root: &dyn Tree) -> Result<Option<&'static str>, FsError> {
    for path in ["/usr/lib/systemd/systemd", "/usr/bin/bash", "/bin/sh"] {
        let path = root.resolve(&ImagePath::new(path)?)?;
        let mut head = [0; 20];
        if root.stat(&path)?.is_some_and(|stat| stat.kind == crate::fs::FileKind::File)
            && root.read_part(&path, 0, &mut head)? == head.len()
            && head.starts_with(b"\x7fELF")
        {
            return Ok(match (head[4], u16::from_le_bytes([head[18], head[19]])) {
                // Class (1 is 32 bits, 2 is 64) and `EM_…` number.
                (2, 183) => Some("arm64"),
                (1, 40) => Some("armhf"),
                (2, 62) => Some("amd64"),
                (1, 3) => Some("i386"),
                (2, 243) => Some("riscv64"),
                _ => None,
            });
        }
    }
    Ok(None)
}
