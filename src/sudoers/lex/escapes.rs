//! Backslashes in names and in commands.

/// Takes the backslashes away; `\x41` is a byte in hexadecimal.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&c, after)) = rest.split_first() {
        rest = after;
        match (c, after) {
            (b'\\', [b'x', high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |c: &u8| char::from(*c).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or(0);
                out.push(digit(high) << 4 | digit(low));
                rest = tail;
            }
            (b'\\', [next, tail @ ..]) => {
                out.push(*next);
                rest = tail;
            }
            _ => out.push(c),
        }
    }
    out
}

/// The path of a command: only the bytes that mean something to sudoers lose their backslash, for the rest is a pattern.
pub(super) fn command_path(text: &[u8]) -> Vec<u8> {
    if text.starts_with(b"^") {
        return text.to_vec();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&c, after)) = rest.split_first() {
        rest = after;
        match (c, after) {
            (b'\\', [next @ (b',' | b':' | b'=' | b' ' | b'\t' | b'#'), tail @ ..]) => {
                out.push(*next);
                rest = tail;
            }
            _ => out.push(c),
        }
    }
    if out.ends_with(b"/sudoedit") { b"sudoedit".to_vec() } else { out }
}
