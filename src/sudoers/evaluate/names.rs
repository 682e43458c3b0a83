//! Whether one name in sudoers means this user, group, host or command.

use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use super::super::fnmatch::{self, Flags};
use super::super::policy::Digest;
use super::Matcher;

impl Matcher<'_> {
    pub(super) fn is_user(&self, written: &[u8], name: &[u8], uid: u32) -> bool {
        if written.strip_prefix(b"#").and_then(id) == Some(uid) {
            return true;
        }
        if self.settings.fold_users { written.eq_ignore_ascii_case(name) } else { written == name }
    }

    pub(super) fn is_in_group(&self, written: &[u8]) -> bool {
        let number = written.strip_prefix(b"#").and_then(id);
        if number.is_some_and(|number| self.who.groups.iter().any(|(gid, _)| *gid == number)) {
            return true;
        }
        let fold = self.settings.fold_groups && !self.settings.by_gid;
        self.who.groups.iter().any(|(_, name)| {
            !name.is_empty() && if fold { written.eq_ignore_ascii_case(name) } else { written == name.as_slice() }
        })
    }

    pub(super) fn is_host(&self, pattern: &[u8]) -> bool {
        let host = if pattern.contains(&b'.') { &self.host.long } else { &self.host.short };
        if has_wildcard(pattern) {
            fnmatch::matches(pattern, host, Flags { pathname: false, fold: true })
        } else {
            pattern.eq_ignore_ascii_case(host)
        }
    }

    pub(super) fn is_command(&self, written: &[u8]) -> bool {
        if written.starts_with(b"^") {
            return is_match(written, &self.command.path);
        }
        if !written.starts_with(b"/") {
            // sudoedit and list: no command of their own.
            return false;
        }
        if has_wildcard(written) {
            let flags = Flags { pathname: true, fold: false };
            let names = if self.settings.fast_glob {
                self.command.names.get(..1).unwrap_or_default()
            } else {
                &self.command.names
            };
            return (self.settings.fast_glob || self.command.content.is_some())
                && names.iter().any(|name| fnmatch::matches(written, name, flags));
        }
        let clean = |path: &[u8]| -> Vec<Vec<u8>> {
            path.split(|&c| c == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec).collect()
        };
        let wanted = clean(written);
        self.command.names.iter().map(|name| clean(name)).any(|name| {
            if written.ends_with(b"/") {
                name.split_last().is_some_and(|(_, dir)| dir == wanted)
            } else {
                name == wanted
            }
        })
    }

    pub(super) fn has_arguments(&self, written: Option<&[u8]>) -> bool {
        let given = self.command.arguments.as_deref();
        match written {
            None => true,
            Some(b"\"\"") => given.is_none(),
            Some(regex) if regex.starts_with(b"^") && regex.ends_with(b"$") => {
                is_match(regex, given.unwrap_or_default())
            }
            Some(pattern) => fnmatch::matches(pattern, given.unwrap_or_default(), Flags::default()),
        }
    }

    pub(super) fn has_digest(&self, digests: &[Digest]) -> bool {
        digests.is_empty()
            || self.command.content.as_deref().is_some_and(|content| digests.iter().any(|digest| digest.is_of(content)))
    }
}

impl Digest {
    fn is_of(&self, content: &[u8]) -> bool {
        use base64::Engine as _;
        let real = match self.bits {
            224 => Sha224::digest(content).to_vec(),
            256 => Sha256::digest(content).to_vec(),
            384 => Sha384::digest(content).to_vec(),
            _ => Sha512::digest(content).to_vec(),
        };
        if self.text.len() == real.len() * 2 {
            let hex: String = real.iter().map(|byte| format!("{byte:02x}")).collect();
            return self.text.eq_ignore_ascii_case(hex.as_bytes());
        }
        let bare = self.text.iter().rposition(|&c| c != b'=').map_or(0, |at| at + 1);
        let text = self.text.get(..bare).unwrap_or_default();
        base64::engine::general_purpose::STANDARD_NO_PAD.decode(text).is_ok_and(|bytes| bytes == real)
    }
}

fn id(text: &[u8]) -> Option<u32> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    u32::try_from(number).ok()
}

fn has_wildcard(text: &[u8]) -> bool {
    text.iter().any(|c| b"\\?*[]".contains(c))
}

/// A POSIX extended regular expression as far as the Rust engine knows it; one that it does not know matches nothing.
fn is_match(regex: &[u8], text: &[u8]) -> bool {
    let (Ok(regex), Ok(text)) = (std::str::from_utf8(regex), std::str::from_utf8(text)) else { return false };
    // sudo takes `(?i)` right after the `^`; the engine wants it first.
    let regex = regex.strip_prefix("^(?i)").map_or_else(|| regex.to_owned(), |rest| format!("(?i)^{rest}"));
    regex_lite::RegexBuilder::new(&regex).size_limit(1 << 20).build().is_ok_and(|regex| regex.is_match(text))
}
