//! The file name patterns of glob(3), as sshd uses them for `Include` (openbsd-compat/glob.c): `*`, `?`, `[…]`, `\`; no braces, no tilde, and no
//! leading dot by a wildcard.

use crate::fs::{FileKind, FsError, ImagePath, Tree};

/// What a pattern means in a tree, sorted by bytes. A pattern without a wildcard means itself, if it is there.
///
/// # Errors
/// Where the image cannot be read.
pub fn glob(tree: &dyn Tree, pattern: &[u8]) -> Result<Vec<ImagePath>, FsError> {
    let mut found = vec![ImagePath::root()];
    for part in pattern.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for directory in &found {
            let directory = tree.resolve(directory)?;
            if tree.stat(&directory)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
                continue;
            }
            if part == b".." || part == b"." {
                let up = if part == b".." { directory.parent() } else { None };
                next.push(up.unwrap_or(directory));
                continue;
            }
            if !part.iter().any(|byte| b"*?[\\".contains(byte)) {
                if let Ok(path) = directory.join(part)
                    && tree.stat(&path)?.is_some()
                {
                    next.push(path);
                }
                continue;
            }
            for entry in tree.list(&directory)? {
                let hidden = entry.name.starts_with(b".") && !part.starts_with(b".");
                if !hidden && is_like(&entry.name, part) {
                    next.push(directory.join(&entry.name)?);
                }
            }
        }
        found = next;
    }
    found.sort();
    Ok(found)
}

/// Whether a name is like a pattern.
fn is_like(name: &[u8], pattern: &[u8]) -> bool {
    let (mut n, mut p) = (0, 0);
    // The last star, and how much of the name it has taken so far: one point to come back to keeps this from being
    // exponential, whatever a name holds.
    let mut back: Option<(usize, usize)> = None;
    while n < name.len() {
        let rest = pattern.get(p..).unwrap_or_default();
        if rest.first() == Some(&b'*') {
            back = Some((p, n));
            p += 1;
        } else if let Some(length) = one_like(name.get(n).copied().unwrap_or_default(), rest) {
            p += length;
            n += 1;
        } else if let Some((star, from)) = back {
            p = star + 1;
            n = from + 1;
            back = Some((star, n));
        } else {
            return false;
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|&byte| byte == b'*')
}

/// How long the beginning of the pattern is that this byte is like; `None` where it is not.
fn one_like(byte: u8, pattern: &[u8]) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [b'[', class @ ..] => {
            let (negated, class, before) = match class {
                [b'!', rest @ ..] => (true, rest, 2),
                _ => (false, class, 1),
            };
            // A `]` that comes first is a member. Without an end, the bracket is one like any other letter.
            let Some(end) = class.iter().skip(1).position(|&b| b == b']').map(|at| at + 1) else {
                return (byte == b'[').then_some(1);
            };
            let members = class.get(..end)?;
            let mut holds = false;
            let mut at = 0;
            while let Some(&from) = members.get(at) {
                match (members.get(at + 1), members.get(at + 2)) {
                    (Some(b'-'), Some(&to)) => {
                        holds |= (from..=to).contains(&byte);
                        at += 3;
                    }
                    _ => {
                        holds |= from == byte;
                        at += 1;
                    }
                }
            }
            (holds != negated).then_some(before + end + 1)
        }
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn names_are_like_patterns_as_in_glob() {
        for (name, pattern) in [
            ("10-a.conf", "*.conf"),
            ("a", "?"),
            ("k1", "k[0-9]"),
            ("k]", "k[]x]"),
            ("kz", "k[!0-9]"),
            ("a*b", "a\\*b"),
            ("abab", "*ab"),
            ("x", "x**"),
            ("k[", "k["),
        ] {
            assert!(is_like(name.as_bytes(), pattern.as_bytes()), "{name} {pattern}");
        }
        for (name, pattern) in
            [("a.conf.bak", "*.conf"), ("ab", "?"), ("kx", "k[0-9]"), ("k1", "k[!0-9]"), ("k", "k["), ("kb", "k[^a]")]
        {
            assert!(!is_like(name.as_bytes(), pattern.as_bytes()), "{name} {pattern}");
        }
        assert!(!is_like(&[b'a'; 255], b"*a*a*a*a*a*a*b"));
    }
}
