//! The regular expressions of sudo's lexer, by hand: each says how many bytes at the start of `text` it matches, the
//! longest way, as flex does.

/// `PATH_MAX`: sudo calls a command of that length too long.
pub(super) const LONGEST_COMMAND: usize = 4096;

fn at(text: &[u8], i: usize) -> Option<u8> {
    text.get(i).copied()
}

fn is_blank(c: u8) -> bool {
    c == b' ' || c == b'\t'
}

/// `some(n)` where n is not nothing.
fn some(n: usize) -> Option<usize> {
    (n > 0).then_some(n)
}

/// Blanks and tabs, perhaps none.
pub(super) fn blanks(text: &[u8]) -> usize {
    text.iter().take_while(|&&c| is_blank(c)).count()
}

/// A fixed text.
pub(super) fn literal(text: &[u8], word: &[u8]) -> Option<usize> {
    text.starts_with(word).then_some(word.len())
}

/// A fixed text, blanks, and a colon: how every tag looks.
pub(super) fn tag(text: &[u8], word: &[u8]) -> Option<usize> {
    let n = literal(text, word)?;
    let n = n + blanks(text.get(n..)?);
    (at(text, n) == Some(b':')).then_some(n + 1)
}

/// Bytes that `plain` allows, and pairs of a backslash and a byte that `escaped` allows.
fn run(text: &[u8], plain: impl Fn(u8) -> bool, escaped: impl Fn(u8) -> bool) -> usize {
    let mut n = 0;
    while let Some(c) = at(text, n) {
        if c == b'\\' && at(text, n + 1).is_some_and(&escaped) {
            n += 2;
        } else if plain(c) {
            n += 1;
        } else {
            break;
        }
    }
    n
}

/// WORD: a user, host or value.
pub(super) fn word(text: &[u8]) -> Option<usize> {
    some(run(text, |c| !b"#>!=:,() \t\r\n\\\"".contains(&c), |c| c != b'\t' && c != b'\n'))
}

/// ID: `#1000`.
pub(super) fn id(text: &[u8]) -> Option<usize> {
    literal(text, b"#")?;
    let sign = 1 + usize::from(at(text, 1) == Some(b'-'));
    let digits = text.get(sign..)?.iter().take_while(|c| c.is_ascii_digit()).count();
    (digits > 0).then_some(sign + digits)
}

/// WORD or ID.
pub(super) fn word_or_id(text: &[u8]) -> Option<usize> {
    word(text).max(id(text))
}

/// PATH.
pub(super) fn path(text: &[u8]) -> Option<usize> {
    literal(text, b"/")?;
    let rest = run(text.get(1..)?, |c| !b",:=\\ \t\r\n#".contains(&c), |c| b",:= \t#".contains(&c));
    (rest > 0).then_some(1 + rest)
}

/// REGEX: `^…$`, to the last dollar that can end it. No further than sudo takes a command (PATH_MAX): a line of many
/// `^` would otherwise be searched to its end for each.
pub(super) fn regex(text: &[u8]) -> Option<usize> {
    literal(text, b"^")?;
    let text = text.get(..LONGEST_COMMAND).unwrap_or(text);
    // Whether a position can be reached, for the two positions ahead: `\$` can be read as one escaped byte or as a
    // backslash and the end, and flex tries both.
    let (mut here, mut next, mut best, mut i) = (true, false, None, 1);
    while let Some(c) = at(text, i).filter(|_| here || next) {
        let (mut after, mut far) = (next, false);
        if here {
            match c {
                b'$' => best = Some(i + 1),
                b'#' | b'\r' | b'\n' => {}
                b'\\' => {
                    after = true;
                    far = at(text, i + 1).is_some_and(|c| c == b'#' || c == b'$');
                }
                _ => after = true,
            }
        }
        (here, next, i) = (after, far, i + 1);
    }
    best
}

/// ENVAR: the value of a Defaults option.
pub(super) fn value(text: &[u8]) -> Option<usize> {
    let escaped = |c| c != b'\r' && c != b'\n';
    let later = |c: u8| !b"#=, \t\r\n\\\"".contains(&c);
    if at(text, 0) == Some(b'!') { None } else { some(run(text, later, escaped)) }
}

/// An upper-case alias name.
pub(super) fn alias(text: &[u8]) -> Option<usize> {
    at(text, 0).filter(u8::is_ascii_uppercase)?;
    some(text.iter().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || **c == b'_').count())
}

/// `+netgroup`.
pub(super) fn netgroup(text: &[u8]) -> Option<usize> {
    literal(text, b"+").and_then(|n| Some(n + word(text.get(n..)?)?))
}

/// `%group`, `%:group`, `%#gid`.
pub(super) fn user_group(text: &[u8]) -> Option<usize> {
    let n = literal(text, b"%:").or_else(|| literal(text, b"%"))?;
    Some(n + word_or_id(text.get(n..)?)?)
}

/// A group or netgroup sign with nothing after it.
pub(super) fn empty_group(text: &[u8]) -> Option<usize> {
    literal(text, b"+").or_else(|| literal(text, b"%:")).or_else(|| literal(text, b"%"))
}

/// 0 to 255 in the lexer's notation, at most three digits.
fn octet(text: &[u8]) -> Option<usize> {
    let digits = text.iter().take(3).take_while(|c| c.is_ascii_digit()).count();
    match (digits, at(text, 0), at(text, 1), at(text, 2)) {
        (0, ..) => None,
        (3, Some(b'1'), ..)
        | (3, Some(b'2'), Some(b'0'..=b'4'), _)
        | (3, Some(b'2'), Some(b'5'), Some(b'0'..=b'5')) => Some(3),
        (n, ..) => Some(n.min(2)),
    }
}

fn ipv4(text: &[u8]) -> Option<usize> {
    let mut n = octet(text)?;
    for _ in 0..3 {
        if at(text, n) != Some(b'.') {
            return None;
        }
        n += 1 + octet(text.get(n + 1..)?)?;
    }
    Some(n)
}

/// A number of bits up to `most`, without leading zeros but for a lone one of two digits in IPv4 (`[12]?[0-9]`).
fn bits(text: &[u8], most: u16) -> Option<usize> {
    let digits = text.iter().take(3).take_while(|c| c.is_ascii_digit()).count();
    (1..=digits).rev().find(|&n| {
        let value = text.iter().take(n).fold(0u16, |sum, c| sum * 10 + u16::from(c - b'0'));
        value <= most && (n == 1 || at(text, 0) != Some(b'0'))
    })
}

fn ipv6(text: &[u8]) -> Option<usize> {
    let hex = |text: &[u8]| text.iter().take(4).take_while(|c| c.is_ascii_hexdigit()).count();
    let (mut n, mut best) = (0, None);
    for group in 1..=7 {
        let digits = hex(text.get(n..)?);
        if at(text, n + digits) != Some(b':') {
            break;
        }
        n += digits + 1;
        if group >= 2 {
            best = best.max(Some(n + hex(text.get(n..)?)));
            if group <= 6 && at(text, n) == Some(b':') {
                best = best.max(ipv4(text.get(n + 1..)?).map(|v4| n + 1 + v4));
            }
        }
    }
    best
}

/// An IPv4 address, with a mask in either form.
pub(super) fn network4(text: &[u8]) -> Option<usize> {
    let n = ipv4(text)?;
    let mask = text.get(n..).filter(|rest| rest.starts_with(b"/")).and_then(|rest| rest.get(1..));
    Some(mask.and_then(|mask| ipv4(mask).max(bits(mask, 32))).map_or(n, |mask| n + 1 + mask))
}

/// An IPv6 address, with a mask in either form.
pub(super) fn network6(text: &[u8]) -> Option<usize> {
    let n = ipv6(text)?;
    let mask = text.get(n..).filter(|rest| rest.starts_with(b"/")).and_then(|rest| rest.get(1..));
    Some(mask.and_then(|mask| ipv6(mask).max(bits(mask, 128))).map_or(n, |mask| n + 1 + mask))
}

/// Whether an IPv6 address has at most one `::` on each side of a slash.
pub(super) fn is_valid_network6(text: &[u8]) -> bool {
    text.split(|&c| c == b'/').all(|side| side.windows(2).filter(|pair| *pair == b"::").count() <= 1)
}

/// `\n` or `\r\n`.
pub(super) fn newline(text: &[u8]) -> Option<usize> {
    literal(text, b"\r\n").or_else(|| literal(text, b"\n"))
}

/// A backslash, blanks, and the end of the line.
pub(super) fn continuation(text: &[u8]) -> Option<usize> {
    let n = literal(text, b"\\")?;
    let n = n + blanks(text.get(n..)?);
    Some(n + newline(text.get(n..)?)?)
}

/// The rest of the line with its end.
fn rest_of_line(text: &[u8]) -> usize {
    text.iter().position(|&c| c == b'\n').map_or(text.len(), |n| n + 1)
}

/// `#` and what follows, where that is no uid.
pub(super) fn comment(text: &[u8]) -> Option<usize> {
    literal(text, b"#")?;
    let nothing = || 1 + text.get(1..).and_then(newline).unwrap_or(0);
    let body = match at(text, 1) {
        None | Some(b'\r' | b'\n' | b'0'..=b'9') => false,
        Some(b'-') => at(text, 2).is_some_and(|c| !b"\r\n0123456789".contains(&c)),
        Some(_) => true,
    };
    Some(if body { rest_of_line(text) } else { nothing() })
}

/// `#include` or `#includedir` at the start of a line, with blanks after it: the whole line.
pub(super) fn hash_include(text: &[u8], word: &[u8]) -> Option<usize> {
    let n = literal(text, word)?;
    at(text, n).filter(|&c| is_blank(c))?;
    Some(rest_of_line(text))
}

/// `Defaults` at the start of a line, with what it is bound to. Returns the length, and how much of it the token takes:
/// the binding itself is read again as list members.
pub(super) fn defaults(text: &[u8]) -> Option<(usize, usize)> {
    let start = blanks(text);
    let bare = start + literal(text.get(start..)?, b"Defaults")?;
    let bound = || {
        at(text, bare).filter(|c| b":@>!".contains(c))?;
        let first = bare + 1 + blanks(text.get(bare + 1..)?);
        let mut n = first + text.get(first..)?.iter().take_while(|&&c| c == b'!').count();
        n += usize::from(at(text, n) == Some(b'"'));
        Some((n + word_or_id(text.get(n..)?)?, first))
    };
    Some(bound().unwrap_or((bare, bare)))
}

/// An include path: no white space, unless a backslash stands before a blank.
pub(super) fn include_path(text: &[u8]) -> Option<usize> {
    at(text, 0).filter(|&c| c != b'"' && !c.is_ascii_whitespace() && c != 0x0b)?;
    some(run(text, |c| !c.is_ascii_whitespace() && c != 0x0b, is_blank))
}

/// The inside of a string up to a quote, a backslash or the end of the line.
pub(super) fn string_body(text: &[u8]) -> Option<usize> {
    some(run(text, |c| !b"\"\r\n\\".contains(&c), |c| c == b'"'))
}

/// One argument of a command, up to a separator or a backslash.
pub(super) fn argument(text: &[u8]) -> Option<usize> {
    some(text.iter().take_while(|c| !b"#\\:, \t\r\n".contains(c)).count())
}

/// The inside of a regular expression, up to a dollar, a backslash or what ends it by mistake.
pub(super) fn regex_body(text: &[u8]) -> Option<usize> {
    some(text.iter().take_while(|c| !b"#\\\r\n$".contains(c)).count())
}
