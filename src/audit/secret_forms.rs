//! Whether a text holds a secret, by the forms of the strip room and with the audit's own eyes.

use std::collections::HashMap;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use regex_lite::Regex;

use crate::strip::forms::{FORMS, Form, PLACEHOLDERS};

/// Tokens are far shorter, and of a key the beginning is enough.
const LONGEST: usize = 4096;

/// The beginnings of all forms, and the forms as expressions.
struct Ready {
    beginnings: AhoCorasick,
    expressions: Vec<Option<Regex>>,
}

fn ready() -> Option<&'static Ready> {
    static READY: OnceLock<Option<Ready>> = OnceLock::new();
    let make = || {
        let beginnings = AhoCorasick::new(FORMS.iter().map(|form| form.anchor)).ok()?;
        // A test of the forms holds that all of them compile.
        let expressions = FORMS.iter().map(|form| Regex::new(form.expression).ok()).collect();
        Some(Ready { beginnings, expressions })
    };
    READY.get_or_init(make).as_ref()
}

/// A form that a text holds: a key before a token, for it is worse.
pub fn form_in(text: &[u8]) -> Option<&'static Form> {
    let ready = ready()?;
    let mut token = None;
    for hit in ready.beginnings.find_overlapping_iter(text) {
        let (index, at) = (hit.pattern().as_usize(), hit.start());
        let (Some(form), Some(Some(expression))) = (FORMS.get(index), ready.expressions.get(index)) else { continue };
        // One of a kind is enough to tell of the file.
        if (token.is_some() && !form.is_key) || !stands_alone(form, text, at) {
            continue;
        }
        let rest =
            String::from_utf8_lossy(text.get(at..text.len().min(at.saturating_add(LONGEST))).unwrap_or_default());
        let Some(found) = expression.find(&rest) else { continue };
        if is_meant(form, found.as_str()) && has_its_word(form, text, at) {
            match form.is_key {
                true => return Some(form),
                false => token = Some(form),
            }
        }
    }
    token
}

/// In the middle of a longer word it is something else.
fn stands_alone(form: &Form, text: &[u8], at: usize) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let begins_as_word = form.anchor.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let before = at.checked_sub(1).and_then(|before| text.get(before).copied());
    !(begins_as_word && before.is_some_and(is_word))
}

/// Whether it is a secret, and not what documentation writes in its place.
fn is_meant(form: &Form, found: &str) -> bool {
    let varies = found.get(form.anchor.len()..).unwrap_or_default();
    let lower = varies.to_lowercase();
    !PLACEHOLDERS.iter().any(|word| lower.contains(word)) && bits_each(varies) >= form.entropy
}

/// Shannon's entropy, in bits for each character.
fn bits_each(text: &str) -> f64 {
    let mut counts: HashMap<char, f64> = HashMap::new();
    let mut length = 0.0;
    for c in text.chars() {
        *counts.entry(c).or_default() += 1.0;
        length += 1.0;
    }
    counts.values().map(|count| (count / length) * (length / count).log2()).sum()
}

/// Whether the line has the word without which the form could be anything.
fn has_its_word(form: &Form, text: &[u8], at: usize) -> bool {
    let Some(word) = form.word else { return true };
    let (before, behind) = text.split_at(at.min(text.len()));
    let head = before.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    let tail = behind.split(|&byte| byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(&[head, tail].concat()).to_lowercase().contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_found_by_the_audit_too() {
        let mut wrong = Vec::new();
        for form in FORMS {
            let word = form.word.unwrap_or("key");
            let text = format!("a\n{word} = \"{}\"\nb\n", form.example.concat());
            if form_in(text.as_bytes()).is_none_or(|found| found.is_key != form.is_key) {
                wrong.push(form.kind);
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(form_in(b"token = ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx AKIAIOSFODNN7EXAMPLE").is_none());
    }
}
