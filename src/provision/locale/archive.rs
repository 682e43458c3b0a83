//! Which locales an image has: those that the C library has built in, directories in /usr/lib/locale, and the names in
//! its locale-archive (glibc, locale/locarchive.h).

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::View;

const FOLDER: &str = "/usr/lib/locale";
const MAGIC: u32 = 0xde02_0109;
/// A Pi OS image with one locale has 3 MiB of archive, nearly all of it behind the names.
const LARGEST_NAMES: u32 = 4 << 20;

/// Whether the image has this locale.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn has(view: &View<'_>, locale: &str) -> Result<bool, FsError> {
    if ["C", "POSIX", "C.UTF-8"].contains(&locale) {
        return Ok(true);
    }
    let root = view.root();
    let name = normalised(locale);
    for name in [name.as_str(), locale] {
        let path = root.resolve(&ImagePath::new(FOLDER)?.join(name)?)?;
        if root.stat(&path)?.is_some_and(|stat| stat.kind == FileKind::Directory) {
            return Ok(true);
        }
    }
    let archive = root.resolve(&ImagePath::new(FOLDER)?.join("locale-archive")?)?;
    if root.stat(&archive)?.is_none_or(|stat| stat.kind != FileKind::File) {
        return Ok(false);
    }
    let mut head = [0; 32];
    if root.read_part(&archive, 0, &mut head)? != head.len() {
        return Ok(false);
    }
    // Written in the byte order of the machine; every Pi is little-endian.
    let number = |at: usize| {
        let bytes = head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
        u32::from_le_bytes(bytes)
    };
    // magic, serial, namehash (offset, used, size), string (offset, used, size)
    let (offset, used) = (number(20), number(24));
    if number(0) != MAGIC || used > LARGEST_NAMES {
        return Ok(false);
    }
    let mut names = vec![0; used as usize];
    let n = root.read_part(&archive, u64::from(offset), &mut names)?;
    names.truncate(n);
    Ok(names.split(|&byte| byte == 0).any(|found| found == name.as_bytes()))
}

/// The name as glibc keeps it: the character set in lower case and without punctuation, `de_DE.utf8`.
fn normalised(locale: &str) -> String {
    let (name, modifier) = locale.split_once('@').map_or((locale, ""), |(name, modifier)| (name, modifier));
    let Some((language, charset)) = name.split_once('.') else { return locale.to_owned() };
    let charset: String = charset.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let at = if modifier.is_empty() { "" } else { "@" };
    format!("{language}.{charset}{at}{modifier}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_sets_are_spelt_as_glibc_spells_them() {
        assert_eq!(normalised("de_DE.UTF-8"), "de_DE.utf8");
        assert_eq!(normalised("de_DE.ISO-8859-15@euro"), "de_DE.iso885915@euro");
    }
}
