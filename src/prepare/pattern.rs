//! Path patterns, by which tables and steps name what they look for.
//!
//! `*` stands for any part of one name. `~/` means every home directory, `boot:/` the root of the boot file system, and
//! every other pattern is a path in the root file system.

use super::plan::Volume;
use crate::fs::{FileKind, FsError, ImagePath, Tree};

/// Which file system a pattern is about.
pub fn volume_of(pattern: &str) -> Volume {
    if pattern.starts_with("boot:") { Volume::Boot } else { Volume::Root }
}

/// What is there that a pattern means, sorted.
pub(super) fn find(root: &dyn Tree, boot: &dyn Tree, pattern: &str) -> Result<Vec<ImagePath>, FsError> {
    let tree = match volume_of(pattern) {
        Volume::Root => root,
        Volume::Boot => boot,
    };
    let (mut found, below) = match pattern.strip_prefix("~/") {
        Some(below) => (homes(root)?, below),
        None => (vec![ImagePath::root()], pattern.strip_prefix("boot:").unwrap_or(pattern)),
    };
    for part in below.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for directory in &found {
            next.extend(step_down(tree, directory, part)?);
        }
        found = next;
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The entries of `directory` whose name is like `part`. A directory that is not there has none.
fn step_down(tree: &dyn Tree, directory: &ImagePath, part: &str) -> Result<Vec<ImagePath>, FsError> {
    if !part.contains('*') {
        let path = directory.join(part)?;
        return Ok(tree.stat(&path)?.map(|_| path).into_iter().collect());
    }
    let directory = tree.resolve(directory)?;
    if tree.stat(&directory)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in tree.list(&directory)? {
        if is_like(&entry.name, part.as_bytes()) {
            found.push(directory.join(&entry.name)?);
        }
    }
    Ok(found)
}

/// Whether `name` matches a pattern in which `*` stands for any run of bytes.
fn is_like(name: &[u8], pattern: &[u8]) -> bool {
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
///
/// # Errors
/// Where the image cannot be read.
pub fn homes(root: &dyn Tree) -> Result<Vec<ImagePath>, FsError> {
    const PASSWD_LIMIT: u64 = 4 << 20;
    let mut named = vec![ImagePath::new("/root")?];
    let passwd = root.text(&root.resolve(&ImagePath::new("/etc/passwd")?)?, PASSWD_LIMIT)?.unwrap_or_default();
    let fields = passwd.lines().filter_map(|line| line.split(':').nth(5));
    named.extend(fields.filter_map(|home| ImagePath::new(home).ok()).filter(|home| *home != ImagePath::root()));
    named.extend(step_down(root, &ImagePath::new("/home")?, "*")?);
    let mut homes = Vec::new();
    for home in named {
        let home = root.resolve(&home)?;
        if root.stat(&home)?.is_some_and(|stat| stat.kind == FileKind::Directory) {
            homes.push(home);
        }
    }
    homes.sort();
    homes.dedup();
    Ok(homes)
}

#[cfg(test)]
mod tests {
    use super::super::mem_tree::MemTree;
    use super::*;

    fn found(root: &MemTree, path: &'static str) -> Vec<String> {
        let boot = MemTree::with(&[("/ssh", ""), ("/user-data", "")]);
        find(root, &boot, path).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn patterns_stay_within_one_name() {
        let root = MemTree::with(&[("/d/mi-1/x", ""), ("/d/mi-2", ""), ("/d/other/mi-3", ""), ("/link", "-> d")]);
        assert_eq!(found(&root, "/d/mi-*"), ["/d/mi-1", "/d/mi-2"]);
        assert_eq!(found(&root, "/link/mi-*"), ["/d/mi-1", "/d/mi-2"]);
        assert_eq!(found(&root, "/d/*/mi-*"), ["/d/other/mi-3"]);
        assert_eq!(found(&root, "/none/*"), [""; 0]);
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
