//! What sshd's configuration names, read by the audit itself: Includes to the depth at which sshd gives up, quotes, and
//! every block, for who logs in from where is not known (sshd_config(5), sshd(8)).

use std::collections::BTreeMap;

use crate::audit::error::AuditError;
use crate::audit::reader::AuditImage;

/// sshd's own limit (servconf.h, SERVCONF_MAX_DEPTH).
const DEEPEST: usize = 16;
/// No configuration has so many files.
const MOST_FILES: usize = 1_000;
/// Where units are that a person made, which may start sshd with options.
const UNITS: [&str; 2] = ["/etc/systemd/system/ssh*.service", "/etc/systemd/system/ssh*.service.d/*.conf"];

/// The arguments of every line with one of `keywords` (in lower case), sorted, with homes put in for `~`. They are bytes, as
/// names are.
///
/// # Errors
/// Damage.
pub fn arguments(image: &AuditImage, keywords: &[&str]) -> Result<Vec<Vec<u8>>, AuditError> {
    let homes = homes(image)?;
    let is_wanted = |keyword: &[u8]| keywords.iter().any(|wanted| wanted.as_bytes() == keyword);
    let (mut found, mut files) = (Vec::new(), 0);
    let mut ahead = vec![(b"/etc/ssh/sshd_config".to_vec(), 0)];
    for words in started_with(image)? {
        for pair in option_values(&words) {
            match pair {
                (b'f', file) => ahead.push(([b"/", file.as_slice()].concat(), 0)),
                (b'h', key) if is_wanted(b"hostkey") => found.push(key),
                (b'c', certificate) if is_wanted(b"hostcertificate") => found.push(certificate),
                (b'o', line) => {
                    let (keyword, arguments) = split(&line);
                    found.extend(arguments.into_iter().filter(|_| is_wanted(&keyword)));
                }
                _ => {}
            }
        }
    }
    while let Some((path, depth)) = ahead.pop() {
        files += 1;
        if depth > DEEPEST || files > MOST_FILES {
            let why = "Includes of sshd_config lead to it deeper than sshd follows, in a circle, or to too many files";
            image.unread().note(path, why.to_owned());
            continue;
        }
        for line in image.bytes(&path)?.unwrap_or_default().split(|&byte| byte == b'\n') {
            let (keyword, arguments) = split(line);
            if keyword != b"include" {
                found.extend(arguments.into_iter().filter(|_| is_wanted(&keyword)));
                continue;
            }
            for argument in arguments {
                let pattern = match argument.first() {
                    Some(b'/') => argument,
                    // `~` is no home in an Include.
                    Some(b'~') => [b"/", argument.as_slice()].concat(),
                    _ => [b"/etc/ssh/", argument.as_slice()].concat(),
                };
                ahead.extend(glob(image, &pattern)?.into_iter().map(|path| (path, depth + 1)));
            }
        }
    }
    found.retain(|argument| !argument.is_empty() && !argument.eq_ignore_ascii_case(b"none"));
    let mut found: Vec<Vec<u8>> = found.into_iter().map(|argument| with_home(argument, &homes)).collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The words with which sshd is started.
fn started_with(image: &AuditImage) -> Result<Vec<Vec<Vec<u8>>>, AuditError> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let default = image.bytes("/etc/default/ssh")?.unwrap_or_default();
    for line in default.split(|&byte| byte == b'\n') {
        let Some(options) = line.trim_ascii().strip_prefix(b"SSHD_OPTS=") else { continue };
        let options = options.trim_ascii();
        let inner = [b"\"", b"'"].iter().find_map(|&quote| options.strip_prefix(quote)?.strip_suffix(quote));
        lines.push(inner.unwrap_or(options).to_vec());
    }
    for pattern in UNITS {
        for unit in image.like(pattern)? {
            let text = joined_lines(&image.bytes(&unit)?.unwrap_or_default());
            let commands = text
                .split(|&byte| byte == b'\n')
                .filter_map(|line| line.trim_ascii().strip_prefix(b"ExecStart")?.trim_ascii_start().strip_prefix(b"="));
            let of_sshd = commands.filter(|command| memchr::memmem::find(command, b"sshd").is_some());
            lines.extend(of_sshd.map(<[u8]>::to_vec));
        }
    }
    // Quoted as sshd_config quotes, without a keyword in front.
    Ok(lines.iter().map(|line| split(&[b"x ", line.as_slice()].concat()).1).collect())
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

/// `-h KEY` and `-hKEY`, of the options that name something.
fn option_values(words: &[Vec<u8>]) -> Vec<(u8, Vec<u8>)> {
    let (mut pairs, mut words) = (Vec::new(), words.iter());
    while let Some(word) = words.next() {
        let Some([option @ (b'f' | b'h' | b'c' | b'o'), joined @ ..]) = word.strip_prefix(b"-") else { continue };
        let value = if joined.is_empty() { words.next().cloned().unwrap_or_default() } else { joined.to_vec() };
        pairs.push((*option, value));
    }
    pairs
}

fn homes(image: &AuditImage) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, AuditError> {
    let mut homes = BTreeMap::from([(b"root".to_vec(), b"/root".to_vec())]);
    homes.extend(image.accounts()?.into_iter().map(|account| (account.name, account.home)));
    Ok(homes)
}

/// `~` and `~user`: sshd puts the home in when it reads the line.
fn with_home(argument: Vec<u8>, homes: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let Some(rest) = argument.strip_prefix(b"~") else { return argument };
    let (user, below) = rest.split_at(rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len()));
    match homes.get(if user.is_empty() { &b"root"[..] } else { user }) {
        Some(home) => [home.as_slice(), below].concat(),
        None => argument,
    }
}

/// Files that are like a pattern of glob(3).
///
/// # Errors
/// Damage.
pub fn glob(image: &AuditImage, pattern: &[u8]) -> Result<Vec<Vec<u8>>, AuditError> {
    let mut found = vec![Vec::new()];
    for part in pattern.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for directory in found {
            if !part.iter().any(|byte| b"*?[\\".contains(byte)) {
                next.push([directory.as_slice(), b"/", part].concat());
                continue;
            }
            for name in image.names(&directory)? {
                let shown = part.starts_with(b".") || !name.starts_with(b".");
                if shown && is_like(&name, part) {
                    next.push([directory.as_slice(), b"/", &name].concat());
                }
            }
        }
        found = next;
    }
    Ok(found)
}

/// Whether a name is like a pattern: which places in the pattern the name so far may have come to, all at once.
fn is_like(name: &[u8], pattern: &[u8]) -> bool {
    let parts = parts(pattern);
    // A star may also stand for nothing.
    let reach = |places: &mut Vec<bool>| {
        for (at, part) in parts.iter().enumerate() {
            if matches!(part, Part::Star) && places.get(at) == Some(&true) {
                places.splice(at + 1..at + 2, [true]);
            }
        }
    };
    let mut places = vec![false; parts.len() + 1];
    places.splice(0..1, [true]);
    reach(&mut places);
    for &byte in name {
        let mut next = vec![false; parts.len() + 1];
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| places.get(*at) == Some(&true)) {
            let to = match part {
                Part::Star => at,
                Part::Any => at + 1,
                Part::One(bytes, negated)
                    if bytes.iter().any(|&(from, to)| (from..=to).contains(&byte)) != *negated =>
                {
                    at + 1
                }
                Part::One(..) => continue,
            };
            next.splice(to..to + 1, [true]);
        }
        places = next;
        reach(&mut places);
    }
    places.last() == Some(&true)
}

enum Part {
    Star,
    Any,
    /// One of these ranges, or none of them.
    One(Vec<(u8, u8)>, bool),
}

fn parts(pattern: &[u8]) -> Vec<Part> {
    let (mut parts, mut rest) = (Vec::new(), pattern);
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        parts.push(match byte {
            b'*' => Part::Star,
            b'?' => Part::Any,
            b'\\' if !rest.is_empty() => {
                let literal = rest.first().copied().unwrap_or_default();
                rest = rest.get(1..).unwrap_or_default();
                Part::One(vec![(literal, literal)], false)
            }
            b'[' => {
                let negated = rest.first() == Some(&b'!');
                let class = rest.get(usize::from(negated)..).unwrap_or_default();
                match class.iter().skip(1).position(|&b| b == b']') {
                    Some(end) => {
                        rest = class.get(end + 2..).unwrap_or_default();
                        Part::One(ranges(class.get(..=end).unwrap_or_default()), negated)
                    }
                    None => Part::One(vec![(b'[', b'[')], false),
                }
            }
            literal => Part::One(vec![(literal, literal)], false),
        });
    }
    parts
}

fn ranges(members: &[u8]) -> Vec<(u8, u8)> {
    match members {
        [from, b'-', to, rest @ ..] => [vec![(*from, *to)], ranges(rest)].concat(),
        [one, rest @ ..] => [vec![(*one, *one)], ranges(rest)].concat(),
        [] => Vec::new(),
    }
}

/// The keyword in lower case, and the arguments without quotes and escapes.
fn split(line: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let is_blank = |byte: &u8| b" \t\r".contains(byte);
    let begin = line.iter().position(|byte| !b" \t\r\n\x0c".contains(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !b" \t\r\n\x0c".contains(byte)).map_or(begin, |last| last + 1);
    let line = line.get(begin..end).unwrap_or_default();
    if line.starts_with(b"#") {
        return (Vec::new(), Vec::new());
    }
    let ends = |byte: &u8| is_blank(byte) || b"=\"".contains(byte);
    let quoted = line.strip_prefix(b"\"").and_then(|rest| {
        let end = rest.iter().position(|&byte| byte == b'"')?;
        Some((rest.get(..end)?, rest.get(end + 1..)?))
    });
    let (keyword, rest) = quoted.unwrap_or_else(|| line.split_at(line.iter().position(ends).unwrap_or(line.len())));
    let rest = rest.get(rest.iter().take_while(|byte| is_blank(byte)).count()..).unwrap_or_default();
    let rest = rest.strip_prefix(b"=").unwrap_or(rest);
    let (mut arguments, mut argument, mut quote): (Vec<Vec<u8>>, Option<Vec<u8>>, Option<u8>) =
        (Vec::new(), None, None);
    let mut bytes = rest.iter().peekable();
    while let Some(&byte) = bytes.next() {
        let escapes = |next: &&u8| b"\"'\\".contains(next) || (**next == b' ' && quote.is_none());
        match byte {
            b'\\' if bytes.peek().is_some_and(escapes) => argument.get_or_insert_default().extend(bytes.next()),
            _ if quote == Some(byte) => quote = None,
            b'"' | b'\'' if quote.is_none() => {
                quote = Some(byte);
                argument.get_or_insert_default();
            }
            b' ' | b'\t' | b'\r' if quote.is_none() => arguments.extend(argument.take()),
            b'#' if quote.is_none() && argument.is_none() => break,
            _ => argument.get_or_insert_default().push(byte),
        }
    }
    arguments.extend(argument);
    (keyword.to_ascii_lowercase(), arguments)
}

#[cfg(test)]
mod tests {
    use super::{is_like, split};

    #[test]
    fn lines_are_split() {
        let of = |line: &str| {
            let arguments = split(line.as_bytes()).1;
            arguments.into_iter().map(|argument| String::from_utf8(argument).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(split(b"HostKey /a").0, b"hostkey");
        assert_eq!(of("HostKey = \"/a b\" # c"), ["/a b"]);
        assert_eq!(of("AuthorizedKeysFile .ssh/a /etc/%u"), [".ssh/a", "/etc/%u"]);
        assert_eq!(split(b"# HostKey /a"), (Vec::new(), vec![]));
        assert_eq!(of("HostKey \"/a\"/b"), ["/a/b"]);
        assert_eq!(of("\"HostKey\" '/a b'"), ["/a b"]);
        assert_eq!(of("HostKey /a\\ b\r"), ["/a b"]);
        assert_eq!(of("HostKey /a#b"), ["/a#b"]);
        assert_eq!(split(b"HostKey /caf\xe9").1, [b"/caf\xe9"]);
    }

    #[test]
    fn names_are_like_patterns() {
        for (name, pattern) in
            [("10-a.conf", "*.conf"), ("k1", "k[0-9]"), ("k]", "k[]x]"), ("a*b", "a\\*b"), ("x", "x**"), ("k[", "k[")]
        {
            assert!(is_like(name.as_bytes(), pattern.as_bytes()), "{name} {pattern}");
        }
        for (name, pattern) in [("a.conf.bak", "*.conf"), ("kx", "k[0-9]"), ("k1", "k[!0-9]"), ("ab", "?")] {
            assert!(!is_like(name.as_bytes(), pattern.as_bytes()), "{name} {pattern}");
        }
    }
}
