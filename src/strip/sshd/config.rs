//! What sshd's configuration names: host keys, certificates, and files of who may log in. Read as sshd reads it
//! (openssh-portable, servconf.c and misc.c), but leniently: sshd does not start with a line that it cannot read, and a
//! key that such a file names is a key all the same.

use super::glob::glob;
use super::options;
use super::users::{User, users};
use crate::fs::{BadPath, FileKind, FsError, ImagePath, Tree};
use crate::prepare::SETTINGS_LIMIT;

const MAIN: &str = "/etc/ssh/sshd_config";
/// sshd gives up at this depth (servconf.h, SERVCONF_MAX_DEPTH).
const DEEPEST: usize = 16;
/// No configuration has so many files; a loop of Includes could have that many before it is too deep.
const MOST_FILES: usize = 1_000;

/// What the configuration names. Paths as they are written, `~` of root's home put in.
#[derive(Debug, Default)]
pub struct SshdConfig {
    /// Every `HostKey`.
    pub host_keys: Vec<Vec<u8>>,
    /// Every `HostCertificate`.
    pub host_certificates: Vec<Vec<u8>>,
    /// Every `AuthorizedKeysFile` of every block, with its tokens. Empty: the default.
    pub authorized_keys: Vec<Vec<u8>>,
    /// Every `TrustedUserCAKeys`.
    pub authorities: Vec<Vec<u8>>,
    /// Every `AuthorizedPrincipalsFile`, with its tokens.
    pub principals: Vec<Vec<u8>>,
    /// `HostKeyAgent` names one: the keys are not in the image, or not found.
    pub has_agent: bool,
    /// Files that were not read, and why.
    pub unread: Vec<String>,
    /// Files that an option `-f` names instead of the usual one.
    pub other_files: Vec<ImagePath>,
    users: Vec<User>,
    files: usize,
}

impl SshdConfig {
    /// Reads the configuration of an image.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub fn read(root: &dyn Tree) -> Result<SshdConfig, FsError> {
        let mut config = SshdConfig { users: users(root)?, ..SshdConfig::default() };
        // Also where an option names another file: one line decides which of them counts.
        config.file(root, &ImagePath::new(MAIN)?, 0)?;
        for text in options::of(root, &mut config.unread)? {
            config.options(root, &text)?;
        }
        config.unread.dedup();
        Ok(config)
    }

    fn file(&mut self, root: &dyn Tree, path: &ImagePath, depth: usize) -> Result<(), FsError> {
        let path = root.resolve(path)?;
        let Some(stat) = root.stat(&path)?.filter(|stat| stat.kind == FileKind::File) else { return Ok(()) };
        self.files += 1;
        if depth > DEEPEST || self.files > MOST_FILES || stat.size > SETTINGS_LIMIT {
            let why = if stat.size > SETTINGS_LIMIT {
                "it is too large"
            } else {
                "Includes lead to it too deep, or in a circle"
            };
            let text = format!("{path}: {why}");
            if !self.unread.contains(&text) {
                self.unread.push(text);
            }
            return Ok(());
        }
        let content = root.read(&path, SETTINGS_LIMIT)?;
        for line in content.split(|&byte| byte == b'\n') {
            let words = words(line);
            let Some((keyword, arguments)) = words.split_first() else { continue };
            if !keyword.eq_ignore_ascii_case(b"include") {
                self.keyword(keyword, arguments);
                continue;
            }
            for argument in arguments {
                // Not relative to the file that includes: to /etc/ssh, always. And `~` is no home here.
                let pattern = match argument.first() {
                    Some(b'/') => argument.clone(),
                    Some(b'~') => [b"/", argument.as_slice()].concat(),
                    _ => [b"/etc/ssh/", argument.as_slice()].concat(),
                };
                for included in glob(root, &pattern)? {
                    self.file(root, &included, depth + 1)?;
                }
                // A circle of many Includes would have each of them tried again.
                if self.files > MOST_FILES {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Every block counts: who logs in from where is not known beforehand. One file named too many is better than one
    /// that is overlooked.
    fn keyword(&mut self, keyword: &[u8], arguments: &[Vec<u8>]) {
        let users = &self.users;
        let named = arguments.iter().filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case(b"none"));
        let named = named.map(|word| with_home(word, users));
        let to = match keyword.to_ascii_lowercase().as_slice() {
            b"hostkey" | b"hostdsakey" => &mut self.host_keys,
            b"hostcertificate" => &mut self.host_certificates,
            b"authorizedkeysfile" => &mut self.authorized_keys,
            b"trustedusercakeys" => &mut self.authorities,
            b"authorizedprincipalsfile" => &mut self.principals,
            b"hostkeyagent" => {
                self.has_agent |= named.count() > 0;
                return;
            }
            _ => return,
        };
        for path in named {
            if !to.contains(&path) {
                to.push(path);
            }
        }
    }

    /// `-f FILE -h KEY -c CERTIFICATE -o Keyword=value`, of sshd(8).
    fn options(&mut self, root: &dyn Tree, text: &[u8]) -> Result<(), FsError> {
        let mut words = options::words(text).into_iter();
        while let Some(word) = words.next() {
            let Some([option @ (b'f' | b'h' | b'c' | b'o'), joined @ ..]) = word.strip_prefix(b"-") else { continue };
            let value = if joined.is_empty() { words.next().unwrap_or_default() } else { joined.to_vec() };
            match option {
                b'f' => {
                    if let Ok(file) = from_root(&value) {
                        self.other_files.push(file.clone());
                        self.file(root, &file, 0)?;
                    }
                }
                b'h' => self.keyword(b"HostKey", &[value]),
                b'c' => self.keyword(b"HostCertificate", &[value]),
                _ => {
                    let words = self::words(&value);
                    if let Some((keyword, arguments)) = words.split_first() {
                        self.keyword(keyword, arguments);
                    }
                }
            }
        }
        Ok(())
    }
}

/// A path as sshd sees it, whose working directory is the root.
///
/// # Errors
/// Where it is none.
pub fn from_root(path: &[u8]) -> Result<ImagePath, BadPath> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    ImagePath::new([b"/", parts.join(&b'/').as_slice()].concat())
}

/// `~/x` is root's, whoever logs in, and `~user/x` that user's: sshd puts them in when it reads the file.
fn with_home(path: &[u8], users: &[User]) -> Vec<u8> {
    let Some(rest) = path.strip_prefix(b"~") else { return path.to_vec() };
    let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
    let (user, below) = rest.split_at(end);
    let user = if user.is_empty() { b"root" } else { user };
    let home = users.iter().find(|known| known.name == user).map(|known| known.home.as_slice());
    match home.or((user == b"root").then_some(b"/root")) {
        Some(home) => [home, below].concat(),
        None => path.to_vec(),
    }
}

/// The keyword and arguments of a line: the keyword ends at a blank or one `=`; arguments are quoted with `"` or `'`, also
/// in part; `\` escapes quotes, itself and blanks; a `#` begins a comment where a word could begin.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    const BLANK: &[u8] = b" \t\r";
    // sshd strips a form feed at the end alone; at the beginning it would not start.
    let line = line.trim_ascii();
    let is_blank = |byte: &u8| BLANK.contains(byte);
    let mut words = Vec::new();
    let (keyword, mut rest) = match line {
        [] | [b'#', ..] => return words,
        [b'"', quoted @ ..] => {
            let end = quoted.iter().position(|&byte| byte == b'"').unwrap_or(quoted.len());
            (quoted.get(..end).unwrap_or_default(), quoted.get(end + 1..).unwrap_or_default())
        }
        _ => line.split_at(line.iter().position(|byte| is_blank(byte) || *byte == b'=').unwrap_or(line.len())),
    };
    words.push(keyword.to_vec());
    rest = rest.trim_ascii_start();
    rest = rest.strip_prefix(b"=").unwrap_or(rest);
    let mut bytes = rest.iter().copied().peekable();
    loop {
        while bytes.next_if(is_blank).is_some() {}
        match bytes.peek() {
            None | Some(b'#') => return words,
            Some(_) => {}
        }
        let (mut word, mut quote) = (Vec::new(), None);
        while let Some(byte) = bytes.next() {
            match (byte, quote) {
                (b'\\', _) if matches!(bytes.peek(), Some(b'"' | b'\'' | b'\\')) => word.extend(bytes.next()),
                (b'\\', None) if bytes.peek() == Some(&b' ') => word.extend(bytes.next()),
                (b'"' | b'\'', None) => quote = Some(byte),
                (_, Some(open)) if byte == open => quote = None,
                (_, None) if is_blank(&byte) => break,
                _ => word.push(byte),
            }
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::mem_tree::MemTree;

    fn said(line: &str) -> Vec<String> {
        words(line.as_bytes()).into_iter().map(|word| String::from_utf8(word).unwrap()).collect()
    }

    #[test]
    fn lines_are_split_as_sshd_splits_them() {
        assert_eq!(said("HostKey /etc/k"), ["HostKey", "/etc/k"]);
        assert_eq!(said("  hostkey=\"/etc/a b\" # x"), ["hostkey", "/etc/a b"]);
        assert_eq!(said("HOSTKEY\t=\t/k\r"), ["HOSTKEY", "/k"]);
        assert_eq!(said("\"HostKey\" /x"), ["HostKey", "/x"]);
        assert_eq!(said("HostKey \"/a\"/b"), ["HostKey", "/a/b"]);
        assert_eq!(said("HostKey /a\\ b"), ["HostKey", "/a b"]);
        assert_eq!(said("HostKey /a/b#c"), ["HostKey", "/a/b#c"]);
        assert_eq!(said("#HostKey /etc/k"), [""; 0]);
        assert_eq!(said("HostKey"), ["HostKey"]);
    }

    #[test]
    fn includes_are_followed_from_etc_ssh_nested_and_never_for_ever() {
        let root = MemTree::with(&[
            (
                "/etc/ssh/sshd_config",
                "Include sshd_config.d/*.conf /opt/keys/?.conf\nHostKey none\nMatch all\nHostKey /m\n",
            ),
            ("/etc/ssh/sshd_config.d/1.conf", "Include more/a.conf\nInclude /etc/ssh/sshd_config\n"),
            ("/etc/ssh/sshd_config.d/.hidden.conf", "HostKey /hidden\n"),
            ("/etc/ssh/more/a.conf", "HostKey /nested\nHostCertificate ~/c\nAuthorizedKeysFile /etc/keys/%u .k\n"),
            ("/opt/keys/1.conf", "HostKey /one\nTrustedUserCAKeys /etc/ssh/ca.pub\n"),
            ("/etc/passwd", "pi:x:1000:1000::/home/kim:/bin/sh\n"),
            ("/etc/default/ssh", "SSHD_OPTS=\"-h /option -D -o HostKey=/other -h~pi/k -f /etc/other\"\n"),
            ("/etc/other", "HostKey /in-other\n"),
            (
                "/etc/systemd/system/ssh.service.d/x.conf",
                "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D -h /unit $SSHD_OPTS\n",
            ),
        ]);
        let config = SshdConfig::read(&root).unwrap();
        let texts =
            |all: &[Vec<u8>]| all.iter().map(|one| String::from_utf8_lossy(one).into_owned()).collect::<Vec<_>>();
        let mut keys = texts(&config.host_keys);
        keys.sort();
        assert_eq!(keys, ["/home/kim/k", "/in-other", "/m", "/nested", "/one", "/option", "/other", "/unit"]);
        assert_eq!(texts(&config.host_certificates), ["/root/c"]);
        assert_eq!(texts(&config.authorized_keys), ["/etc/keys/%u", ".k"]);
        assert_eq!(texts(&config.authorities), ["/etc/ssh/ca.pub"]);
        assert!(!config.unread.is_empty(), "the circle is said");
    }
}
