//! Where the rows of the strip table look, found by the audit's own code: names are bytes, `*` is any part of one name,
//! `**` every file below, `~/` every home.

use std::collections::HashSet;

use ext4_view::FileType;

use super::error::AuditError;
use super::path_stat::PathStat;
use super::reader::AuditImage;
use crate::printable::Printable;

/// So deep are directories gone into for `**`.
const DEEPEST: usize = 128;
/// So many names are gone through for one place.
const MOST: usize = 2_000_000;

/// Directories that every system has (hier(7)).
const SYSTEM: [&str; 13] =
    ["bin", "boot", "dev", "etc", "home", "lib", "opt", "proc", "root", "sbin", "sys", "usr", "var"];

impl AuditImage {
    /// Everything in the root file system that is like `pattern`, sorted, each once.
    ///
    /// # Errors
    /// Damage.
    pub fn like(&self, pattern: &str) -> Result<Vec<Vec<u8>>, AuditError> {
        let (mut found, below) = match pattern.strip_prefix("~/") {
            Some(below) => (self.homes()?.to_vec(), below),
            None => (vec![Vec::new()], pattern),
        };
        for part in below.split('/').filter(|part| !part.is_empty()) {
            let mut next = Vec::new();
            for directory in &found {
                if part == "**" {
                    self.files_in(directory, &mut next)?;
                } else if part.contains('*') {
                    // `/var/crash -> /` makes nothing of the system a crash dump.
                    if self.leads_to_the_system(directory)? {
                        continue;
                    }
                    let listing = self.listing(directory)?;
                    let like = listing.iter().filter(|(name, _)| is_like(name, part.as_bytes()));
                    next.extend(like.map(|(name, _)| [directory.as_slice(), b"/", name].concat()));
                } else {
                    let path = [directory.as_slice(), b"/", part.as_bytes()].concat();
                    if self.stat_bytes(&path)?.is_some() {
                        next.push(path);
                    }
                }
            }
            found = next;
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Whether a path leads, by a link, to the root or to one of the directories that every system has in it.
    fn leads_to_the_system(&self, directory: &[u8]) -> Result<bool, AuditError> {
        let ends = (1..=directory.len()).filter(|&end| directory.get(end).is_none_or(|&byte| byte == b'/'));
        for end in ends {
            // Most paths have no link in them, and following one is slow.
            let above = directory.get(..end).unwrap_or_default();
            if self.stat_bytes(above)?.is_some_and(|stat| stat.kind == FileType::Symlink) {
                let settled = self.settled(directory)?;
                let is_system =
                    settled == b"/" || SYSTEM.iter().any(|name| settled == [b"/", name.as_bytes()].concat());
                return Ok(is_system && settled != directory);
            }
        }
        Ok(false)
    }

    /// What a path leads to, links followed, and what is there. `None` where that is nothing, or a part of the system:
    /// `~/.cache -> /usr` makes nothing of a system a cache.
    ///
    /// # Errors
    /// Damage.
    pub fn behind(&self, path: &[u8]) -> Result<Option<(Vec<u8>, PathStat)>, AuditError> {
        let Some(stat) = self.stat_bytes(path)? else { return Ok(None) };
        if stat.kind != FileType::Symlink {
            return Ok(Some((path.to_vec(), stat)));
        }
        let settled = self.settled(path)?;
        let stat = self.stat_bytes(&settled)?.filter(|stat| stat.kind != FileType::Symlink);
        Ok(stat.filter(|stat| !is_of_the_system(&settled, stat)).map(|stat| (settled, stat)))
    }

    /// Whether a path is a file that holds something, or a directory with such a file below it. Links are followed: what
    /// they lead to is read by whoever reads there.
    ///
    /// # Errors
    /// Damage.
    pub fn holds_something(&self, path: &[u8]) -> Result<bool, AuditError> {
        let (mut ahead, mut seen) = (vec![(path.to_vec(), 0)], HashSet::new());
        while let Some((at, depth)) = ahead.pop() {
            let Some((at, stat)) = self.behind(&at)? else { continue };
            match stat.kind {
                FileType::Regular if stat.size > 0 => return Ok(true),
                // So deep is nothing that a fresh system has: it counts, rather than be passed over.
                FileType::Directory if depth > DEEPEST => return Ok(true),
                FileType::Directory if seen.insert(at.clone()) => {
                    let listing = self.listing(&at)?;
                    ahead.extend(listing.iter().map(|(name, _)| ([at.as_slice(), b"/", name].concat(), depth + 1)));
                }
                _ => {}
            }
        }
        Ok(false)
    }

    /// Every regular file that is read where somebody reads below a path: itself, what is in it, and what links in it lead
    /// to. By the names below the path, sorted.
    ///
    /// # Errors
    /// Damage.
    pub fn files_read_below(&self, path: &str) -> Result<Vec<Vec<u8>>, AuditError> {
        let (mut found, mut ahead, mut seen) = (Vec::new(), vec![path.as_bytes().to_vec()], HashSet::new());
        while let Some(named) = ahead.pop() {
            let Some((at, stat)) = self.behind(&named)? else { continue };
            match stat.kind {
                FileType::Directory if seen.len() > MOST => {
                    return Err(AuditError::TooMuch { place: Printable::of(&named).to_string() });
                }
                FileType::Directory if seen.insert(at.clone()) => {
                    let listing = self.listing(&at)?;
                    ahead.extend(listing.iter().map(|(name, _)| [named.as_slice(), b"/", name].concat()));
                }
                FileType::Regular => found.push(named),
                _ => {}
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Every regular file below a directory, and every link to one; links to directories are not followed.
    fn files_in(&self, directory: &[u8], files: &mut Vec<Vec<u8>>) -> Result<(), AuditError> {
        let mut ahead = vec![(directory.to_vec(), 0)];
        let mut seen = 0;
        while let Some((at, depth)) = ahead.pop() {
            // A damaged tree may be a circle by itself; what is so deep or so many is said, and is no clean image.
            if depth > DEEPEST || seen > MOST {
                return Err(AuditError::TooMuch { place: Printable::of(&at).to_string() });
            }
            for (name, stat) in self.listing(&at)?.iter() {
                seen += 1;
                let path = [at.as_slice(), b"/", name].concat();
                match stat.kind {
                    FileType::Directory => ahead.push((path, depth + 1)),
                    FileType::Regular => files.push(path),
                    FileType::Symlink
                        if self.behind(&path)?.is_some_and(|(_, stat)| stat.kind == FileType::Regular) =>
                    {
                        files.push(path);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Whether what a link leads to is the same on every system: programs, and the directories that make it up.
fn is_of_the_system(path: &[u8], stat: &PathStat) -> bool {
    let parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).collect();
    let is_of_programs = |first: &[u8]| {
        [&b"usr"[..], b"bin", b"sbin", b"boot", b"dev", b"proc", b"sys"].contains(&first) || first.starts_with(b"lib")
    };
    match parts.as_slice() {
        [] => true,
        [b"usr", b"local", _, ..] => false,
        [first, ..] if is_of_programs(first) => true,
        [_] => stat.kind == FileType::Directory,
        _ => false,
    }
}

/// Whether a name is like a pattern in which `*` stands for any run of bytes.
pub(super) fn is_like(name: &[u8], pattern: &[u8]) -> bool {
    let mut parts = pattern.split(|&byte| byte == b'*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    // Without a star, the whole name is meant.
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        if part.is_empty() {
            continue;
        }
        // The first place is as good as any later one: what is between is the star's.
        match memchr::memmem::find(rest, part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn names_are_like_patterns() {
        for (name, pattern) in
            [("a.conf", "*.conf"), ("ssh_host_rsa_key", "ssh_host_*_key"), ("x", "x"), ("aXbXc", "a*b*c")]
        {
            assert!(is_like(name.as_bytes(), pattern.as_bytes()), "{name} {pattern}");
        }
        for (name, pattern) in [("ssh_host_key", "ssh_host_*_key"), ("xy", "x"), ("abc", "a*d*c"), ("a", "a*a")] {
            assert!(!is_like(name.as_bytes(), pattern.as_bytes()), "{name} {pattern}");
        }
    }
}
