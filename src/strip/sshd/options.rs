//! The options that sshd is started with: `SSHD_OPTS` of Debian's unit, and `ExecStart` of units of one's own (sshd(8)).

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::SETTINGS_LIMIT;

use super::glob::glob;

/// Where units are that a person made; the packaged one has no options but `SSHD_OPTS`.
const UNITS: [&[u8]; 4] = [
    b"/etc/systemd/system/ssh*.service",
    b"/etc/systemd/system/ssh*.service.d/*.conf",
    b"/usr/local/lib/systemd/system/ssh*.service",
    b"/usr/local/lib/systemd/system/ssh*.service.d/*.conf",
];

/// Every text that holds options. Files that are too large to be read are added to `unread`.
pub(super) fn of(root: &dyn Tree, unread: &mut Vec<String>) -> Result<Vec<Vec<u8>>, FsError> {
    let mut texts = Vec::new();
    for path in [&b"/etc/default/ssh"[..], b"/etc/default/sshd"] {
        for line in text(root, &ImagePath::new(path)?, unread)?.split(|&byte| byte == b'\n') {
            // One pair of quotes is the assignment's; those within are for sshd's own words.
            let options = line.trim_ascii().strip_prefix(b"SSHD_OPTS=");
            texts.extend(options.map(|options| unquoted(options.trim_ascii()).to_vec()));
        }
    }
    for pattern in UNITS {
        for unit in glob(root, pattern)? {
            let text = joined_lines(&text(root, &unit, unread)?);
            let commands = text
                .split(|&byte| byte == b'\n')
                .filter_map(|line| line.trim_ascii().strip_prefix(b"ExecStart")?.trim_ascii_start().strip_prefix(b"="));
            let of_sshd = commands.filter(|command| memchr::memmem::find(command, b"sshd").is_some());
            texts.extend(of_sshd.map(<[u8]>::to_vec));
        }
    }
    Ok(texts)
}

/// A line that ends in `\` goes on in the next.
fn joined_lines(text: &[u8]) -> Vec<u8> {
    let (mut joined, mut rest) = (Vec::new(), text);
    while let Some(at) = memchr::memmem::find(rest, b"\\\n") {
        joined.extend_from_slice(rest.get(..at).unwrap_or_default());
        joined.push(b' ');
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    joined.extend_from_slice(rest);
    joined
}

fn unquoted(text: &[u8]) -> &[u8] {
    [b"\"", b"'"].iter().find_map(|&quote| text.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(text)
}

fn text(root: &dyn Tree, path: &ImagePath, unread: &mut Vec<String>) -> Result<Vec<u8>, FsError> {
    let path = root.resolve(path)?;
    match root.stat(&path)?.filter(|stat| stat.kind == FileKind::File) {
        Some(stat) if stat.size > SETTINGS_LIMIT => {
            unread.push(format!("{path}: it is too large"));
            Ok(Vec::new())
        }
        Some(_) => root.read(&path, SETTINGS_LIMIT),
        None => Ok(Vec::new()),
    }
}

/// The words of a command line, without their quotes.
pub(super) fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let (mut words, mut word, mut quote): (Vec<Vec<u8>>, Option<Vec<u8>>, _) = (Vec::new(), None, None);
    for &byte in text {
        match (byte, quote) {
            (_, Some(open)) if byte == open => quote = None,
            (b'"' | b'\'', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (_, None) if byte.is_ascii_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_split_at_blanks_outside_of_quotes() {
        let words = super::words(b"-D  -o 'HostKey /a b' -h\"/x\xe9\"");
        assert_eq!(words, [&b"-D"[..], b"-o", b"HostKey /a b", b"-h/x\xe9"]);
    }
}
