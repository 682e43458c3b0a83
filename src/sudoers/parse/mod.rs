//! The grammar of sudoers with sudo's own error recovery, and the files that it includes.

mod grants;
mod includes;
mod lists;

use std::collections::VecDeque;

use super::lex::{Binding, Kind, Lexer, Scanned, Token};
use super::nesting::DEEPEST_ALIAS;
use super::policy::{
    AliasKind, AliasMembers, DefaultsEntry, DefaultsValue, FileId, Policy, Problem, ProblemKind, Rule, Scope, Span,
};
use super::source::SudoersFiles;
use crate::printable::Printable;

/// How deep files may include one another. sudo's constant is 128, but it is only looked at whenever its stack grows,
/// by 16 at a time, so 144 is what happens.
const DEEPEST: usize = 144;
/// sudo has no limit on how much is included, and a file that includes itself twice would keep it busy for ever.
const MOST_FILES: usize = 2_000;
/// All of them together.
const MOST_BYTES: usize = 4 << 20;

impl Policy {
    /// Reads the sudoers file `main` and what it includes. `host` is the machine's name, for `%h` in include paths.
    ///
    /// # Errors
    /// Only what `files` reports; everything that is wrong with sudoers itself is a [`Problem`].
    pub fn read<F: SudoersFiles>(files: &F, main: impl AsRef<[u8]>, host: &[u8]) -> Result<Policy, F::Error> {
        let main = main.as_ref();
        let short = host.split(|&c| c == b'.').next().unwrap_or_default().to_vec();
        let mut parser = Parser {
            files,
            host: short,
            lexer: Lexer::new(),
            ahead: None,
            last: Span { file: FileId(0), start: 0, end: 0, line: 0 },
            taken_to: None,
            waiting: Vec::new(),
            bytes: 0,
            policy: Policy::default(),
        };
        if !parser.open(main, None)? {
            let main = Printable::of(main);
            parser.fatal(format!("sudo has no sudoers file that it would read: {main} is missing or refused"));
            return Ok(parser.policy);
        }
        parser.run()?;
        if let Some(name) = parser.policy.too_deep() {
            let text = format!("alias {} has others in it, more than {DEEPEST_ALIAS} deep", Printable::of(name));
            parser.not_followed(text);
        }
        Ok(parser.policy)
    }

    /// Reads one text by itself, as `visudo -cf` does. Includes are not followed.
    pub fn of_text(path: impl AsRef<[u8]>, content: &[u8]) -> Policy {
        struct One<'a>(&'a [u8], &'a [u8]);
        impl SudoersFiles for One<'_> {
            type Error = std::convert::Infallible;
            fn file(&self, path: &[u8]) -> Result<Option<super::SudoersFile>, Self::Error> {
                Ok((path == self.0).then(|| super::SudoersFile {
                    path: path.to_vec(),
                    regular: true,
                    content: self.1.to_vec(),
                    uid: 0,
                    gid: 0,
                    mode: 0o440,
                }))
            }
            fn directory(&self, _: &[u8]) -> Result<Option<super::SudoersDirectory>, Self::Error> {
                Ok(None)
            }
        }
        let path = path.as_ref();
        match Policy::read(&One(path, content), path, b"") {
            Ok(policy) => policy,
            Err(never) => match never {},
        }
    }
}

struct Parser<'f, F: SudoersFiles> {
    files: &'f F,
    host: Vec<u8>,
    lexer: Lexer,
    ahead: Option<Token>,
    last: Span,
    // Where the line that is being read has been taken up to, whatever follows.
    taken_to: Option<Span>,
    // For every include that is open: the files of its directory that are still to be read.
    waiting: Vec<VecDeque<Vec<u8>>>,
    bytes: usize,
    policy: Policy,
}

/// Why a line is given up.
enum Stop<E> {
    Syntax(String),
    Files(E),
}

impl<E> From<E> for Stop<E> {
    fn from(error: E) -> Stop<E> {
        Stop::Files(error)
    }
}

type Parsed<T, F> = Result<T, Stop<<F as SudoersFiles>::Error>>;

fn syntax<T, E>(what: &str) -> Result<T, Stop<E>> {
    Err(Stop::Syntax(what.to_owned()))
}

impl<F: SudoersFiles> Parser<'_, F> {
    fn run(&mut self) -> Result<(), F::Error> {
        loop {
            let first = self.peek()?;
            let start = first.span;
            if first.kind == Kind::End {
                return Ok(());
            }
            self.taken_to = None;
            match self.entry() {
                Ok(()) => {}
                Err(Stop::Files(error)) => return Err(error),
                Err(Stop::Syntax(what)) => {
                    if !self.recover(start, &what)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Skips to the end of the line. Returns whether there is one.
    fn recover(&mut self, start: Span, what: &str) -> Result<bool, F::Error> {
        // What was wrong may have been taken already, lines below `start`.
        let mut end = joined(start, self.last);
        loop {
            let token = self.take()?;
            match token.kind {
                Kind::Newline => break,
                Kind::End => {
                    // The grammar has no rule for a line without an end: sudo gives up, and with that everything.
                    self.complain(start, None, what);
                    let place = self.policy.place(start);
                    self.fatal(format!(
                        "{place}: the last line goes on after the end of the file; sudo refuses all of it"
                    ));
                    return Ok(false);
                }
                _ => end = token.span,
            }
        }
        self.complain(start, self.skipped(start, end), what);
        Ok(true)
    }

    /// The bytes of a line that are given up, without its end: all of it, or what follows the part that was taken.
    fn skipped(&self, start: Span, end: Span) -> Option<Span> {
        let start = match self.taken_to {
            Some(taken) if taken.file != start.file => return None,
            Some(taken) => Span { start: taken.end, end: taken.end, ..taken },
            None => start,
        };
        let end = joined(start, end).end;
        let content = self.policy.file(start.file).map(|file| file.content.as_slice()).unwrap_or_default();
        let text = content.get(start.start..end).unwrap_or_default();
        let trimmed = text.trim_ascii_end().len();
        Some(Span { end: start.start + trimmed, ..start })
    }

    fn complain(&mut self, at: Span, skipped: Option<Span>, what: &str) {
        let text = format!("{}: {what}", self.policy.place(at));
        self.policy.problems.push(Problem { kind: ProblemKind::Syntax, text, span: skipped });
    }

    fn unread(&mut self, text: String) {
        self.policy.problems.push(Problem { kind: ProblemKind::Unread, text, span: None });
    }

    fn fatal(&mut self, text: String) {
        self.policy.problems.push(Problem { kind: ProblemKind::Fatal, text, span: None });
    }

    fn not_followed(&mut self, text: String) {
        // A directory of thousands of files is one problem.
        if !self.policy.problems.iter().any(|problem| problem.kind == ProblemKind::NotFollowed) {
            self.policy.problems.push(Problem { kind: ProblemKind::NotFollowed, text, span: None });
        }
    }

    fn peek(&mut self) -> Result<&Token, F::Error> {
        let token = match self.ahead.take() {
            Some(token) => token,
            None => self.scan()?,
        };
        Ok(self.ahead.insert(token))
    }

    fn take(&mut self) -> Result<Token, F::Error> {
        let token = match self.ahead.take() {
            Some(token) => token,
            None => self.scan()?,
        };
        self.last = token.span;
        Ok(token)
    }

    fn scan(&mut self) -> Result<Token, F::Error> {
        loop {
            if let Scanned::Token(token) = self.lexer.scan() {
                return Ok(token);
            }
            // A file has ended. The next one of its directory takes its place, or the file that included it goes on.
            loop {
                let Some(level) = self.waiting.last_mut() else {
                    return Ok(Token { kind: Kind::End, span: self.last });
                };
                match level.pop_front() {
                    Some(path) if self.open(&path, None)? => break,
                    Some(_) => {}
                    None => {
                        self.waiting.pop();
                        break;
                    }
                }
            }
        }
    }

    fn entry(&mut self) -> Parsed<(), F> {
        match &self.peek()?.kind {
            Kind::Newline => {
                self.take()?;
                Ok(())
            }
            Kind::Include => self.include(false),
            Kind::IncludeDirectory => self.include(true),
            Kind::Defaults(binding) => {
                let binding = *binding;
                self.take()?;
                self.defaults(binding)
            }
            Kind::AliasDefinition(kind) => {
                let kind = *kind;
                self.take()?;
                self.aliases(kind)
            }
            _ => self.rule(),
        }
    }

    fn end_of_line(&mut self) -> Parsed<(), F> {
        if self.peek()?.kind != Kind::Newline {
            return syntax(self.complaint());
        }
        self.take()?;
        Ok(())
    }

    /// What is wrong with the token ahead.
    fn complaint(&self) -> &'static str {
        match &self.ahead {
            Some(Token { kind: Kind::Bad(what), .. }) => what,
            _ => "syntax error",
        }
    }

    fn skip(&mut self, kind: &Kind) -> Result<bool, F::Error> {
        let is_it = self.peek()?.kind == *kind;
        if is_it {
            self.take()?;
        }
        Ok(is_it)
    }

    fn expect(&mut self, kind: &Kind) -> Parsed<(), F> {
        if self.skip(kind)? { Ok(()) } else { syntax(self.complaint()) }
    }

    fn word(&mut self) -> Parsed<(Vec<u8>, Span), F> {
        match self.peek()?.clone() {
            Token { kind: Kind::Word(text), span } => {
                self.take()?;
                Ok((text, span))
            }
            _ => syntax(self.complaint()),
        }
    }

    fn rule(&mut self) -> Parsed<(), F> {
        let start = self.peek()?.span;
        let users = self.users()?;
        let mut privileges = vec![self.privilege()?];
        let (mut end, mut error) = (self.last, None);
        while self.skip(&Kind::Colon)? {
            match self.privilege() {
                Ok(privilege) => {
                    privileges.push(privilege);
                    end = self.last;
                }
                // sudo keeps what it has understood so far where the line ends (or has another colon) right there.
                Err(Stop::Syntax(what)) if matches!(self.peek()?.kind, Kind::Newline | Kind::Colon) => {
                    error.get_or_insert((what, end));
                }
                Err(stop) => return Err(stop),
            }
        }
        let last = self.last;
        self.end_of_line()?;
        let span = joined(start, end);
        if let Some((what, understood)) = error {
            // What follows could be cut off, unless more that was understood comes after it.
            self.taken_to = Some(understood);
            let skipped = if understood == end { self.skipped(start, last) } else { None };
            self.complain(start, skipped, &what);
        }
        self.policy.rules.push(Rule { users, privileges, span });
        Ok(())
    }

    fn aliases(&mut self, kind: AliasKind) -> Parsed<(), F> {
        loop {
            let Kind::Alias(name) = self.peek()?.kind.clone() else { return syntax(self.complaint()) };
            self.take()?;
            self.expect(&Kind::Equals)?;
            let members = match kind {
                AliasKind::Command => AliasMembers::Commands(self.list(Self::command)?),
                AliasKind::Host => AliasMembers::Names(self.hosts()?),
                AliasKind::User | AliasKind::Runas => AliasMembers::Names(self.users()?),
            };
            let key = (kind, name);
            if self.policy.aliases.contains_key(&key) {
                return Err(Stop::Syntax(format!("Alias \"{}\" already defined", Printable::of(&key.1))));
            }
            self.policy.aliases.insert(key, members);
            self.taken_to = Some(self.last);
            if !self.skip(&Kind::Colon)? {
                return self.end_of_line();
            }
        }
    }

    fn defaults(&mut self, binding: Binding) -> Parsed<(), F> {
        let scope = match binding {
            Binding::None => Scope::Everyone,
            Binding::User => Scope::Users(self.users()?),
            Binding::Runas => Scope::Runas(self.users()?),
            Binding::Host => Scope::Hosts(self.hosts()?),
            Binding::Command => Scope::Commands(self.list(Self::command)?),
        };
        let entries = self.list(|parser| {
            let not = parser.not()?;
            let Token { kind: Kind::DefaultsName(name), span } = parser.peek()?.clone() else {
                return syntax(parser.complaint());
            };
            parser.take()?;
            if let Some(not) = not {
                return Ok((name, DefaultsValue::Off, joined(not, span)));
            }
            let make: fn(Vec<u8>) -> DefaultsValue = match parser.peek()?.kind {
                Kind::Equals => DefaultsValue::Set,
                Kind::PlusEquals => DefaultsValue::Add,
                Kind::MinusEquals => DefaultsValue::Subtract,
                _ => return Ok((name, DefaultsValue::On, span)),
            };
            parser.take()?;
            let (value, end) = parser.word()?;
            Ok((name, make(value), joined(span, end)))
        })?;
        self.end_of_line()?;
        for (name, value, span) in entries {
            self.policy.defaults.push(DefaultsEntry { scope: scope.clone(), name, value, span });
        }
        Ok(())
    }
}

fn joined(start: Span, end: Span) -> Span {
    if start.file == end.file { Span { end: end.end.max(start.end), ..start } } else { start }
}
