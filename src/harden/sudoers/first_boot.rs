//! What would bring rules without a password back at the first boot: cloud-init writes `/etc/sudoers.d/90-cloud-init-users`
//! from the `sudo:` of its users, from user-data on the boot partition or the default user of cloud.cfg.
//!
//! In cloud-init's files `NOPASSWD:` becomes `PASSWD:` wherever it stands outside a comment, which is right for every way
//! to write it (a text, a list, flow style, JSON, the content of write_files), keeps everything else byte for byte, and
//! cannot break the YAML. Scripts are only reported: there the same letters may well be part of what removes a rule.

use zeroize::Zeroizing;

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, View, Volume, pattern};

const LIMIT: u64 = 16 << 20;
const SOURCE: &str = "cloud-init, cloudinit/distros/__init__.py, write_sudo_rules()";

/// cloud-init's own settings, and what it is given as data. Those on the boot partition and in seeds hold password hashes.
const CLOUD_INIT: [(&str, bool); 6] = [
    ("/etc/cloud/cloud.cfg", false),
    ("/etc/cloud/cloud.cfg.d/*.cfg", false),
    ("/var/lib/cloud/seed/*/user-data", true),
    ("/var/lib/cloud/seed/*/vendor-data", true),
    ("boot:/user-data", true),
    ("boot:/vendor-data", true),
];

/// First-boot scripts and settings of Imager that are not cloud-init's.
const SCRIPTS: [&str; 4] = ["boot:/firstrun.sh", "boot:/custom.toml", "boot:/rpi-preseed.toml", "boot:/network-config"];

/// Proposes the changes to cloud-init's files, and says what cannot be changed.
pub(super) fn neutralise(view: &mut View<'_>) -> Result<(), FsError> {
    for (pattern, private) in CLOUD_INIT {
        for path in view.find(pattern)? {
            file(view, pattern::volume_of(pattern), &path, private)?;
        }
    }
    for pattern in SCRIPTS {
        for path in view.find(pattern)? {
            let Some((_, text)) = read(view, pattern::volume_of(pattern), &path)? else { continue };
            if mentions(&text) {
                view.warn(format!(
                    "{path} on the boot partition runs at the first boot and speaks of NOPASSWD: look at it, a rule \
                     without a password that it writes would be on every card"
                ));
            }
        }
    }
    Ok(())
}

/// A text that may hold password hashes.
type Private = Zeroizing<Vec<u8>>;

/// The regular file that `path` leads to: where it really is, and what it holds.
fn read(view: &View<'_>, volume: Volume, path: &ImagePath) -> Result<Option<(ImagePath, Private)>, FsError> {
    let side = view.tree(volume);
    let path = side.resolve(path)?;
    match side.stat(&path)? {
        Some(stat) if stat.kind == FileKind::File => {
            let text = Zeroizing::new(side.read(&path, LIMIT)?);
            Ok(Some((path, text)))
        }
        _ => Ok(None),
    }
}

fn file(view: &mut View<'_>, volume: Volume, path: &ImagePath, private: bool) -> Result<(), FsError> {
    let Some((path, text)) = read(view, volume, path)? else { return Ok(()) };
    let Some(stat) = view.tree(volume).stat(&path)? else { return Ok(()) };
    if text.starts_with(b"#!") {
        if mentions(&text) {
            view.warn(format!("{path} is a script for cloud-init that speaks of NOPASSWD: look at what it does"));
        }
        return Ok(());
    }
    if is_opaque(&text) {
        view.warn(format!(
            "{path} holds parts that are compressed or in base64: whether cloud-init would make rules without a password \
             from them was not looked at"
        ));
    }
    let new = asking_for_passwords(&text);
    if new != *text {
        let why = "cloud-init would let a user become root without a password at the first boot";
        let content = if private { Content::Secret(Zeroizing::new(new.clone())) } else { Content::Bytes(new.clone()) };
        view.write(volume, &path, content, stat.attributes, Class::Privilege.because(why, SOURCE))?;
        if private {
            // Its text is not shown in the plan.
            view.note(format!(
                "{path}: \"NOPASSWD:\" becomes \"PASSWD:\", so that cloud-init's users need a password for sudo"
            ));
        }
    }
    if mentions(&new) {
        view.warn(format!("{path} still speaks of NOPASSWD in a way that was not understood: look at it"));
    }
    Ok(())
}

/// Whether a line is a comment in YAML and would be one in sudoers: `#1000` is a user there.
fn is_comment(line: &[u8]) -> bool {
    match line.trim_ascii_start() {
        [b'#', c, ..] => !c.is_ascii_digit(),
        [b'#'] => true,
        _ => false,
    }
}

fn mentions(text: &[u8]) -> bool {
    let lines = text.split(|&c| c == b'\n').filter(|line| !is_comment(line));
    lines.into_iter().any(|line| find(line, b"NOPASSWD").is_some())
}

/// Parts that only cloud-init can read: gzip, MIME in base64, `encoding: b64` and `!!binary`.
fn is_opaque(text: &[u8]) -> bool {
    // pi-gen's own user-data shows in a comment what could stand there.
    let meant = text.split_inclusive(|&c| c == b'\n').filter(|line| !is_comment(line)).collect::<Vec<_>>().concat();
    let lower = meant.to_ascii_lowercase();
    text.starts_with(&[0x1f, 0x8b])
        || [
            &b"content-transfer-encoding: base64"[..],
            b"encoding: b64",
            b"encoding: base64",
            b"encoding: gz",
            b"!!binary",
        ]
        .iter()
        .any(|sign| find(&lower, sign).is_some())
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// The text in which every `NOPASSWD:` outside a comment is a `PASSWD:`, and every `!authenticate` an `authenticate`.
fn asking_for_passwords(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|&c| c == b'\n') {
        if is_comment(line) {
            out.extend_from_slice(line);
            continue;
        }
        let mut rest = line;
        while let Some((&c, after)) = rest.split_first() {
            let inside_word = out.last().is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_');
            let is_tag = rest.strip_prefix(b"NOPASSWD").is_some_and(|tail| tail.trim_ascii_start().starts_with(b":"));
            if is_tag && !inside_word {
                rest = rest.get(2..).unwrap_or_default();
                continue;
            }
            rest = after;
            if !(c == b'!' && after.starts_with(b"authenticate")) {
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_it_asks_for_a_password() {
        for (text, expected) in [
            ("    sudo: ALL=(ALL) NOPASSWD:ALL\n", "    sudo: ALL=(ALL) PASSWD:ALL\n"),
            ("sudo: [\"ALL=(ALL) NOPASSWD : ALL\"]", "sudo: [\"ALL=(ALL) PASSWD : ALL\"]"),
            (
                "{\"users\":[{\"sudo\":\"ALL=(ALL) NOPASSWD:ALL\"}]}",
                "{\"users\":[{\"sudo\":\"ALL=(ALL) PASSWD:ALL\"}]}",
            ),
            ("  sudo:\n  - ALL=(ALL) NOPASSWD:ALL, NOPASSWD:X", "  sudo:\n  - ALL=(ALL) PASSWD:ALL, PASSWD:X"),
            ("  # sudo: ALL=(ALL) NOPASSWD:ALL\nsudo: null\n", "  # sudo: ALL=(ALL) NOPASSWD:ALL\nsudo: null\n"),
            ("   #1000 ALL=(ALL) NOPASSWD: ALL\n", "   #1000 ALL=(ALL) PASSWD: ALL\n"),
            ("   Defaults:pi !authenticate\n", "   Defaults:pi authenticate\n"),
            ("X_NOPASSWD: NOPASSWD", "X_NOPASSWD: NOPASSWD"),
        ] {
            assert_eq!(String::from_utf8(asking_for_passwords(text.as_bytes())).unwrap(), expected);
        }
    }
}
