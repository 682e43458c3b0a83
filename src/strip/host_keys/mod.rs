//! SSH host keys, and the unit that makes new ones at the first boot: never the one without the other.
//!
//! Pi OS has `regenerate_ssh_host_keys.service`, which disables itself when it has run: on a card that was in use it is
//! there, but off. It is enabled where it really makes keys and nothing more is needed; else a unit of ours is added.

use super::choices::Strip;
use super::rule::Severity::{Error, Warning};
use super::rule::{Rule, rule};
use super::sshd::{SshdConfig, from_root};
use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::Class::Secret;
use crate::prepare::{Class, Content, SETTINGS_LIMIT, StepError, View, Volume};

const SOURCE: &str = "sshd_config(5), HostKey; ssh-keygen(1), -A";
const WANTS: &str = "/etc/systemd/system";
const OWN_UNIT: &str = "cardsmith-host-keys.service";
const OWN_UNIT_TEXT: &str = include_str!("cardsmith-host-keys.service");
const OWN_SCRIPT: &str = "/usr/local/lib/cardsmith/host-keys";
const OWN_SCRIPT_TEXT: &str = include_str!("host-keys");
const VENDOR_UNIT: &str = "regenerate_ssh_host_keys.service";
/// An SSH host key as `ssh-keygen` writes it.
const KEY: &str = "-----BEGIN OPENSSH PRIVATE \
    KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n-----END OPENSSH PRIVATE \
    KEY-----\n";

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "host-keys",
        "SSH host keys, and those that HostKey and HostCertificate lines of sshd_config name: whoever has one card could \
         pose as every other",
        Secret,
    )
    .at(&["/etc/ssh/ssh_host_*_key", "/etc/ssh/ssh_host_*_key.pub", "/etc/ssh/ssh_host_*-cert.pub"])
    .part(Error)
    .audited_as("host-keys")
    .named(&["host-keys"])
    .back("a unit that makes new ones at the first boot is enabled, or added")
    .source(SOURCE)
    .example(KEY),
    rule("ssh-old-host-keys", "host keys put aside, or of a server that reads another folder", Secret)
        .at(&[
            "/etc/ssh/ssh_host_*_key.*",
            "/etc/ssh/ssh_host_*_key~",
            "/etc/ssh/*/ssh_host_*_key*",
            "/etc/ssh.*/ssh_host_*_key*",
            "/etc/ssh-*/ssh_host_*_key*",
            "/etc/ssh_*/ssh_host_*_key*",
            "/etc/sftp/ssh_host_*_key*",
        ])
        .removed(Error)
        .named(&["ssh-old-host-keys", "host-keys"])
        .back("the unit that makes host keys makes those that sshd reads")
        .source("ssh-keygen(1), -A; sshd_config(5), HostKey, HostCertificate")
        .example(KEY),
    rule("dropbear-host-keys", "host keys of dropbear, for which cardsmith knows no unit that makes new ones", Secret)
        .at(&[
            "/etc/dropbear/dropbear_*_host_key",
            "/etc/dropbear/initramfs/dropbear_*_host_key",
            "/etc/dropbear-initramfs/dropbear_*_host_key",
        ])
        .stays(Warning)
        .named(&["dropbear-host-keys", "host-keys"])
        .back("`dpkg-reconfigure dropbear-bin`, or `dropbear -R`, which makes keys when it is asked for one")
        .source("dropbear(8), -R; Debian, dropbear-bin.postinst")
        .example("\0\0\0\u{b}ssh-ed25519\0\0\0@K7mQ2xVw9Zr4Tn6Ys8Lp1Bd3FhJkPq5u"),
];

/// A host key in a place of its own, which `ssh-keygen -A` does not know.
struct OddKey {
    path: ImagePath,
    kind: &'static str,
}

/// Proposes that host keys go and come again.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>, strip: &Strip) -> Result<(), StepError> {
    let Some(rule) = RULES.first().filter(|_| !strip.keeps("host-keys")) else {
        view.warn("the recipe keeps the SSH host keys: whoever has one card can pass for all of them");
        return Ok(());
    };
    let config = SshdConfig::read(&view.root())?;
    say_what_is_elsewhere(view, &config);
    let odd = odd_keys(view, &config)?;
    for place in rule.places {
        for path in view.find(place)? {
            remove(view, &path, Class::Secret, "an SSH host key")?;
        }
    }
    for key in &odd {
        remove(view, &key.path, Class::Secret, "an SSH host key that sshd_config names")?;
        for ending in [&b".pub"[..], b"-cert.pub"] {
            let public = ImagePath::new([key.path.as_bytes(), ending].concat())?;
            remove(view, &public, Class::Identity, "its public half")?;
        }
    }
    for certificate in &config.host_certificates {
        let Ok(path) = from_root(certificate) else { continue };
        remove(view, &path, Class::Identity, "a certificate of the old host key, which says whose it is")?;
    }
    let sshd = view.root().resolve(&ImagePath::new("/usr/sbin/sshd")?)?;
    if view.root().stat(&sshd)?.is_none() {
        return Ok(());
    }
    match vendor_unit(view)? {
        Some(vendor) if odd.is_empty() => enable_vendor(view, &vendor)?,
        _ => add_own_unit(view, &odd)?,
    }
    Ok(())
}

/// Removes a file, and where its name is a link, the file that it leads to as well. A configuration can name anything:
/// what is no file is none of ours.
fn remove(view: &mut View<'_>, path: &ImagePath, class: Class, why: &'static str) -> Result<(), FsError> {
    let file = view.root().resolve(path)?;
    let is_file = |stat: crate::fs::Stat| stat.kind == FileKind::File;
    let leads_to_file = view.root().stat(&file)?.is_some_and(is_file);
    if leads_to_file && file != *path {
        view.remove(Volume::Root, &file, class.because(why, SOURCE))?;
    }
    // A link to nothing is what is left of a key.
    if view.root().stat(path)?.is_some_and(|stat| stat.kind == FileKind::Symlink || stat.kind == FileKind::File) {
        view.remove(Volume::Root, path, class.because(why, SOURCE))?;
    }
    Ok(())
}

/// What the configuration says of keys that are not found here.
fn say_what_is_elsewhere(view: &mut View<'_>, config: &SshdConfig) {
    for unread in &config.unread {
        view.warn(format!("sshd_config: {unread}; host keys that are named there stay, and all cards share them"));
    }
    for file in &config.other_files {
        view.warn(format!(
            "sshd is started with `-f {file}`: its host keys go, too, but [ssh] writes to /etc/ssh/sshd_config"
        ));
    }
    if config.has_agent {
        view.warn(
            "sshd_config names a HostKeyAgent: its keys are kept elsewhere and are not stripped; give each \
            card an agent of its own",
        );
    }
}

/// Keys that HostKey lines name in other places than the usual one, also where they are not there yet: an image that was
/// stripped before must not lose the lines that make them.
fn odd_keys(view: &mut View<'_>, config: &SshdConfig) -> Result<Vec<OddKey>, FsError> {
    let mut keys: Vec<OddKey> = Vec::new();
    for name in &config.host_keys {
        let Ok(path) = from_root(name) else {
            view.warn(
                "a HostKey line of sshd_config names what is no path: if there is a key, it stays, and all \
                cards share it",
            );
            continue;
        };
        let absolute = path.as_bytes().to_vec();
        let is_usual = absolute.starts_with(b"/etc/ssh/ssh_host_") && absolute.ends_with(b"_key");
        // Sockets of agents and the like are no files of the image.
        let is_file = view.root().stat(&view.root().resolve(&path)?)?.is_none_or(|stat| stat.kind == FileKind::File)
            && ![&b"/dev/"[..], b"/run/", b"/proc/"].iter().any(|place| absolute.starts_with(place));
        if is_usual || !is_file || keys.iter().any(|key| key.path == path) {
            continue;
        }
        // The path goes into a shell script.
        if !absolute.iter().all(|b| (b.is_ascii_graphic() || *b == b' ') && *b != b'\'') {
            view.warn(format!(
                "{path} is an SSH host key under a name that cardsmith does not write into a script: \
                it stays, and all cards share it"
            ));
            continue;
        }
        let kind = kind_of(view, &path)?;
        keys.push(OddKey { path, kind });
    }
    Ok(keys)
}

/// A path for a shell script; there is no `'` in it.
fn quoted(path: &ImagePath) -> String {
    let is_plain = path.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"/._+-@".contains(b));
    if is_plain { path.to_string() } else { format!("'{}'", String::from_utf8_lossy(path.as_bytes())) }
}

/// What `ssh-keygen -t` calls the key's type: as the public half says, as our script said before, else by its name.
fn kind_of(view: &View<'_>, path: &ImagePath) -> Result<&'static str, FsError> {
    let public = ImagePath::new([path.as_bytes(), b".pub"].concat())?;
    let script = view.root().text(&ImagePath::new(OWN_SCRIPT)?, SETTINGS_LIMIT)?.unwrap_or_default();
    let end = format!(" {}", quoted(path));
    let before = script.lines().find_map(|line| line.strip_prefix("make ")?.strip_suffix(&end).map(str::to_owned));
    let text = view.root().text(&public, SETTINGS_LIMIT)?.or(before).unwrap_or_else(|| path.to_string());
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
        let Some(text) = view.root().text(&view.root().resolve(&path)?, SETTINGS_LIMIT)? else { return Ok(None) };
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
        Some(stat) if stat.kind == FileKind::File && stat.size <= SETTINGS_LIMIT => {
            Ok(view.root().text(&path, SETTINGS_LIMIT)?.is_some_and(|text| text.contains("ssh-keygen -A")))
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
        view.symlink(&link, &vendor.path, Class::Code.because(why, "raspberrypi-sys-mods, regenerate_ssh_host_keys"))?;
    }
    Ok(())
}

fn add_own_unit(view: &mut View<'_>, odd: &[OddKey]) -> Result<(), FsError> {
    let mut script = OWN_SCRIPT_TEXT.to_owned();
    for key in odd {
        script.push_str(&format!("make {} {}\n", key.kind, quoted(&key.path)));
    }
    let why = "makes the SSH host keys of every card, as the image has no unit that does all of it";
    let bytes = |text: &str| Content::Bytes(text.as_bytes().to_vec());
    let unit = ImagePath::new(WANTS)?.join(OWN_UNIT)?;
    view.write(Volume::Root, OWN_SCRIPT, bytes(&script), Attributes::root(0o755), Class::Code.because(why, SOURCE))?;
    view.write(Volume::Root, &unit, bytes(OWN_UNIT_TEXT), Attributes::root(0o644), Class::Code.because(why, SOURCE))?;
    let link = ImagePath::new(format!("{WANTS}/multi-user.target.wants/{OWN_UNIT}"))?;
    view.symlink(&link, &unit, Class::Code.because("enables it", SOURCE))?;
    Ok(())
}
