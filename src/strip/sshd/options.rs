//! The options that sshd is started with: `SSHD_OPTS` of Debian's unit, and `ExecStart` of units of one's own (sshd(8)).

use crate::fs::{FileKind, FsError, ImagePath, Tree};

use super::glob::glob;

/// So much of one file is read; a unit has a few KiB.
const LIMIT: u64 = 1 << 20;
/// Where units are that a person made; the packaged one has no options but `SSHD_OPTS`.
const UNITS: [&[u8]; 4] = [
    b"/etc/systemd/system/ssh*.service",
    b"/etc/systemd/system/ssh*.service.d/*.conf",
    b"/usr/local/lib/systemd/system/ssh*.service",
    b"/usr/local/lib/systemd/system/ssh*.service.d/*.conf",
];

/// Every text that holds options. Files that are too large to be read are added to `unread`.
pub(super) fn of(root: &dyn Tree, unread: &mut Vec<String>) -> Result<Vec<String>, FsError> {
    let mut texts = Vec::new();
    for path in [&b"/etc/default/ssh"[..], b"/etc/default/sshd"] {
        let text = text(root, &ImagePath::new(path)?, unread)?;
        let options = text.lines().filter_map(|line| line.trim().strip_prefix("SSHD_OPTS="));
        // One pair of quotes is the assignment's; those within are for sshd's own words.
        texts.extend(options.map(|options| unquoted(options.trim()).to_owned()));
    }
    for pattern in UNITS {
        for unit in glob(root, pattern)? {
            let text = text(root, &unit, unread)?.replace("\\\n", " ");
            let commands =
                text.lines().filter_map(|line| line.trim().strip_prefix("ExecStart")?.trim_start().strip_prefix('='));
            texts.extend(commands.filter(|command| command.contains("sshd")).map(str::to_owned));
        }
    }
    Ok(texts)
}

fn unquoted(text: &str) -> &str {
    ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(text)
}

fn text(root: &dyn Tree, path: &ImagePath, unread: &mut Vec<String>) -> Result<String, FsError> {
    let path = root.resolve(path)?;
    match root.stat(&path)?.filter(|stat| stat.kind == FileKind::File) {
        Some(stat) if stat.size > LIMIT => {
            unread.push(format!("{path}: it is too large"));
            Ok(String::new())
        }
        Some(_) => Ok(root.text(&path, LIMIT)?.unwrap_or_default()),
        None => Ok(String::new()),
    }
}

/// The words of a command line, without their quotes.
pub(super) fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote): (Vec<String>, Option<String>, _) = (Vec::new(), None, None);
    for c in text.chars() {
        match (c, quote) {
            (_, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (_, None) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_split_at_blanks_outside_of_quotes() {
        assert_eq!(super::words("-D  -o 'HostKey /a b' -h\"/x\""), ["-D", "-o", "HostKey /a b", "-h/x"]);
    }
}
