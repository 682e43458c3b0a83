//! What sshd's configuration names, read by the audit itself: Includes to the depth at which sshd gives up, quotes, and
//! every block, for who logs in from where is not known (sshd_config(5), sshd(8)).

use std::collections::BTreeMap;

use crate::audit::reader::{AuditError, AuditImage};

/// sshd's own limit (servconf.h, SERVCONF_MAX_DEPTH).
const DEEPEST: usize = 16;
/// No configuration has so many files.
const MOST_FILES: usize = 1_000;
/// Where units are that a person made, which may start sshd with options.
const UNITS: [&str; 2] = ["/etc/systemd/system/ssh*.service", "/etc/systemd/system/ssh*.service.d/*.conf"];

/// The arguments of every line with one of `keywords` (in lower case), sorted, with homes put in for `~`.
///
/// # Errors
/// Damage.
pub fn arguments(image: &AuditImage, keywords: &[&str]) -> Result<Vec<String>, AuditError> {
    let homes = homes(image)?;
    let (mut found, mut files) = (Vec::new(), 0);
    let mut ahead = vec![("/etc/ssh/sshd_config".to_owned(), 0)];
    for words in started_with(image)? {
        for pair in option_values(&words) {
            match pair {
                ('f', file) => ahead.push((format!("/{file}"), 0)),
                ('h', key) if keywords.contains(&"hostkey") => found.push(key),
                ('c', certificate) if keywords.contains(&"hostcertificate") => found.push(certificate),
                ('o', line) => {
                    let (keyword, arguments) = split(&line);
                    found.extend(arguments.into_iter().filter(|_| keywords.contains(&keyword.as_str())));
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
        for line in image.text(&path)?.unwrap_or_default().split('\n') {
            let (keyword, arguments) = split(line);
            if keyword != "include" {
                found.extend(arguments.into_iter().filter(|_| keywords.contains(&keyword.as_str())));
                continue;
            }
            for argument in arguments {
                let absolute = argument.starts_with('/');
                // `~` is no home in an Include.
                let pattern = match argument.starts_with('~') {
                    true => format!("/{argument}"),
                    false if absolute => argument,
                    false => format!("/etc/ssh/{argument}"),
                };
                ahead.extend(glob(image, &pattern)?.into_iter().map(|path| (path, depth + 1)));
            }
        }
    }
    found.retain(|argument| !argument.is_empty() && !argument.eq_ignore_ascii_case("none"));
    let mut found: Vec<String> = found.into_iter().map(|argument| with_home(argument, &homes)).collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The words with which sshd is started.
fn started_with(image: &AuditImage) -> Result<Vec<Vec<String>>, AuditError> {
    let mut lines = Vec::new();
    let default = image.text("/etc/default/ssh")?.unwrap_or_default();
    let options = default.lines().filter_map(|line| line.trim().strip_prefix("SSHD_OPTS=")).map(str::trim);
    lines.extend(options.map(|options| {
        let inner = ['"', '\''].iter().find_map(|quote| options.strip_prefix(*quote)?.strip_suffix(*quote));
        inner.unwrap_or(options).to_owned()
    }));
    for pattern in UNITS {
        for unit in image.like(pattern)? {
            let text = image.text(&String::from_utf8_lossy(&unit))?.unwrap_or_default().replace("\\\n", " ");
            let commands =
                text.lines().filter_map(|line| line.trim().strip_prefix("ExecStart")?.trim_start().strip_prefix('='));
            lines.extend(commands.filter(|command| command.contains("sshd")).map(str::to_owned));
        }
    }
    // Quoted as sshd_config quotes, without a keyword in front.
    Ok(lines.iter().map(|line| split(&format!("x {line}")).1).collect())
}

/// `-h KEY` and `-hKEY`, of the options that name something.
fn option_values(words: &[String]) -> Vec<(char, String)> {
    let (mut pairs, mut words) = (Vec::new(), words.iter());
    while let Some(word) = words.next() {
        let mut letters = word.strip_prefix('-').unwrap_or_default().chars();
        let Some(option) = letters.next().filter(|option| "fhco".contains(*option)) else { continue };
        let joined = letters.as_str();
        let value = if joined.is_empty() { words.next().cloned().unwrap_or_default() } else { joined.to_owned() };
        pairs.push((option, value));
    }
    pairs
}

fn homes(image: &AuditImage) -> Result<BTreeMap<String, String>, AuditError> {
    let mut homes = BTreeMap::from([("root".to_owned(), "/root".to_owned())]);
    homes.extend(image.accounts()?.into_iter().map(|account| (account.name, account.home)));
    Ok(homes)
}

/// `~` and `~user`: sshd puts the home in when it reads the line.
fn with_home(argument: String, homes: &BTreeMap<String, String>) -> String {
    let Some(rest) = argument.strip_prefix('~') else { return argument };
    let (user, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match homes.get(if user.is_empty() { "root" } else { user }) {
        Some(home) => format!("{home}{below}"),
        None => argument,
    }
}

/// Files that are like a pattern of glob(3).
///
/// # Errors
/// Damage.
pub fn glob(image: &AuditImage, pattern: &str) -> Result<Vec<String>, AuditError> {
    let mut found = vec![String::new()];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for directory in found {
            if !part.contains(['*', '?', '[', '\\']) {
                next.push(format!("{directory}/{part}"));
                continue;
            }
            for name in image.names(&format!("{directory}/"))? {
                let shown = part.starts_with('.') || !name.starts_with('.');
                if shown && is_like(name.as_bytes(), part.as_bytes()) {
                    next.push(format!("{directory}/{name}"));
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
fn split(line: &str) -> (String, Vec<String>) {
    let line = line.trim_matches([' ', '\t', '\r', '\n', '\u{c}']);
    if line.starts_with('#') {
        return (String::new(), Vec::new());
    }
    let quoted = line.strip_prefix('"').and_then(|rest| rest.split_once('"'));
    let (keyword, rest) =
        quoted.unwrap_or_else(|| line.split_at(line.find([' ', '\t', '\r', '=', '"']).unwrap_or(line.len())));
    let rest = rest.trim_start_matches([' ', '\t', '\r']);
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let (mut arguments, mut argument, mut quote): (Vec<String>, Option<String>, Option<char>) =
        (Vec::new(), None, None);
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        let escapes = |next: &char| "\"'\\".contains(*next) || (*next == ' ' && quote.is_none());
        match c {
            '\\' if chars.peek().is_some_and(escapes) => argument.get_or_insert_default().extend(chars.next()),
            _ if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => {
                quote = Some(c);
                argument.get_or_insert_default();
            }
            ' ' | '\t' | '\r' if quote.is_none() => arguments.extend(argument.take()),
            '#' if quote.is_none() && argument.is_none() => break,
            _ => argument.get_or_insert_default().push(c),
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
        let of = |line| split(line).1;
        assert_eq!(split("HostKey /a").0, "hostkey");
        assert_eq!(of("HostKey = \"/a b\" # c"), ["/a b"]);
        assert_eq!(of("AuthorizedKeysFile .ssh/a /etc/%u"), [".ssh/a", "/etc/%u"]);
        assert_eq!(split("# HostKey /a"), (String::new(), vec![]));
        assert_eq!(of("HostKey \"/a\"/b"), ["/a/b"]);
        assert_eq!(of("\"HostKey\" '/a b'"), ["/a b"]);
        assert_eq!(of("HostKey /a\\ b\r"), ["/a b"]);
        assert_eq!(of("HostKey /a#b"), ["/a#b"]);
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
