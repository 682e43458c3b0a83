//! Logs: emptied rather than removed where they are live, as pi-gen does when it exports an image, because a daemon that
//! gave up its privileges cannot make its file again.

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, View, Volume};

const SOURCE: &str = "pi-gen, export-image/05-finalise";
/// Directories inside directories are only followed so far: an image is untrusted.
const DEEPEST: usize = 16;

/// Proposes that everything in `/var/log` is emptied, and that what logrotate put aside goes.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>) -> Result<(), FsError> {
    let top = view.root().resolve(&ImagePath::new("/var/log")?)?;
    let mut ahead = vec![(top, 0)];
    while let Some((directory, depth)) = ahead.pop() {
        if depth > DEEPEST || view.root().stat(&directory)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
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
                FileKind::Symlink | FileKind::Special => {}
            }
        }
    }
    Ok(())
}

/// `syslog.1`, `syslog.2.gz`, `dmesg.0`, `app.log-20250101`, `app.log.old`: names that logrotate and its like give.
fn was_put_aside(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name);
    let stem = ["gz", "xz", "bz2", "zst", "lz4"].iter().find_map(|end| name.strip_suffix(&format!(".{end}")));
    if stem.is_some() || name.ends_with(".old") {
        return true;
    }
    let digits = |text: &str, least: usize| text.len() >= least && text.bytes().all(|b| b.is_ascii_digit());
    name.rsplit_once('.').is_some_and(|(_, end)| digits(end, 1))
        || name.rsplit_once('-').is_some_and(|(_, end)| digits(end, 8))
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
