//! Tokens of sudoers, as sudo's flex scanner makes them: in every state the longest match wins, and among equals the
//! rule that stands first. The states and rules are those of `plugins/sudoers/toke.l` of sudo 1.9.13.

use super::patterns as p;
use super::policy::{AliasKind, FileId, Span, Tag};

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Newline,
    End,
    /// The lexer's own complaint, or a byte that begins no token.
    Bad(&'static str),
    Word(Vec<u8>),
    Alias(Vec<u8>),
    All,
    Group(Vec<u8>),
    Netgroup(Vec<u8>),
    Network(Vec<u8>),
    Command {
        path: Vec<u8>,
        arguments: Option<Vec<u8>>,
    },
    DefaultsName(Vec<u8>),
    Digest(Vec<u8>),
    Sha(u16),
    Defaults(Binding),
    AliasDefinition(AliasKind),
    Tag(Tag),
    Option(OptionName),
    Include,
    IncludeDirectory,
    Comma,
    Equals,
    PlusEquals,
    MinusEquals,
    Colon,
    Not,
    Open,
    Close,
}

/// What a Defaults line is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding {
    None,
    User,
    Runas,
    Host,
    Command,
}

/// What can stand before the tags of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OptionName {
    Timeout,
    NotBefore,
    NotAfter,
    /// CWD and CHROOT, whose value must be a path.
    Directory,
    Other,
}

/// A token with its bytes.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub kind: Kind,
    pub span: Span,
}

/// The scanner's start conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Initial,
    GotDefaults,
    GotCommand,
    GotRegex,
    StartDefaults,
    InDefaults,
    InString,
    WantDigest,
    GotInclude,
    ExpectPath,
}

/// A file as the scanner sees it: lines cut at a NUL, and a newline at the very end.
struct Buffer {
    file: FileId,
    text: Vec<u8>,
    // Where a line of `text` begins, and where the same line begins in the file.
    lines: Vec<(usize, usize)>,
    // Length of the file.
    size: usize,
    at: usize,
    line: usize,
    starts_line: bool,
}

impl Buffer {
    fn new(file: FileId, content: &[u8]) -> Buffer {
        let (mut text, mut lines, mut offset) = (Vec::with_capacity(content.len() + 1), Vec::new(), 0);
        for line in content.split_inclusive(|&c| c == b'\n') {
            lines.push((text.len(), offset));
            offset += line.len();
            let kept = line.split(|&c| c == 0).next().unwrap_or_default();
            text.extend_from_slice(kept);
            if text.last() != Some(&b'\n') || kept.is_empty() {
                text.push(b'\n');
            }
        }
        Buffer { file, text, lines, size: content.len(), at: 0, line: 1, starts_line: true }
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The place in the file of a place in `text`.
    fn in_file(&self, at: usize) -> usize {
        let index = self.lines.partition_point(|(start, _)| *start <= at).saturating_sub(1);
        self.lines.get(index).map_or(0, |(start, offset)| (offset + at.saturating_sub(*start)).min(self.size))
    }

    fn span(&self, start: usize, end: usize, line: usize) -> Span {
        // The last byte of a token, and one: the end itself may already belong to the next line.
        let end = if end > start { (self.in_file(end - 1) + 1).min(self.size) } else { self.in_file(end) };
        Span { file: self.file, start: self.in_file(start), end, line }
    }
}

/// The scanner with its stack of files.
pub(super) struct Lexer {
    stack: Vec<Buffer>,
    state: State,
    before: State,
    continued: bool,
    saw_space: bool,
    digest_bits: u16,
    string: Option<Vec<u8>>,
    command: (Vec<u8>, Option<Vec<u8>>),
    begun: Option<Span>,
}

/// What [`Lexer::scan`] comes to.
pub(super) enum Scanned {
    Token(Token),
    Ended,
}

/// What one match asks for.
enum Action {
    /// Nothing; go on.
    Skip,
    /// Hand out this token; its bytes are those of the match.
    Token(Kind),
    /// As [`Action::Token`], but the bytes begin where `begun` says.
    Since(Kind),
}

/// A rule that matches: how long, and what it is.
#[derive(Debug, Clone, Copy)]
enum Rule {
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

impl Lexer {
    pub(super) fn new() -> Lexer {
        Lexer {
            stack: Vec::new(),
            state: State::Initial,
            before: State::Initial,
            continued: false,
            saw_space: false,
            digest_bits: 0,
            string: None,
            command: (Vec::new(), None),
            begun: None,
        }
    }

    /// Reads this file next, then goes on where it is now.
    pub(super) fn push(&mut self, file: FileId, content: &[u8]) {
        self.stack.push(Buffer::new(file, content));
    }

    /// The next token; [`Scanned::Ended`] at the end of a file. Then, as in sudo, the file that included it goes on, in
    /// the middle of a line if need be.
    pub(super) fn scan(&mut self) -> Scanned {
        loop {
            match self.stack.last() {
                None => return Scanned::Ended,
                Some(buffer) if buffer.rest().is_empty() => {
                    self.stack.pop();
                    return Scanned::Ended;
                }
                Some(_) => {}
            }
            if let Some(token) = self.step() {
                return Scanned::Token(token);
            }
        }
    }

    fn step(&mut self) -> Option<Token> {
        let state = self.state;
        let buffer = self.stack.last_mut()?;
        let (start, line) = (buffer.at, buffer.line);
        let best = longest(state, buffer.rest(), buffer.starts_line);
        let (length, rule) = best.map_or((1, None), |(length, rule)| (length, Some(rule)));
        let matched: Vec<u8> = buffer.rest().get(..length).unwrap_or_default().to_vec();
        buffer.starts_line = matched.last() == Some(&b'\n');
        let action = match rule {
            None => Action::Token(Kind::Bad("syntax error")),
            Some(rule) => {
                let taken = self.taken(rule, length, &matched);
                let buffer = self.stack.last_mut()?;
                buffer.at = start + taken;
                buffer.line += matched.iter().take(taken).filter(|&&c| c == b'\n').count();
                let span = buffer.span(start, buffer.at, line);
                if self.begun.is_none() {
                    self.begun = Some(span);
                }
                self.act(rule, &matched, span)
            }
        };
        let buffer = self.stack.last_mut()?;
        if rule.is_none() {
            buffer.at = start + length;
        }
        let here = buffer.span(start, buffer.at, line);
        let keeps = matches!(self.state, State::InString | State::GotCommand | State::GotRegex);
        let begun = if keeps && matches!(action, Action::Skip) { None } else { self.begun.take() };
        match action {
            Action::Skip => None,
            Action::Token(kind) => Some(Token { kind, span: here }),
            Action::Since(kind) => {
                let start = begun.filter(|begun| begun.file == here.file).unwrap_or(here);
                Some(Token { kind, span: Span { end: here.end.max(start.end), ..start } })
            }
        }
    }

    /// How much of a match is consumed; the rest is read again.
    fn taken(&mut self, rule: Rule, length: usize, matched: &[u8]) -> usize {
        let taken = match rule {
            Rule::CommandEnd | Rule::RegexBroken => 0,
            Rule::Argument if self.command.1.is_none() && matched.starts_with(b"^") => 0,
            Rule::HashInclude => b"#include".len(),
            Rule::HashIncludeDirectory => b"#includedir".len(),
            Rule::Newline if self.state == State::InString => return 0,
            Rule::Defaults { taken } => return taken,
            _ => return length,
        };
        if let Some(buffer) = self.stack.last_mut() {
            buffer.starts_line = false;
        }
        taken
    }

    fn act(&mut self, rule: Rule, text: &[u8], span: Span) -> Action {
        const CONTINUED: Action = Action::Token(Kind::Bad("invalid line continuation"));
        let go = |lexer: &mut Lexer, state: State, kind: Kind| {
            lexer.state = state;
            Action::Token(kind)
        };
        match rule {
            Rule::DefaultsComma => Action::Token(Kind::Comma),
            Rule::DefaultsBlank => {
                self.state = State::StartDefaults;
                Action::Skip
            }
            Rule::DefaultsName => go(self, State::InDefaults, Kind::DefaultsName(unescape(text))),
            Rule::Assign(b'+') => Action::Token(Kind::PlusEquals),
            Rule::Assign(b'-') => Action::Token(Kind::MinusEquals),
            Rule::Assign(b',') => go(self, State::StartDefaults, Kind::Comma),
            Rule::Assign(_) => Action::Token(Kind::Equals),
            Rule::Quote => {
                self.string = None;
                self.before = if self.state == State::GotInclude { State::Initial } else { self.state };
                self.state = State::InString;
                self.begun = Some(span);
                Action::Skip
            }
            Rule::Value | Rule::Word => Action::Token(Kind::Word(unescape(text))),
            Rule::StringContinued => {
                self.continued = true;
                Action::Skip
            }
            Rule::StringEnd => {
                self.state = self.before;
                let kind = match self.string.take() {
                    None => Kind::Bad("empty string"),
                    Some(text) if matches!(self.before, State::Initial | State::GotDefaults) => match text.as_slice() {
                        b"%" | b"%:" => Kind::Bad("empty group"),
                        b"+" => Kind::Bad("empty netgroup"),
                        [b'%', ..] => Kind::Group(text),
                        [b'+', ..] => Kind::Netgroup(text),
                        _ => Kind::Word(text),
                    },
                    Some(text) => Kind::Word(text),
                };
                Action::Since(kind)
            }
            Rule::StringBackslash => {
                self.string.get_or_insert_default().push(b'\\');
                Action::Skip
            }
            Rule::StringBody => {
                self.string.get_or_insert_default().extend(unescape(text));
                Action::Skip
            }
            Rule::GlobEscape => self.argument(text, self.saw_space),
            Rule::Escape => self.argument(text.get(1..).unwrap_or_default(), self.saw_space),
            Rule::CommandEnd => {
                self.state = State::Initial;
                Action::Since(self.command())
            }
            Rule::Argument if self.command.1.is_none() && text.starts_with(b"^") => {
                self.state = State::GotRegex;
                Action::Skip
            }
            Rule::Argument => self.argument(text, self.saw_space),
            Rule::RegexEscape => {
                self.command.1.get_or_insert_default().extend_from_slice(text);
                Action::Skip
            }
            Rule::RegexBroken => {
                self.state = State::Initial;
                Action::Since(Kind::Bad("unterminated regular expression"))
            }
            Rule::RegexEnd => {
                self.command.1.get_or_insert_default().push(b'$');
                self.state = State::Initial;
                self.continued = false;
                Action::Since(self.command())
            }
            Rule::RegexBody => {
                let skipped = if std::mem::take(&mut self.continued) { p::blanks(text) } else { 0 };
                let rest = text.get(skipped..).unwrap_or_default();
                if !rest.is_empty() {
                    self.command.1.get_or_insert_default().extend_from_slice(rest);
                }
                Action::Skip
            }
            Rule::DigestText { hexadecimal } => {
                self.state = State::Initial;
                let bytes = usize::from(self.digest_bits / 8);
                let right = match (hexadecimal, text.last()) {
                    (true, _) => bytes * 2,
                    (false, Some(b'=')) => 4 * bytes.div_ceil(3),
                    (false, _) => (4 * bytes + 2) / 3,
                };
                if text.len() == right { Action::Token(Kind::Digest(text.to_vec())) } else { Action::Skip }
            }
            Rule::Include | Rule::HashInclude if !self.continued => go(self, State::GotInclude, Kind::Include),
            Rule::IncludeDirectory | Rule::HashIncludeDirectory if !self.continued => {
                go(self, State::GotInclude, Kind::IncludeDirectory)
            }
            Rule::Defaults { .. } if !self.continued => {
                let binding = match text.get(p::blanks(text) + b"Defaults".len()) {
                    Some(b':') => Binding::User,
                    Some(b'>') => Binding::Runas,
                    Some(b'@') => Binding::Host,
                    Some(b'!') => Binding::Command,
                    _ => Binding::None,
                };
                go(self, State::GotDefaults, Kind::Defaults(binding))
            }
            Rule::AliasDefinition(kind) if !self.continued => Action::Token(Kind::AliasDefinition(kind)),
            Rule::Include
            | Rule::HashInclude
            | Rule::IncludeDirectory
            | Rule::HashIncludeDirectory
            | Rule::Defaults { .. }
            | Rule::AliasDefinition(_) => CONTINUED,
            Rule::Tag(tag) => Action::Token(Kind::Tag(tag)),
            Rule::EmptyGroup => Action::Token(Kind::Bad("empty group or netgroup")),
            Rule::Netgroup => Action::Token(Kind::Netgroup(unescape(text))),
            Rule::Group => Action::Token(Kind::Group(unescape(text))),
            Rule::Network4 => Action::Token(Kind::Network(text.to_vec())),
            Rule::Network6 if p::is_valid_network6(text) => Action::Token(Kind::Network(text.to_vec())),
            Rule::Network6 => Action::Token(Kind::Bad("invalid IPv6 address")),
            Rule::All => Action::Token(Kind::All),
            Rule::Option(OptionName::Directory) => {
                self.before = self.state;
                go(self, State::ExpectPath, Kind::Option(OptionName::Directory))
            }
            Rule::Option(name) => Action::Token(Kind::Option(name)),
            Rule::Alias => Action::Token(Kind::Alias(text.to_vec())),
            Rule::PlainCommand => {
                self.command = (command_path(text), None);
                Action::Token(self.command())
            }
            Rule::Sha(bits) => {
                self.digest_bits = bits;
                go(self, State::WantDigest, Kind::Sha(bits))
            }
            Rule::Path if text.ends_with(b"/") => {
                self.command = (command_path(text), None);
                Action::Token(self.command())
            }
            Rule::Path | Rule::Regex | Rule::Sudoedit => {
                self.command = (command_path(text), None);
                self.state = State::GotCommand;
                self.begun = Some(span);
                Action::Skip
            }
            Rule::PathValue => go(self, self.before, Kind::Word(unescape(text))),
            Rule::IncludePath => go(self, State::Initial, Kind::Word(unescape(text))),
            Rule::Sign(sign) => Action::Token(match sign {
                b'(' => Kind::Open,
                b')' => Kind::Close,
                b',' => Kind::Comma,
                b'=' => Kind::Equals,
                _ => Kind::Colon,
            }),
            Rule::Nots if text.len() % 2 == 1 => Action::Token(Kind::Not),
            Rule::Nots => Action::Skip,
            Rule::Newline if self.state == State::InString => {
                self.string = None;
                self.state = State::Initial;
                Action::Since(Kind::Bad("unexpected line break in string"))
            }
            Rule::Newline => {
                self.continued = false;
                go(self, State::Initial, Kind::Newline)
            }
            Rule::Blanks => {
                self.saw_space = true;
                Action::Skip
            }
            Rule::Continuation => {
                self.saw_space = true;
                self.continued = true;
                Action::Skip
            }
            Rule::Comment if text.ends_with(b"\n") => {
                self.continued = false;
                go(self, State::Initial, Kind::Newline)
            }
            Rule::Comment => Action::Token(Kind::Bad("syntax error")),
        }
    }

    /// Adds to the arguments of the command, after one space where there was any.
    fn argument(&mut self, text: &[u8], space: bool) -> Action {
        let arguments = self.command.1.get_or_insert_default();
        if space && !arguments.is_empty() {
            arguments.push(b' ');
        }
        arguments.extend_from_slice(text);
        self.saw_space = false;
        Action::Skip
    }

    fn command(&mut self) -> Kind {
        let (path, arguments) = std::mem::take(&mut self.command);
        Kind::Command { path, arguments }
    }
}

/// The longest rule of a state.
fn longest(state: State, text: &[u8], starts_line: bool) -> Option<(usize, Rule)> {
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
    best.offer(p::literal(text, b"ALL"), Rule::All);
    if initial {
        for (word, name) in OPTIONS {
            best.offer(p::literal(text, word), Rule::Option(name));
        }
    }
    best.offer(p::alias(text), Rule::Alias);
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

/// Takes the backslashes away; `\x41` is a byte in hexadecimal.
fn unescape(text: &[u8]) -> Vec<u8> {
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
fn command_path(text: &[u8]) -> Vec<u8> {
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
