//! Untrusted text, made fit for a terminal.
//!
//! Names of files, of devices and of cloud objects come from whoever made them. A control character moves the cursor or
//! gives the terminal an order; an invisible one makes two names look alike, or turns the line around so that another
//! name is read. All of these are shown by their numbers instead.

use std::fmt::{self, Write};
use std::path::Path;

/// Text of unknown origin. It displays as one line that cannot do anything: controls and invisible format characters as
/// `\u{202e}` (the usual ones as `\n`, `\t`, `\r`), bytes that are not UTF-8 as `\xff`.
///
/// Backslashes stay as they are, so this is for reading and not for parsing.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(&'a [u8]);

impl<'a> Printable<'a> {
    /// Text, or bytes that are mostly text.
    pub fn of<T: AsRef<[u8]> + ?Sized>(text: &'a T) -> Printable<'a> {
        Printable(text.as_ref())
    }

    /// A path of this machine.
    pub fn path(path: &'a Path) -> Printable<'a> {
        Printable(path.as_os_str().as_encoded_bytes())
    }
}

/// A path as JSON has it. JSON is UTF-8 and a path need not be: the bytes that are not stand there as `\xff`.
///
/// # Errors
/// Those of `to`.
pub fn path_in_json<S: serde::Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&Printable::path(path))
}

impl<'a> From<&'a str> for Printable<'a> {
    fn from(text: &'a str) -> Printable<'a> {
        Printable::of(text)
    }
}

impl<'a> From<&'a [u8]> for Printable<'a> {
    fn from(bytes: &'a [u8]) -> Printable<'a> {
        Printable(bytes)
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if is_harmless(c) { f.write_char(c)? } else { write!(f, "{}", c.escape_default())? }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Whether a character only shows itself: no control, no format character, no separator of lines. For who must keep
/// one column for each character; everybody else takes [`Printable`].
pub fn is_harmless(c: char) -> bool {
    // std knows the controls (Cc) and not the rest: these are all of Unicode 16's format characters (Cf), the two
    // separators (Zl, Zp), what else is drawn as nothing (Default_Ignorable_Code_Point: fillers, variation selectors,
    // tags), and the braille pattern without a dot.
    let is_unseen = matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    // Of the spaces the usual one alone: the others cannot be told from it.
    let is_other_space = c.is_whitespace() && c != ' ';
    !c.is_control() && !is_unseen && !is_other_space
}

/// The text of a JSON document with every character that is not [harmless](is_harmless) written as JSON's `\uXXXX`, line
/// breaks between values aside: the same document, fit to be read in a terminal or in a review. (In JSON such characters
/// stand within strings alone.)
pub fn json_text(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_harmless(c) || c == '\n' {
            out.push(c);
        } else {
            // Two halves where 16 bits are not enough (RFC 8259, 7).
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in ["", "kiosk 0001", "Grüße, 日本語, e\u{301}, 🙂", r"C:\new\u{41}"] {
            assert_eq!(Printable::from(text).to_string(), text);
        }
    }

    #[test]
    fn controls_cannot_reach_a_terminal() {
        assert_eq!(Printable::from("a\x1b[2J\x07\x7f").to_string(), r"a\u{1b}[2J\u{7}\u{7f}");
        assert_eq!(Printable::from("one\ntwo\tthree\r").to_string(), r"one\ntwo\tthree\r");
        assert_eq!(Printable::from("\u{9b}31m").to_string(), r"\u{9b}31m", "C1 controls are orders, too");
    }

    #[test]
    fn what_turns_a_line_around_or_cannot_be_seen_is_shown_by_its_number() {
        assert_eq!(Printable::from("invoice\u{202e}gpj.sh").to_string(), r"invoice\u{202e}gpj.sh");
        let invisible = [
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{206f}',
            '\u{feff}',
            '\u{fff9}',
            '\u{fffb}',
            '\u{e0001}',
            '\u{e0020}',
            '\u{e007f}',
            '\u{a0}',
            '\u{34f}',
            '\u{3164}',
            '\u{2003}',
            '\u{fe0f}',
            '\u{e0100}',
        ];
        for c in invisible {
            assert_eq!(Printable::of(&c.to_string()).to_string(), format!("\\u{{{:x}}}", u32::from(c)));
        }
    }

    #[test]
    fn json_stays_the_same_document() {
        let value = serde_json::json!({ "a\u{202e}": ["Gr\u{fc}\u{df}e \u{1f642}\u{e0041}", "\u{1b}[2J\u{9b}"] });
        for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            let shown = json_text(&text);
            assert!(shown.chars().all(|c| is_harmless(c) || c == '\n'), "{shown}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_one_by_one() {
        assert_eq!(Printable::of(b"caf\xe9 \xff\xfe").to_string(), r"caf\xe9 \xff\xfe");
        // A character that is cut off, an overlong form and half of a pair.
        assert_eq!(Printable::of(b"\xe2\x80").to_string(), r"\xe2\x80");
        assert_eq!(Printable::of(b"\xc0\x8a").to_string(), r"\xc0\x8a");
        assert_eq!(Printable::of(b"\xed\xa0\x80").to_string(), r"\xed\xa0\x80");
    }
}
