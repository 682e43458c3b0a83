//! Netplan's YAML, without its Wi-Fi. Cut out by lines, so that everything else stays as it was written; where lines do not
//! tell, the file is refused rather than guessed at.

use std::collections::HashSet;

use super::cut::Cut;
use crate::strip::expressions::any_matches;

/// Wi-Fi that is described in another way than by `wifis:`.
const OTHER_WAYS: &[&str] = &[
    r"^[^#\n]*wifis",
    r"^[^#\n]*access-points",
    r#"^[^#\n]*connection\.type["']?\s*:\s*["']?(wifi|802-11-wireless)"#,
    r"^[^#\n]*(wifi|802-11-wireless)-security",
];
/// A comment with a password: of a network that was there before.
const COMMENT: &[&str] = &[r#"^\s*#.*(password|psk|passphrase)["']?\s*:"#];

/// The text without every `wifis:` mapping, or why that cannot be said.
///
/// # Errors
/// What is in the way, for a person.
pub(super) fn without_wifi(text: &str) -> Result<Cut, &'static str> {
    let mut cut = Cut::default();
    // The indentation of the `wifis:` whose lines are being taken out.
    let mut inside: Option<usize> = None;
    let mut kept: Vec<(usize, &str)> = Vec::new();
    // Which of them hold a `wifis:`.
    let mut parents: HashSet<usize> = HashSet::new();
    let mut interfaces = Interfaces::default();
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start_matches(' ');
        let indent = line.len() - bare.len();
        let content = bare.trim_end();
        let is_comment = !says(line);
        if bare.starts_with('\t') && !is_comment {
            return Err("it is indented with tabs, which YAML does not allow");
        }
        if let Some(outer) = inside {
            if is_comment || indent > outer {
                interfaces.see(indent, content);
                cut.take(line);
                continue;
            }
            inside = None;
        }
        match value_of_wifis(content) {
            Some("") => {
                inside = Some(indent);
                interfaces.begin();
                let is_above = |(outer, line): &(usize, &str)| *outer < indent && says(line);
                parents.extend(kept.iter().rposition(is_above));
                cut.take(line);
            }
            Some(_) => return Err("it is written in one line, or with an anchor"),
            None if content.starts_with('#') && any_matches(COMMENT, content) => cut.take(line),
            None => kept.push((indent, line)),
        }
    }
    cut.rest = without_empty_mappings(&kept, &parents);
    if !is_balanced(&cut.gone) {
        return Err("braces or quotes in it end in another place than the lines do");
    }
    if any_matches(OTHER_WAYS, &cut.rest) {
        return Err("it is written in a way that lines do not tell apart");
    }
    check_references(&cut, &interfaces.names)?;
    Ok(cut)
}

/// What stands behind `wifis:` in its line; a comment does not count.
fn value_of_wifis(line: &str) -> Option<&str> {
    let rest = ["wifis", "\"wifis\"", "'wifis'"].iter().find_map(|key| line.strip_prefix(key))?;
    let value = rest.trim_start().strip_prefix(':')?;
    let value = value.trim_start();
    Some(if value.starts_with('#') { "" } else { value })
}

/// The interfaces of a `wifis:`: its keys of the first indentation.
#[derive(Default)]
struct Interfaces {
    names: HashSet<String>,
    indent: Option<usize>,
}

impl Interfaces {
    fn begin(&mut self) {
        self.indent = None;
    }

    fn see(&mut self, indent: usize, content: &str) {
        if content.is_empty() || content.starts_with('#') || indent != *self.indent.get_or_insert(indent) {
            return;
        }
        let key = content.split(':').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        self.names.insert(key.to_owned());
    }
}

/// Whether a line is more than a comment.
fn says(line: &str) -> bool {
    !matches!(line.trim_start().chars().next(), None | Some('#'))
}

/// `network:` with nothing in it is none that netplan takes, and a version alone is no network: such lines go, too.
fn without_empty_mappings(lines: &[(usize, &str)], parents: &HashSet<usize>) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for (index, &(indent, line)) in lines.iter().enumerate() {
        let next = lines.get(index + 1..).unwrap_or_default().iter().find(|(_, line)| says(line));
        let holds = next.is_some_and(|(inner, _)| *inner > indent);
        if holds || !parents.contains(&index) {
            kept.push(line);
        }
    }
    let is_head = |line: &str| {
        ["network:", "version:", "renderer:", "---", "..."].iter().any(|word| line.trim_start().starts_with(word))
    };
    let is_all = !parents.is_empty() && kept.iter().filter(|line| says(line)).all(|line| is_head(line));
    kept.into_iter().filter(|line| !is_all || !says(line)).collect()
}

/// Whether what lines took out begins and ends its braces and quotes: in them, YAML does not look at indentation.
fn is_balanced(text: &str) -> bool {
    let (mut depth, mut quote, mut before) = (0i64, None, '\n');
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            Some('"') if c == '\\' => {
                chars.next();
            }
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None => match c {
                // A quote begins a value, or is a part of one.
                '"' | '\'' if " \t\n:,[{-".contains(before) => quote = Some(c),
                '{' | '[' if " \t\n:,[{-".contains(before) => depth += 1,
                '}' | ']' if depth > 0 => depth -= 1,
                '#' if before.is_whitespace() => while chars.next_if(|&c| c != '\n').is_some() {},
                _ => {}
            },
        }
        before = c;
    }
    depth == 0 && quote.is_none()
}

/// What stays must not need what goes, and the other way round.
fn check_references(cut: &Cut, interfaces: &HashSet<String>) -> Result<(), &'static str> {
    let words = |text: &str, mark: char| -> HashSet<String> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let words = lines.flat_map(|line| line.split(|c: char| c.is_whitespace() || ",[]{}:".contains(c)));
        words.filter_map(|word| word.strip_prefix(mark)).map(str::to_owned).collect()
    };
    if !words(&cut.gone, '*').is_subset(&words(&cut.gone, '&')) {
        return Err("it uses another part of the file by an alias");
    }
    if !words(&cut.gone, '&').is_disjoint(&words(&cut.rest, '*')) {
        return Err("other networks use a part of it by an alias");
    }
    for line in cut.rest.lines().filter(|line| !line.trim_start().starts_with('#')) {
        if line.split(|c: char| c.is_whitespace() || ",[]{}:\"'".contains(c)).any(|word| interfaces.contains(word)) {
            return Err("another network of the file needs the Wi-Fi interface");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(text: &str) -> String {
        without_wifi(text).unwrap().rest
    }

    #[test]
    fn other_networks_survive() {
        let text = "network:\n  version: 2\n  wifis:\n    wlan0:\n      access-points:\n        \"x\": {password: y}\n\n    # c\n  \
                    ethernets:\n    eth0: {dhcp4: true}\n";
        assert_eq!(left(text), "network:\n  version: 2\n  ethernets:\n    eth0: {dhcp4: true}\n");
        assert_eq!(left("# wifis: none\nversion: 2\n"), "# wifis: none\nversion: 2\n");
        assert_eq!(left("a: 1\nnetwork:\n  wifis: # home\n    w: {}\n"), "a: 1\n");
        assert_eq!(left("# c\nnetwork:\n  version: 2\n  wifis:\n    w: {}\n"), "# c\n");
        assert_eq!(left("#   password: \"old\"\nversion: 2\n"), "version: 2\n");
    }

    #[test]
    fn what_lines_do_not_tell_is_refused() {
        let e = "  ethernets:\n    e: {dhcp4: true}\n";
        for text in [
            "network: {version: 2, wifis: {w: {}}}\n".to_owned(),
            "network:\n  wifis: {w: {}}\n".to_owned(),
            "network:\n  wifis: &a\n    w: {}\n".to_owned(),
            "network:\n\twifis:\n".to_owned(),
            "network:\n  wifis:\n    w: &x {dhcp4: true}\n  ethernets:\n    e: *x\n".to_owned(),
            format!("x-pw: &pw secret\nnetwork:\n{e}  wifis:\n    w:\n      access-points: {{x: {{password: *pw}}}}\n"),
            format!("network:\n{e}  wifis:\n    wlan0: {{}}\n  bridges:\n    b: {{interfaces: [e, wlan0]}}\n"),
            format!("network:\n{e}  wifis:\n    w: {{access-points: {{x: {{\npassword: secret}}}}}}\n"),
            "network:\n  nm-devices:\n    n:\n      networkmanager:\n        passthrough:\n          \
                connection.type: \"wifi\"\n"
                .to_owned(),
            "network:\r  wifis:\r    w: {}\r".to_owned(),
            "network:\n  ? wifis\n  : {w: {}}\n".to_owned(),
            "network:\n  \"w\\x69fis\":\n    w:\n      access-points:\n        x: {password: secret}\n".to_owned(),
        ] {
            assert!(without_wifi(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_bomb_is_gone_through_once() {
        let mut text = String::from("a: &a [x,x]\n");
        for i in 0..20_000 {
            text.push_str(&format!("b{i}: &b{i} [*a,*a,*a,*a,*a,*a,*a,*a]\n"));
        }
        text.push_str("network:\n  wifis:\n    w: {access-points: {x: {password: y}}}\n");
        assert!(without_wifi(&text).unwrap().rest.starts_with("a: &a"));
    }
}
