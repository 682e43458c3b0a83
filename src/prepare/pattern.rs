//! Path patterns, by which tables and steps name what they look for.
//!
//! `*` stands for any part of one name, and `**` at the end for every regular file below. `~/` means every home directory,
//! `boot:/` the root of the boot file system, and every other pattern is a path in the root file system.

use super::listings::Listings;
use super::plan::Volume;
use crate::fs::{FileKind, FsError, ImagePath, Tree};

/// Which file system a pattern is about.
pub fn volume_of(pattern: &str) -> Volume {
    if pattern.starts_with("boot:") { Volume::Boot } else { Volume::Root }
}

/// What is there that a pattern means, sorted.
pub(super) fn find(
    root: &dyn Tree,
    boot: &dyn Tree,
    listings: &Listings,
    pattern: &str,
) -> Result<Vec<ImagePath>, FsError> {
    let volume = volume_of(pattern);
    let tree = match volume {
        Volume::Root => root,
        Volume::Boot => boot,
    };
    let look = Look { tree, volume, listings };
    let (mut found, below) = match pattern.strip_prefix("~/") {
        Some(below) => (listings.homes(|| homes(root))?.to_vec(), below),
        None => (vec![ImagePath::root()], pattern.strip_prefix("boot:").unwrap_or(pattern)),
    };
    for part in below.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for directory in &found {
            match part {
                "**" => look.files_below(directory, 0, &mut next)?,
                _ => look.step_down(directory, part, &mut next)?,
            }
        }
        found = next;
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Folders in which a star of the pattern stands for nothing, because a link leads from them to what makes up the system;
/// each with where it leads.
pub(super) fn led_astray(
    root: &dyn Tree,
    boot: &dyn Tree,
    listings: &Listings,
    pattern: &str,
) -> Result<Vec<(ImagePath, ImagePath)>, FsError> {
    let Some((fixed, _)) = pattern.rsplit_once("/*").filter(|(fixed, _)| !fixed.is_empty()) else {
        return Ok(Vec::new());
    };
    let mut astray = Vec::new();
    for folder in find(root, boot, listings, fixed)? {
        let listing = listings.of(root, Volume::Root, &folder)?;
        if let Some(listing) = listing.filter(|listing| listing.at != folder && makes_up_the_system(&listing.at)) {
            astray.push((folder, listing.at.clone()));
        }
    }
    Ok(astray)
}

/// One file system, and what was read of it before.
struct Look<'l> {
    tree: &'l dyn Tree,
    volume: Volume,
    listings: &'l Listings,
}

impl Look<'_> {
    /// Every regular file below a directory. Links on the way are not followed.
    fn files_below(&self, directory: &ImagePath, depth: usize, files: &mut Vec<ImagePath>) -> Result<(), FsError> {
        // Deeper than any system's: an image is untrusted, and a damaged one may hold a circle.
        const DEEPEST: usize = 128;
        let Some(listing) = self.listings.of(self.tree, self.volume, directory)? else { return Ok(()) };
        if depth > DEEPEST {
            let what = format!("{directory} is more than {DEEPEST} folders deep; remove it from the base image");
            return Err(FsError::Unsupported { volume: "root", what });
        }
        for entry in &listing.entries {
            let path = listing.at.join(&entry.name)?;
            match entry.kind {
                FileKind::Directory => self.files_below(&path, depth + 1, files)?,
                FileKind::File => files.push(path),
                FileKind::Symlink | FileKind::Special => {}
            }
        }
        Ok(())
    }

    /// The entries of `directory` whose name is like `part`. A directory that is not there has none.
    fn step_down(&self, directory: &ImagePath, part: &str, found: &mut Vec<ImagePath>) -> Result<(), FsError> {
        let Some(listing) = self.listings.of(self.tree, self.volume, directory)? else { return Ok(()) };
        let part = part.as_bytes();
        if part.contains(&b'*') {
            // `/var/crash -> /` makes nothing of the system a crash dump.
            if listing.at != *directory && makes_up_the_system(&listing.at) {
                return Ok(());
            }
            for entry in listing.entries.iter().filter(|entry| is_like(&entry.name, part)) {
                found.push(listing.at.join(&entry.name)?);
            }
        } else if listing.holds(part) || self.is_there_in_fat(directory, part)? {
            found.push(directory.join(part)?);
        }
        Ok(())
    }

    /// FAT knows names without regard to case, as the firmware does.
    fn is_there_in_fat(&self, directory: &ImagePath, name: &[u8]) -> Result<bool, FsError> {
        Ok(self.volume == Volume::Boot && self.tree.stat(&directory.join(name)?)?.is_some())
    }
}

/// Whether a directory is the root, or one of those in it that every system has.
fn makes_up_the_system(directory: &ImagePath) -> bool {
    const SYSTEM: [&[u8]; 13] =
        [b"bin", b"boot", b"dev", b"etc", b"home", b"lib", b"opt", b"proc", b"root", b"sbin", b"sys", b"usr", b"var"];
    let parts: Vec<&[u8]> = directory.components().collect();
    matches!(parts.as_slice(), []) || matches!(parts.as_slice(), [one] if SYSTEM.contains(one))
}

/// Whether `name` matches a pattern in which `*` stands for any run of bytes.
pub fn is_like(name: &[u8], pattern: &[u8]) -> bool {
    // Greedy with one point to come back to: linear in practice, and never exponential whatever a name holds.
    let (mut n, mut p) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p, n));
                p += 1;
            }
            Some(byte) if name.get(n) == Some(byte) => {
                p += 1;
                n += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    p = star + 1;
                    n = from + 1;
                    back = Some((star, n));
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|&byte| byte == b'*')
}

/// Every home directory there is: root's, those in `/etc/passwd`, and whatever lies in `/home`.
fn homes(root: &dyn Tree) -> Result<Vec<ImagePath>, FsError> {
    const PASSWD_LIMIT: u64 = 4 << 20;
    let mut named = vec![ImagePath::new("/root")?];
    let at = root.resolve(&ImagePath::new("/etc/passwd")?)?;
    let is_file = root.stat(&at)?.is_some_and(|stat| stat.kind == FileKind::File);
    // As bytes: a home need not be UTF-8, nor the full name beside it.
    let passwd = if is_file { root.read(&at, PASSWD_LIMIT)? } else { Vec::new() };
    let fields = passwd.split(|&b| b == b'\n').filter_map(|line| line.split(|&b| b == b':').nth(5));
    named.extend(fields.filter_map(|home| ImagePath::new(home).ok()).filter(|home| !is_the_systems(home)));
    let in_home = ImagePath::new("/home")?;
    if let Some(home) = directory_at(root, &in_home)? {
        for entry in root.list(&home)? {
            named.push(in_home.join(&entry.name)?);
        }
    }
    let mut homes = Vec::new();
    for home in named {
        homes.extend(directory_at(root, &home)?);
    }
    homes.sort();
    homes.dedup();
    Ok(homes)
}

/// Accounts of the system have its own directories for homes (`daemon`: /usr/sbin), which are nobody's.
fn is_the_systems(home: &ImagePath) -> bool {
    const SYSTEM: [&[u8]; 9] = [b"usr", b"bin", b"sbin", b"lib", b"dev", b"proc", b"sys", b"run", b"etc"];
    home.components().next().is_none_or(|first| SYSTEM.contains(&first))
}

/// The directory that a path leads to, if it leads to one.
fn directory_at(tree: &dyn Tree, path: &ImagePath) -> Result<Option<ImagePath>, FsError> {
    let at = match tree.resolve(path) {
        Ok(at) => at,
        Err(FsError::LinkLoop { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(tree.stat(&at)?.filter(|stat| stat.kind == FileKind::Directory).map(|_| at))
}

#[cfg(test)]
mod tests {
    use super::super::mem_tree::MemTree;
    use super::*;

    fn found(root: &MemTree, path: &'static str) -> Vec<String> {
        let boot = MemTree::with(&[("/ssh", ""), ("/user-data", "")]);
        find(root, &boot, &Listings::default(), path).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn patterns_stay_within_one_name() {
        let root = MemTree::with(&[("/d/mi-1/x", ""), ("/d/mi-2", ""), ("/d/other/mi-3", ""), ("/link", "-> d")]);
        assert_eq!(found(&root, "/d/mi-*"), ["/d/mi-1", "/d/mi-2"]);
        assert_eq!(found(&root, "/link/mi-*"), ["/d/mi-1", "/d/mi-2"]);
        assert_eq!(found(&root, "/d/*/mi-*"), ["/d/other/mi-3"]);
        assert_eq!(found(&root, "/none/*"), [""; 0]);
        let astray = MemTree::with(&[("/crash", "-> /"), ("/d/x", "")]);
        assert_eq!(found(&astray, "/crash/*"), [""; 0]);
        assert_eq!(found(&root, "boot:/user-*"), ["/user-data"]);
        assert!(is_like(b"ssh_host_rsa_key.pub", b"ssh_host_*_key*"));
        assert!(!is_like(b"ssh_host_key", b"ssh_host_*_key"));
        assert!(!is_like(&[b'a'; 255], b"*a*a*a*a*a*a*b"));
    }

    #[test]
    fn every_home_is_found_once() {
        let root = MemTree::with(&[
            (
                "/etc/passwd",
                "root:x:0:0:root:/root:/bin/sh\npi:x:1:1::/home/pi:/bin/sh\nd:x:2:2::/:/x\nw:x:3:3::/srv/w:\nbad",
            ),
            ("/root/.bash_history", "1"),
            ("/home/pi/.bash_history", "1"),
            ("/home/left-behind/.bash_history", "1"),
            ("/srv/w/.bash_history", "1"),
            ("/.bash_history", "1"),
        ]);
        let histories = [
            "/home/left-behind/.bash_history",
            "/home/pi/.bash_history",
            "/root/.bash_history",
            "/srv/w/.bash_history",
        ];
        assert_eq!(found(&root, "~/.bash_history"), histories);
    }
}
