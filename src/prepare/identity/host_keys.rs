//! SSH host keys, and the unit that makes new ones at the first boot: never the one without the other.
//!
//! Pi OS has `regenerate_ssh_host_keys.service`, which disables itself when it has run: on a card that was in use it is
//! there, but off. It is enabled where it really makes keys and nothing more is needed; else a unit of ours is added.

use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Action, Class, Content, PathRule, View, Volume};

const LIMIT: u64 = 1 << 20;
const SOURCE: &str = "sshd_config(5), HostKey; ssh-keygen(1), -A";
const WANTS: &str = "/etc/systemd/system";
const OWN_UNIT: &str = "cardsmith-host-keys.service";
const OWN_UNIT_TEXT: &str = include_str!("cardsmith-host-keys.service");
const OWN_SCRIPT: &str = "/usr/local/lib/cardsmith/host-keys";
const OWN_SCRIPT_TEXT: &str = include_str!("host-keys");
const VENDOR_UNIT: &str = "regenerate_ssh_host_keys.service";

/// A host key in a place of its own, which `ssh-keygen -A` does not know.
struct OddKey {
    path: ImagePath,
    kind: &'static str,
}

/// Proposes that host keys go and come again.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>) -> Result<(), FsError> {
    let odd = odd_keys(view)?;
    let usual = PathRule::new("/etc/ssh/ssh_host_*_key*", "an SSH host key", Class::Secret, Action::Remove, SOURCE);
    usual.propose(view)?;
    for key in &odd {
        view.remove(Volume::Root, &key.path, Class::Secret.because("an SSH host key that sshd_config names", SOURCE))?;
        let public = ImagePath::new([key.path.as_bytes(), b".pub"].concat())?;
        view.remove(Volume::Root, &public, Class::Identity.because("its public half", SOURCE))?;
    }
    let sshd = view.root().resolve(&ImagePath::new("/usr/sbin/sshd")?)?;
    if view.root().stat(&sshd)?.is_none() {
        return Ok(());
    }
    match vendor_unit(view)? {
        Some(vendor) if odd.is_empty() => enable_vendor(view, &vendor),
        _ => add_own_unit(view, &odd),
    }
}

/// Keys that HostKey lines name in other places than the usual one, also where they are not there yet: an image that was
/// stripped before must not lose the lines that make them.
fn odd_keys(view: &mut View<'_>) -> Result<Vec<OddKey>, FsError> {
    let mut files = vec![ImagePath::new("/etc/ssh/sshd_config")?];
    files.extend(view.find("/etc/ssh/sshd_config.d/*.conf")?);
    let mut keys: Vec<OddKey> = Vec::new();
    for file in files {
        let file = view.root().resolve(&file)?;
        let text = view.root().text(&file, LIMIT)?.unwrap_or_default();
        for name in text.lines().filter_map(host_key_of) {
            let Ok(path) = ImagePath::new(name) else { continue };
            let is_usual = path.as_bytes().starts_with(b"/etc/ssh/ssh_host_") && path.as_bytes().ends_with(b"_key");
            // Sockets of agents and the like are no files of the image.
            let is_file = view.root().stat(&path)?.is_none_or(|stat| stat.kind == FileKind::File)
                && !["/dev/", "/run/", "/proc/"].iter().any(|place| name.starts_with(place));
            if is_usual || !is_file || keys.iter().any(|key| key.path == path) {
                continue;
            }
            // The path goes into a shell script.
            if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._+-@".contains(&b)) {
                view.warn(format!("{path} is an SSH host key under a name that cardsmith does not write into a script: it stays, and all cards share it"));
                continue;
            }
            let kind = kind_of(view, &path)?;
            keys.push(OddKey { path, kind });
        }
    }
    Ok(keys)
}

/// The argument of a HostKey line.
fn host_key_of(line: &str) -> Option<&str> {
    let line = line.trim();
    let end = line.find(|c: char| c.is_whitespace() || c == '=')?;
    let (keyword, rest) = line.split_at(end);
    let value = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => value.split_whitespace().next()?,
    };
    keyword.eq_ignore_ascii_case("HostKey").then_some(value)
}

/// What `ssh-keygen -t` calls the key's type: as the public half says, as our script said before, else by its name.
fn kind_of(view: &View<'_>, path: &ImagePath) -> Result<&'static str, FsError> {
    let public = ImagePath::new([path.as_bytes(), b".pub"].concat())?;
    let script = view.root().text(&ImagePath::new(OWN_SCRIPT)?, LIMIT)?.unwrap_or_default();
    let end = format!(" {path}");
    let before = script.lines().find_map(|line| line.strip_prefix("make ")?.strip_suffix(&end).map(str::to_owned));
    let text = view.root().text(&public, LIMIT)?.or(before).unwrap_or_else(|| path.to_string());
    let first = text.split_whitespace().next().unwrap_or_default().to_owned();
    Ok(if first.contains("rsa") {
        "rsa"
    } else if first.contains("ecdsa") {
        "ecdsa"
    } else {
        "ed25519"
    })
}

/// The image's own unit, if it makes keys: where it is, and by which targets it wants to be wanted.
struct Vendor {
    path: ImagePath,
    wanted_by: Vec<String>,
}

fn vendor_unit(view: &View<'_>) -> Result<Option<Vendor>, FsError> {
    for directory in ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"] {
        let path = ImagePath::new(directory)?.join(VENDOR_UNIT)?;
        if view.root().stat(&path)?.is_none() {
            continue;
        }
        // A link to /dev/null masks the unit: it is not a regular file, and the ones below it do not count.
        let Some(text) = view.root().text(&view.root().resolve(&path)?, LIMIT)? else { return Ok(None) };
        let wanted_by: Vec<String> =
            values(&text, "WantedBy").flat_map(str::split_whitespace).map(str::to_owned).collect();
        let mut makes_keys = false;
        for command in values(&text, "ExecStart") {
            makes_keys |= command.contains("ssh-keygen -A") || script_makes_keys(view, command)?;
        }
        return Ok((makes_keys && !wanted_by.is_empty()).then_some(Vendor { path, wanted_by }));
    }
    Ok(None)
}

fn script_makes_keys(view: &View<'_>, command: &str) -> Result<bool, FsError> {
    let program = command.trim_start_matches(['-', '@', ':', '+', '!']).split_whitespace().next().unwrap_or_default();
    let Ok(path) = ImagePath::new(program) else { return Ok(false) };
    let path = view.root().resolve(&path)?;
    match view.root().stat(&path)? {
        Some(stat) if stat.kind == FileKind::File && stat.size <= LIMIT => {
            Ok(view.root().text(&path, LIMIT)?.is_some_and(|text| text.contains("ssh-keygen -A")))
        }
        _ => Ok(false),
    }
}

fn values<'t>(unit: &'t str, key: &'t str) -> impl Iterator<Item = &'t str> {
    unit.lines().filter_map(move |line| line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')).map(str::trim)
}

fn enable_vendor(view: &mut View<'_>, vendor: &Vendor) -> Result<(), FsError> {
    for target in &vendor.wanted_by {
        let Ok(link) = ImagePath::new(format!("{WANTS}/{target}.wants/{VENDOR_UNIT}")) else { continue };
        // Enabled already, by whatever path the link takes.
        if view.root().stat(&view.root().resolve(&link)?)?.is_some() {
            continue;
        }
        let why = "the image's own unit makes new SSH host keys at the first boot; it disabled itself on the old card";
        view.symlink(
            &link,
            &vendor.path.to_string(),
            Class::Code.because(why, "raspberrypi-sys-mods, regenerate_ssh_host_keys"),
        )?;
    }
    Ok(())
}

fn add_own_unit(view: &mut View<'_>, odd: &[OddKey]) -> Result<(), FsError> {
    let mut script = OWN_SCRIPT_TEXT.to_owned();
    for key in odd {
        script.push_str(&format!("make {} {}\n", key.kind, key.path));
    }
    let why = "makes the SSH host keys of every card, as the image has no unit that does all of it";
    let bytes = |text: &str| Content::Bytes(text.as_bytes().to_vec());
    let unit = ImagePath::new(WANTS)?.join(OWN_UNIT)?;
    view.write(Volume::Root, OWN_SCRIPT, bytes(&script), Attributes::root(0o755), Class::Code.because(why, SOURCE))?;
    view.write(Volume::Root, &unit, bytes(OWN_UNIT_TEXT), Attributes::root(0o644), Class::Code.because(why, SOURCE))?;
    let link = ImagePath::new(format!("{WANTS}/multi-user.target.wants/{OWN_UNIT}"))?;
    view.symlink(&link, &unit.to_string(), Class::Code.because("enables it", SOURCE))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_key_lines_are_read_as_sshd_reads_them() {
        assert_eq!(host_key_of("HostKey /etc/k"), Some("/etc/k"));
        assert_eq!(host_key_of("  hostkey=\"/etc/a b\" # x"), Some("/etc/a b"));
        assert_eq!(host_key_of("HOSTKEY\t=\t/k"), Some("/k"));
        assert_eq!(host_key_of("#HostKey /etc/k"), None);
        assert_eq!(host_key_of("HostKeyAlgorithms ssh-rsa"), None);
        assert_eq!(host_key_of("HostKey"), None);
    }
}
