//! Logs: emptied rather than removed where they are live, as pi-gen does when it exports an image, because a daemon that
//! gave up its privileges cannot make its file again.

use super::behind::{Behind, Looker};
use super::choices::Strip;
use super::proposal;
use super::rule::Severity::{Note, Warning};
use super::rule::{Rule, rule};
use crate::fs::{FileKind, ImagePath, Tree};
use crate::prepare::Class::{Log, Secret, Transient};
use crate::prepare::{Class, StepError, View, Volume};

const SOURCE: &str = "pi-gen, export-image/05-finalise";
/// Directories inside directories are only followed so far: an image is untrusted.
const DEEPEST: usize = 16;

/// The rules.
pub const RULES: &[Rule] = &[
    rule("journal", "the journal, with the old machine's id in its folder's name", Log)
        .at(&["/var/log/journal/*", "/run/log/journal/*"])
        .part(Warning)
        .named(&["logs"])
        .back("journald makes the folder of the new machine's id")
        .source("systemd-journald.service(8)")
        .example_in("system.journal", "LPKSHHRH 7d3f9a1c5e2b8046 _HOSTNAME=old-kiosk-4711\n"),
    rule("logs", "logs: older ones (rotated, compressed) go, the others are emptied; folders stay", Log)
        .at(&["/var/log/**"])
        .part(Warning)
        .named(&["logs"])
        .back("each service writes its own again")
        .source(SOURCE)
        .example(
            "Jan  2 03:04:05 old-kiosk sudo: pi : COMMAND=/usr/bin/amazon-ssm-agent -register -code Zm9vYmFyMTIz\n",
        ),
    rule("crash-dumps", "memory of programs that crashed", Secret)
        .at(&[
            "/var/lib/systemd/coredump/*",
            "/var/crash/*",
            "/var/lib/apport/coredump/*",
            "/var/lib/systemd/pstore/*",
            "/var/spool/abrt/*",
        ])
        .removed(Warning)
        .named(&["crash-dumps"])
        .back("")
        .source("systemd-coredump(8); systemd-pstore.service(8); apport; kdump; abrt")
        .example("\u{7f}ELF core of agent with token Q2FyZHNtaXRoLWNvcmUtZHVtcA\n"),
    rule("mail", "mail on the machine, mostly of cron", Log)
        .at(&["/var/mail/*", "/var/spool/mail/*"])
        .removed(Warning)
        .named(&["mail", "logs"])
        .back("")
        .source("hier(7); exim4(8), spool directory; postfix, deferred queue")
        .example("From root@old-kiosk Fri Jan  2 03:04:05 2026\nSubject: Cron <root@old-kiosk-4711> backup\n"),
    rule("temporary-files", "temporary files", Transient)
        .at(&["/tmp", "/var/tmp"])
        .cleared(Note)
        .named(&["temporary-files"])
        .back("")
        .source("hier(7)")
        .example_in("left-behind.txt", "a temporary note with 8f2a61c9d0b7e354 in it\n"),
];

/// Proposes that everything in `/var/log` is emptied, and that what logrotate put aside goes.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>, strip: &Strip) -> Result<(), StepError> {
    if strip.keeps("logs") {
        return Ok(());
    }
    let named = ImagePath::new("/var/log")?;
    let top = view.root().resolve(&named)?;
    // Logs are put on another disk, or in memory, by a link; what it leads to must be for logs alone.
    let is_for_logs = |path: &ImagePath| path.components().any(|part| part.windows(3).any(|word| word == b"log"));
    if top != named && !is_for_logs(&top) && !top.as_bytes().starts_with(b"/run/") {
        view.block(format!(
            "/var/log is a link to {top}: everything there would be emptied as a log. Take the link out of the base image, or say \
             keep = [\"logs\"]"
        ));
        return Ok(());
    }
    for rule in RULES.iter().filter(|rule| rule.id == "journal") {
        for place in rule.places {
            for path in view.find(place)? {
                view.remove(Volume::Root, &path, Class::Log.because("the journal", rule.source))?;
            }
        }
    }
    let mut ahead = vec![(top, 0)];
    while let Some((directory, depth)) = ahead.pop() {
        if depth > DEEPEST {
            view.warn(format!("{directory} lies deeper than any log's folder: what is in it stays"));
            continue;
        }
        if view.root().stat(&directory)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
            continue;
        }
        for entry in view.root().list(&directory)? {
            let path = directory.join(&entry.name)?;
            match entry.kind {
                FileKind::Directory => ahead.push((path, depth + 1)),
                FileKind::File if was_put_aside(&entry.name) => {
                    view.remove(Volume::Root, &path, Class::Log.because("an older log", SOURCE))?;
                }
                FileKind::File => {
                    view.empty(Volume::Root, &path, Class::Log.because("a log; the file stays, empty", SOURCE))?;
                }
                FileKind::Symlink => linked(view, &path, &mut ahead, depth)?,
                FileKind::Special => {}
            }
        }
    }
    Ok(())
}

/// A log, or a folder of logs, that stands elsewhere.
fn linked(
    view: &mut View<'_>,
    link: &ImagePath,
    ahead: &mut Vec<(ImagePath, usize)>,
    depth: usize,
) -> Result<(), StepError> {
    let behind = Looker::default().behind(view, link)?;
    let Behind::Own(Volume::Root, at) = behind else {
        // systemd puts a link to its README there.
        if !matches!(&behind, Behind::Needed(_, _, why) if why.is_public()) {
            proposal::empty(view, Volume::Root, link, Class::Log.because("a log that stands elsewhere", SOURCE))?;
        }
        return Ok(());
    };
    // What stands among the logs is found there; a link to a folder above would lead in a circle.
    if at.as_bytes().starts_with(b"/var/log/") || link.is_within(&at) {
        return Ok(());
    }
    match view.root().stat(&at)?.map(|stat| stat.kind) {
        Some(FileKind::Directory) => ahead.push((at, depth + 1)),
        _ if link.name().is_some_and(was_put_aside) => {
            view.remove(Volume::Root, link, Class::Log.because("an older log", SOURCE))?;
        }
        _ => proposal::empty(view, Volume::Root, link, Class::Log.because("a log that stands elsewhere", SOURCE))?,
    }
    Ok(())
}

/// `syslog.1`, `syslog.2.gz`, `dmesg.0`, `app.log-20250101`, `app.log.old`: names that logrotate and its like give.
fn was_put_aside(name: &[u8]) -> bool {
    let is_packed = [&b".gz"[..], b".xz", b".bz2", b".zst", b".lz4", b".old"].iter().any(|end| name.ends_with(end));
    let is_numbered = |mark: u8, least: usize| {
        let end = name.iter().rposition(|&byte| byte == mark).and_then(|at| name.get(at + 1..)).unwrap_or_default();
        end.len() >= least && end.iter().all(u8::is_ascii_digit)
    };
    is_packed || is_numbered(b'.', 1) || is_numbered(b'-', 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_that_were_put_aside_are_told_from_live_ones() {
        for name in ["syslog.1", "syslog.2.gz", "app.log-20250101", "app.log-20250101.xz", "x.old"] {
            assert!(was_put_aside(name.as_bytes()), "{name}");
        }
        for name in ["syslog", "wtmp", "wtmp.db", "dpkg.log", "unattended-upgrades-dpkg.log", "a-1", "x.", ".1x"] {
            assert!(!was_put_aside(name.as_bytes()), "{name}");
        }
    }
}
