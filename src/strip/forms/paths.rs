//! What a file's path says of what may be in it.

use super::scope::{DOCUMENTATION_ENDINGS, FIRMWARE_BEGINNINGS, FIRMWARE_ENDINGS, SECRET_WORDS};

/// Whether a path is one of `places`, or below one.
pub(in crate::strip) fn is_within(path: &[u8], places: &[&str]) -> bool {
    places
        .iter()
        .any(|place| path.strip_prefix(place.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")))
}

/// Whether one of a path's directories has such a name.
pub(in crate::strip) fn has_directory(path: &[u8], names: &[&str]) -> bool {
    let mut parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    parts.pop();
    parts.iter().any(|part| names.iter().any(|name| *part == name.as_bytes()))
}

/// Whether a file's name says that it is a text about something: there, tokens are examples.
pub(in crate::strip) fn is_documentation(path: &[u8]) -> bool {
    DOCUMENTATION_ENDINGS.iter().any(|ending| path.ends_with(ending.as_bytes()))
}

/// Whether a small file that only root may read looks like a secret: by its name, or because it is one line of noise.
pub(in crate::strip) fn looks_secret(path: &[u8], content: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_ascii_lowercase();
    let named = SECRET_WORDS.iter().any(|word| memchr::memmem::find(&name, word.as_bytes()).is_some());
    let lines = content.trim_ascii().split(|&byte| byte == b'\n').count();
    let noise = content.trim_ascii().split(u8::is_ascii_whitespace).any(|word| {
        let kinds = word.iter().collect::<std::collections::BTreeSet<_>>().len();
        word.len() >= 16 && kinds >= 10 && word.iter().any(u8::is_ascii_digit)
    });
    named || (lines <= 3 && noise)
}

/// Whether a file of the boot partition is a program of the firmware or the kernel.
pub(in crate::strip) fn is_firmware(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_ascii_lowercase();
    FIRMWARE_ENDINGS.iter().any(|ending| name.ends_with(ending.as_bytes()))
        || FIRMWARE_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning.as_bytes()))
}
