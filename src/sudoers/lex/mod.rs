//! Tokens of sudoers, as sudo's flex scanner makes them: in every state the longest match wins, and among equals the
//! rule that stands first. The states and rules are those of `plugins/sudoers/toke.l` of sudo 1.9.13, Copyright (c) 1996,
//! 1998-2005, 2007-2023 Todd C. Miller <Todd.Miller@sudo.ws>; its license is in the file NOTICE.

mod buffer;
mod escapes;
mod rules;
mod state;

use super::patterns as p;
use super::policy::{AliasKind, FileId, Span, Tag};
use buffer::Buffer;
use escapes::{command_path, unescape};
use rules::{Rule, longest};
pub(super) use state::OptionName;
use state::State;

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

/// A token with its bytes.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub kind: Kind,
    pub span: Span,
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
        // No rule matches: one byte is an error token, as with the last rule of `toke.l`, and the parser goes on at the
        // next line.
        let (length, rule) = best.map_or((1, None), |(length, rule)| (length, Some(rule)));
        let matched: Vec<u8> = buffer.rest().get(..length).unwrap_or_default().to_vec();
        // As flex's `^`, which only looks at the byte before. Whether the line is a continued one, `act` asks.
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
        // Strings and commands are put together from several matches: their token begins where the first of these did.
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
        // flex's yyless(): some rules look ahead to decide, and give back what belongs to the next token.
        let taken = match rule {
            Rule::CommandEnd | Rule::RegexBroken => 0,
            // A first argument with `^` is a regular expression: all of it is read again, by the rules for those.
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
                    // Quotes let names hold blanks, so `%` and `+` mean groups here as well; in the value of a setting
                    // they mean nothing.
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
                    (false, _) => (4 * bytes).div_ceil(3),
                };
                // Of another length it is no token at all, as in sudo: the parser misses the digest and refuses the
                // line.
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
