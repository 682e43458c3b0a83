//! fnmatch(3) as glibc does it in the C locale, for host names, commands and arguments.

/// How to match.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    /// `FNM_PATHNAME`: only a slash matches a slash.
    pub pathname: bool,
    /// `FNM_CASEFOLD`.
    pub fold: bool,
}

/// Whether all of `text` matches `pattern`. Time is at most the product of their lengths.
pub(super) fn matches(pattern: &[u8], text: &[u8], flags: Flags) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*`, and how much it has taken so far. An earlier one never needs to give back:
    // whatever it could take, the last one can, unless a slash lies between, which no `*` may take at all.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match (pattern.get(p), text.get(t)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                p += 1;
                star = Some((p, t));
                continue;
            }
            (Some(_), Some(&c)) => one(pattern.get(p..).unwrap_or_default(), c, flags),
            _ => None,
        };
        if let Some(length) = step {
            (p, t) = (p + length, t + 1);
            continue;
        }
        match star {
            Some((after, taken)) if text.get(taken).is_some_and(|&c| !(flags.pathname && c == b'/')) => {
                star = Some((after, taken + 1));
                (p, t) = (after, taken + 1);
            }
            _ => return false,
        }
    }
}

fn same(a: u8, b: u8, flags: Flags) -> bool {
    a == b || flags.fold && a.eq_ignore_ascii_case(&b)
}

/// Whether the pattern's first element matches `c`: its length.
fn one(pattern: &[u8], c: u8, flags: Flags) -> Option<usize> {
    let slash = flags.pathname && c == b'/';
    match pattern {
        [b'?', ..] => (!slash).then_some(1),
        [b'[', rest @ ..] => match bracket(rest, c, flags) {
            Some((inside, length)) => (inside && !slash).then_some(length + 1),
            None => same(b'[', c, flags).then_some(1),
        },
        [b'\\', next, ..] => same(*next, c, flags).then_some(2),
        [plain, ..] => same(*plain, c, flags).then_some(1),
        [] => None,
    }
}

/// A bracket expression after its `[`: whether it holds `c`, and its length with the `]`. `None` where it never ends.
fn bracket(text: &[u8], c: u8, flags: Flags) -> Option<(bool, usize)> {
    let negated = matches!(text.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let (mut inside, mut first) = (false, true);
    loop {
        let rest = text.get(at..)?;
        match rest {
            [] => return None,
            [b']', ..] if !first => return Some((inside != negated, at + 1)),
            [b'[', b':', class @ ..] if class.windows(2).any(|pair| pair == b":]") => {
                let end = class.windows(2).position(|pair| pair == b":]")?;
                inside |= in_class(class.get(..end)?, c, flags);
                at += 2 + end + 2;
            }
            _ => {
                let (low, length) = literal(rest)?;
                at += length;
                let range = text.get(at..)?;
                match range {
                    [b'-', high @ ..] if !high.starts_with(b"]") && !high.is_empty() => {
                        let (high, length) = literal(high)?;
                        let within = |c: u8| low <= c && c <= high;
                        inside |= within(c)
                            || flags.fold && (within(c.to_ascii_lowercase()) || within(c.to_ascii_uppercase()));
                        at += 1 + length;
                    }
                    _ => inside |= same(low, c, flags),
                }
            }
        }
        first = false;
    }
}

fn literal(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b'\\', c, ..] => Some((*c, 2)),
        [c, ..] => Some((*c, 1)),
        [] => None,
    }
}

fn in_class(name: &[u8], c: u8, flags: Flags) -> bool {
    match name {
        b"alpha" => c.is_ascii_alphabetic(),
        b"digit" => c.is_ascii_digit(),
        b"alnum" => c.is_ascii_alphanumeric(),
        b"upper" => c.is_ascii_uppercase() || flags.fold && c.is_ascii_lowercase(),
        b"lower" => c.is_ascii_lowercase() || flags.fold && c.is_ascii_uppercase(),
        b"space" => c.is_ascii_whitespace() || c == 0x0b,
        b"blank" => c == b' ' || c == b'\t',
        b"punct" => c.is_ascii_punctuation(),
        b"print" => c.is_ascii_graphic() || c == b' ',
        b"graph" => c.is_ascii_graphic(),
        b"cntrl" => c.is_ascii_control(),
        b"xdigit" => c.is_ascii_hexdigit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_glibc() {
        let path = Flags { pathname: true, fold: false };
        for (pattern, text, flags, expected) in [
            ("/usr/bin/*", "/usr/bin/id", path, true),
            ("/usr/*", "/usr/bin/id", path, false),
            ("/usr/*", "/usr/bin/id", Flags::default(), true),
            ("/usr/*/i?", "/usr/bin/id", path, true),
            ("/usr/bin/[a-h]d", "/usr/bin/id", path, false),
            ("/usr/bin/[!a-h]d", "/usr/bin/id", path, true),
            ("/usr/bin/[[:alpha:]]d", "/usr/bin/id", path, true),
            ("/usr/bin/[]i]d", "/usr/bin/id", path, true),
            ("/usr/bin/[i", "/usr/bin/[i", path, true),
            ("a*b*c", "aXbXbXc", path, true),
            ("a*b*c", "aXbXbX", path, false),
            ("PI*", "pi-1", Flags { pathname: false, fold: true }, true),
            (r"\*", "*", path, true),
            (r"\*", "x", path, false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), flags), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let pattern = "a*".repeat(2_000) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(5_000).as_bytes(), Flags::default()));
    }
}
