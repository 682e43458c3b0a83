//! What secrets look like wherever they stand: private keys, and the tokens that the well-known scanners agree on. A form
//! begins with bytes that hardly anything else has, so that no file has to be understood; and what is only an example of
//! one is no secret.

mod form;
pub(super) mod paths;
pub mod scope;
mod table;

pub use form::Form;
pub use table::FORMS;

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

use super::expressions::exact;

/// What documentation writes where a secret would stand, in lower case.
pub const PLACEHOLDERS: [&str; 19] = [
    "example",
    "placeholder",
    "changeme",
    "change_me",
    "change-me",
    "xxxx",
    "0000000",
    "1234567890",
    "redacted",
    "dummy",
    "your_",
    "your-",
    "<",
    "{{",
    "${",
    "$(",
    "***",
    "...",
    "password@",
];

/// Where a form stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sighting {
    /// Which form, by its place in [`FORMS`].
    pub(super) form: usize,
    /// Where it begins.
    pub(super) at: usize,
}

/// Every form in `text`, in the order in which they begin. It holds no secret: only where they are.
pub(super) fn sightings(text: &[u8]) -> Vec<Sighting> {
    let Some(anchors) = anchors() else { return Vec::new() };
    let anchored = anchors.find_overlapping_iter(text);
    let found = anchored.map(|anchor| Sighting { form: anchor.pattern().as_usize(), at: anchor.start() });
    found.filter(|sighting| FORMS.get(sighting.form).is_some_and(|form| is_whole(form, text, sighting.at))).collect()
}

/// All beginnings at once: a text is gone through once, however many forms there are.
fn anchors() -> Option<&'static AhoCorasick> {
    static ANCHORS: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    ANCHORS.get_or_init(|| AhoCorasick::new(FORMS.iter().map(|form| form.anchor)).ok()).as_ref()
}

/// Whether the whole form stands where its beginning does, and no example of it.
fn is_whole(form: &Form, text: &[u8], at: usize) -> bool {
    /// No form is longer, but for keys, of which the beginning is enough.
    const LONGEST: usize = 4096;
    let before = at.checked_sub(1).and_then(|at| text.get(at));
    let joined = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if joined && form.anchor.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return false;
    }
    let rest = text.get(at..(at + LONGEST).min(text.len())).unwrap_or_default();
    // Cut where it is no text any more: what follows does not belong to it.
    let rest = match std::str::from_utf8(rest) {
        Ok(rest) => rest,
        Err(error) => std::str::from_utf8(rest.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default(),
    };
    let Some(whole) = exact(form.expression).and_then(|expression| expression.find(rest).map(|m| m.as_str())) else {
        return false;
    };
    let variable = whole.strip_prefix(form.anchor).unwrap_or(whole);
    !is_placeholder(variable) && entropy(variable) >= form.entropy && has_word(form, text, at)
}

fn has_word(form: &Form, text: &[u8], at: usize) -> bool {
    let Some(word) = form.word else { return true };
    let start = text.get(..at).and_then(|before| before.iter().rposition(|&b| b == b'\n')).map_or(0, |at| at + 1);
    let end = text.get(at..).and_then(|rest| rest.iter().position(|&b| b == b'\n')).map_or(text.len(), |end| at + end);
    let line = text.get(start..end).unwrap_or_default().to_ascii_lowercase();
    memchr::memmem::find(&line, word.as_bytes()).is_some()
}

fn is_placeholder(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    PLACEHOLDERS.iter().any(|word| lower.contains(word))
}

/// Shannon's, in bits for each character.
fn entropy(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let length = text.len().max(1) as f64;
    counts.iter().filter(|count| **count > 0).map(|&count| f64::from(count) / length).map(|p| -p * p.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_finds_its_example_in_whatever_it_stands() {
        let mut wrong = Vec::new();
        for (index, form) in FORMS.iter().enumerate() {
            let secret = form.example.concat();
            let word = form.word.unwrap_or("key");
            for text in [
                format!("{word} = \"{secret}\"\n"),
                format!("a\r\n{word}: {secret}\r\nb\r\n"),
                format!("{{\"{word}\":\"{}\"}}", secret.replace('\n', "\\n")),
                format!("export {word}_VAR={secret}"),
            ] {
                let found = sightings(text.as_bytes());
                if !found.iter().any(|sighting| sighting.form == index) {
                    wrong.push(format!("{} is not found in {text}", form.kind));
                }
            }
            // Within a longer word it is something else.
            if form.anchor.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                let text = format!("{word} x{secret}");
                if sightings(text.as_bytes()).iter().any(|sighting| sighting.form == index) {
                    wrong.push(format!("{} is found in {text}", form.kind));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn examples_of_documentation_are_no_secrets() {
        for text in [
            "aws_access_key_id = AKIAIOSFODNN7EXAMPLE",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "tskey-auth-<your key>",
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----",
            "npm_config_registry npm_package_config_something_that_is_long",
            "sk-ssh-ed25519@openssh.com",
        ] {
            assert_eq!(sightings(text.as_bytes()), [], "{text}");
        }
    }
}
