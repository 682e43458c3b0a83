//! Which rule of the scanner matches where: tables and order as in sudo's `toke.l`.

use super::super::patterns as p;
use super::super::policy::{AliasKind, Tag};
use super::state::{OptionName, State};

/// A rule that matches: how long, and what it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    DefaultsComma,
    DefaultsBlank,
    DefaultsName,
    Assign(u8),
    Quote,
    Value,
    StringContinued,
    StringEnd,
    StringBackslash,
    StringBody,
    GlobEscape,
    Escape,
    CommandEnd,
    Argument,
    RegexEscape,
    RegexBroken,
    RegexEnd,
    RegexBody,
    DigestText { hexadecimal: bool },
    Include,
    IncludeDirectory,
    HashInclude,
    HashIncludeDirectory,
    Defaults { taken: usize },
    AliasDefinition(AliasKind),
    Tag(Tag),
    EmptyGroup,
    Netgroup,
    Group,
    Network4,
    Network6,
    All,
    Option(OptionName),
    Alias,
    PlainCommand,
    Sha(u16),
    Sudoedit,
    PathValue,
    Path,
    Regex,
    Word,
    IncludePath,
    Sign(u8),
    Nots,
    Newline,
    Blanks,
    Continuation,
    Comment,
}

const TAGS: [(&[u8], Tag); 16] = [
    (b"NOPASSWD", Tag::NoPasswd),
    (b"PASSWD", Tag::Passwd),
    (b"NOEXEC", Tag::Other),
    (b"EXEC", Tag::Other),
    (b"INTERCEPT", Tag::Other),
    (b"NOINTERCEPT", Tag::Other),
    (b"SETENV", Tag::Other),
    (b"NOSETENV", Tag::Other),
    (b"LOG_OUTPUT", Tag::Other),
    (b"NOLOG_OUTPUT", Tag::Other),
    (b"LOG_INPUT", Tag::Other),
    (b"NOLOG_INPUT", Tag::Other),
    (b"MAIL", Tag::Other),
    (b"NOMAIL", Tag::Other),
    (b"FOLLOW", Tag::Other),
    (b"NOFOLLOW", Tag::Other),
];

const OPTIONS: [(&[u8], OptionName); 10] = [
    (b"TIMEOUT", OptionName::Timeout),
    (b"NOTBEFORE", OptionName::NotBefore),
    (b"NOTAFTER", OptionName::NotAfter),
    (b"CWD", OptionName::Directory),
    (b"CHROOT", OptionName::Directory),
    (b"ROLE", OptionName::Other),
    (b"TYPE", OptionName::Other),
    (b"APPARMOR_PROFILE", OptionName::Other),
    (b"PRIVS", OptionName::Other),
    (b"LIMITPRIVS", OptionName::Other),
];

const ALIASES: [(&[u8], AliasKind); 5] = [
    (b"Host_Alias", AliasKind::Host),
    (b"Cmnd_Alias", AliasKind::Command),
    (b"Cmd_Alias", AliasKind::Command),
    (b"User_Alias", AliasKind::User),
    (b"Runas_Alias", AliasKind::Runas),
];

/// Keeps the longest match, the first among equals.
struct Longest(Option<(usize, Rule)>);

impl Longest {
    fn offer(&mut self, length: Option<usize>, rule: Rule) {
        let Some(length) = length.filter(|&n| n > 0) else { return };
        if self.0.is_none_or(|(best, _)| length > best) {
            self.0 = Some((length, rule));
        }
    }
}

fn one(text: &[u8], set: &[u8]) -> Option<usize> {
    text.first().filter(|c| set.contains(c)).map(|_| 1)
}

fn pair(text: &[u8], second: impl Fn(u8) -> bool) -> Option<usize> {
    (text.first() == Some(&b'\\') && text.get(1).is_some_and(|&c| second(c))).then_some(2)
}

/// The longest rule of a state.
pub(super) fn longest(state: State, text: &[u8], starts_line: bool) -> Option<(usize, Rule)> {
    let mut best = Longest(None);
    match state {
        State::Initial | State::GotDefaults | State::WantDigest | State::ExpectPath => {
            common(state, text, starts_line, &mut best);
        }
        State::StartDefaults => best
            .offer(Some(text.iter().take_while(|c| c.is_ascii_lowercase() || **c == b'_').count()), Rule::DefaultsName),
        State::InDefaults => {
            best.offer(one(text, b","), Rule::Assign(b','));
            best.offer(one(text, b"="), Rule::Assign(b'='));
            best.offer(p::literal(text, b"+="), Rule::Assign(b'+'));
            best.offer(p::literal(text, b"-="), Rule::Assign(b'-'));
            best.offer(one(text, b"\""), Rule::Quote);
            best.offer(p::value(text), Rule::Value);
        }
        State::InString => {
            best.offer(
                p::continuation(text).map(|n| n + p::blanks(text.get(n..).unwrap_or_default())),
                Rule::StringContinued,
            );
            best.offer(one(text, b"\""), Rule::StringEnd);
            best.offer(one(text, b"\\"), Rule::StringBackslash);
            best.offer(p::string_body(text), Rule::StringBody);
        }
        State::GotCommand => {
            best.offer(pair(text, |c| b"*?[]!^".contains(&c)), Rule::GlobEscape);
            best.offer(pair(text, |c| b":\\,= \t#".contains(&c)), Rule::Escape);
            best.offer(one(text, b"#:,=\r\n"), Rule::CommandEnd);
            best.offer(p::argument(text), Rule::Argument);
        }
        State::GotRegex => {
            best.offer(pair(text, |c| c != b'\r' && c != b'\n'), Rule::RegexEscape);
            best.offer(one(text, b"#\r\n"), Rule::RegexBroken);
            best.offer(one(text, b"$"), Rule::RegexEnd);
            best.offer(p::regex_body(text), Rule::RegexBody);
        }
        State::GotInclude => {
            best.offer(p::include_path(text), Rule::IncludePath);
            best.offer(one(text, b"\""), Rule::Quote);
        }
    }
    // These hold in every state.
    best.offer(Some(text.iter().take_while(|&&c| c == b'!').count()), Rule::Nots);
    best.offer(p::newline(text), Rule::Newline);
    best.offer(Some(p::blanks(text)), Rule::Blanks);
    best.offer(p::continuation(text), Rule::Continuation);
    if matches!(state, State::Initial | State::StartDefaults | State::InDefaults) {
        best.offer(p::comment(text), Rule::Comment);
    }
    best.0
}

/// The rules of `INITIAL`, most of which also hold in the states that flex calls inclusive.
fn common(state: State, text: &[u8], starts_line: bool, best: &mut Longest) {
    let initial = state == State::Initial;
    if state == State::GotDefaults {
        let blanks = p::blanks(text);
        let after = text.get(blanks..).unwrap_or_default();
        let comma = after.starts_with(b",").then(|| blanks + 1 + p::blanks(after.get(1..).unwrap_or_default()));
        best.offer(comma, Rule::DefaultsComma);
        best.offer(Some(blanks), Rule::DefaultsBlank);
    }
    if state == State::WantDigest {
        let hexadecimal = text.iter().take_while(|c| c.is_ascii_hexdigit()).count();
        let base64 = text.iter().take_while(|c| c.is_ascii_alphanumeric() || b"+/=".contains(c)).count();
        best.offer(Some(hexadecimal), Rule::DigestText { hexadecimal: true });
        best.offer(Some(base64), Rule::DigestText { hexadecimal: false });
    }
    if initial {
        best.offer(p::literal(text, b"@include"), Rule::Include);
        best.offer(p::literal(text, b"@includedir"), Rule::IncludeDirectory);
        if starts_line {
            best.offer(p::hash_include(text, b"#include"), Rule::HashInclude);
            best.offer(p::hash_include(text, b"#includedir"), Rule::HashIncludeDirectory);
            if let Some((length, taken)) = p::defaults(text) {
                best.offer(Some(length), Rule::Defaults { taken });
            }
            let indent = p::blanks(text);
            for (word, kind) in ALIASES {
                let after = text.get(indent..).unwrap_or_default();
                best.offer(p::literal(after, word).map(|n| n + indent), Rule::AliasDefinition(kind));
            }
        }
    }
    for (word, tag) in TAGS {
        best.offer(p::tag(text, word), Rule::Tag(tag));
    }
    let names = matches!(state, State::Initial | State::GotDefaults);
    if names {
        best.offer(p::empty_group(text), Rule::EmptyGroup);
    }
    best.offer(p::netgroup(text), Rule::Netgroup);
    best.offer(p::user_group(text), Rule::Group);
    best.offer(p::network4(text), Rule::Network4);
    best.offer(p::network6(text), Rule::Network6);
    // `ALL` and the names of options look like aliases, too: they stand before those, and win among equals.
    best.offer(p::literal(text, b"ALL"), Rule::All);
    if initial {
        for (word, name) in OPTIONS {
            best.offer(p::literal(text, word), Rule::Option(name));
        }
    }
    best.offer(p::alias(text), Rule::Alias);
    // After `Defaults!` a command has no arguments: there the rule for a plain command stands before those that read
    // them.
    let sudoedit = p::literal(text, b"sudoedit");
    if state == State::GotDefaults {
        best.offer(p::path(text).max(p::regex(text)).max(sudoedit), Rule::PlainCommand);
    }
    for (word, bits) in [(&b"sha224"[..], 224), (b"sha256", 256), (b"sha384", 384), (b"sha512", 512)] {
        best.offer(p::literal(text, word), Rule::Sha(bits));
    }
    best.offer(sudoedit, Rule::Sudoedit);
    if state == State::ExpectPath {
        best.offer(p::path(text).max(p::word(text)), Rule::PathValue);
    }
    best.offer(p::path(text), Rule::Path);
    best.offer(p::regex(text), Rule::Regex);
    if names {
        best.offer(one(text, b"\""), Rule::Quote);
        best.offer(p::word_or_id(text), Rule::Word);
    }
    for sign in *b"(),=:" {
        best.offer(one(text, &[sign]), Rule::Sign(sign));
    }
}
