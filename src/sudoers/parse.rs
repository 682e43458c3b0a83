//! The grammar of sudoers with sudo's own error recovery, and the files that it includes.

use std::collections::VecDeque;

use super::lex::{Binding, Kind, Lexer, OptionName, Scanned, Token};
use super::policy::{
    AliasKind, AliasMembers, CommandMember, CommandName, DefaultsEntry, DefaultsValue, Digest, FileId, Grant, Member,
    Name, Policy, Privilege, Problem, ProblemKind, Rule, Scope, SourceFile, Span, Tag, printable,
};
use super::source::SudoersFiles;
use super::time;

/// How deep files may include one another. sudo's constant is 128, but it is only looked at whenever its stack grows,
/// by 16 at a time, so 144 is what happens.
const DEEPEST: usize = 144;
/// sudo has no limit on how much is included, and a file that includes itself twice would keep it busy for ever.
const MOST_FILES: usize = 2_000;
const MOST_BYTES: usize = 32 << 20;

impl Policy {
    /// Reads the sudoers file `main` and what it includes. `host` is the machine's name, for `%h` in include paths.
    ///
    /// # Errors
    /// Only what `files` reports; everything that is wrong with sudoers itself is a [`Problem`].
    pub fn read<F: SudoersFiles>(files: &F, main: &str, host: &[u8]) -> Result<Policy, F::Error> {
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
        if !parser.open(main.as_bytes(), None)? {
            parser.fatal(format!("sudo has no sudoers file that it would read: {main} is missing or refused"));
            return Ok(parser.policy);
        }
        parser.run()?;
        Ok(parser.policy)
    }

    /// Reads one text by itself, as `visudo -cf` does. Includes are not followed.
    pub fn of_text(path: &str, content: &[u8]) -> Policy {
        struct One<'a>(&'a str, &'a [u8]);
        impl SudoersFiles for One<'_> {
            type Error = std::convert::Infallible;
            fn file(&self, path: &[u8]) -> Result<Option<super::SudoersFile>, Self::Error> {
                Ok((path == self.0.as_bytes()).then(|| super::SudoersFile {
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
        let mut end = start;
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

    // ---- lists ----

    fn list<T>(&mut self, member: impl Fn(&mut Self) -> Parsed<T, F>) -> Parsed<Vec<T>, F> {
        let mut members = vec![member(self)?];
        while self.skip(&Kind::Comma)? {
            members.push(member(self)?);
        }
        Ok(members)
    }

    /// `!`, and where it stands.
    fn not(&mut self) -> Result<Option<Span>, F::Error> {
        let span = self.peek()?.span;
        Ok(self.skip(&Kind::Not)?.then_some(span))
    }

    fn member(&mut self, allowed: fn(&Kind) -> Option<Name>) -> Parsed<Member, F> {
        let not = self.not()?;
        let token = self.peek()?.clone();
        let Some(name) = allowed(&token.kind) else { return syntax(self.complaint()) };
        self.take()?;
        Ok(Member { negated: not.is_some(), name, span: joined(not.unwrap_or(token.span), token.span) })
    }

    fn users(&mut self) -> Parsed<Vec<Member>, F> {
        self.list(|parser| {
            parser.member(|kind| match kind {
                Kind::Group(name) => Some(Name::Group(name.clone())),
                Kind::Netgroup(name) => Some(Name::Netgroup(name.clone())),
                other => plain(other),
            })
        })
    }

    fn groups(&mut self) -> Parsed<Vec<Member>, F> {
        self.list(|parser| parser.member(plain))
    }

    fn hosts(&mut self) -> Parsed<Vec<Member>, F> {
        self.list(|parser| {
            parser.member(|kind| match kind {
                Kind::Network(name) => Some(Name::Network(name.clone())),
                Kind::Netgroup(name) => Some(Name::Netgroup(name.clone())),
                other => plain(other),
            })
        })
    }

    fn command(&mut self) -> Parsed<CommandMember, F> {
        let mut digests = Vec::new();
        let start = self.peek()?.span;
        while let Kind::Sha(bits) = self.peek()?.kind {
            self.take()?;
            self.expect(&Kind::Colon)?;
            let Kind::Digest(text) = self.peek()?.kind.clone() else { return syntax(self.complaint()) };
            self.take()?;
            digests.push(Digest { bits, text });
            if !self.skip(&Kind::Comma)? {
                break;
            }
            if !matches!(self.peek()?.kind, Kind::Sha(_)) {
                return syntax(self.complaint());
            }
        }
        let not = self.not()?;
        let token = self.peek()?.clone();
        let name = match token.kind {
            Kind::All => CommandName::All,
            Kind::Alias(name) => CommandName::Alias(name),
            Kind::Command { path, arguments } => CommandName::Path { path, arguments },
            Kind::Word(word) if word == b"list" => CommandName::Path { path: word, arguments: None },
            Kind::Word(_) => {
                self.take()?;
                return syntax("expected a fully-qualified path name");
            }
            _ => return syntax(self.complaint()),
        };
        self.take()?;
        if matches!(name, CommandName::Alias(_)) && !digests.is_empty() {
            return syntax("a digest requires a path name");
        }
        Ok(CommandMember { negated: not.is_some(), name, digests, span: joined(start, token.span) })
    }

    // ---- entries ----

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

    fn privilege(&mut self) -> Parsed<Privilege, F> {
        let hosts = self.hosts()?;
        self.expect(&Kind::Equals)?;
        let mut grants = vec![self.grant()?];
        while self.skip(&Kind::Comma)? {
            let mut grant = self.grant()?;
            if let Some(before) = grants.last() {
                grant.inherit(before);
            }
            grants.push(grant);
        }
        Ok(Privilege { hosts, grants })
    }

    fn grant(&mut self) -> Parsed<Grant, F> {
        let (runas_users, runas_groups) = self.runas()?;
        let (mut not_before, mut not_after) = (None, None);
        while let Kind::Option(name) = self.peek()?.kind {
            self.take()?;
            self.expect(&Kind::Equals)?;
            let (value, _) = self.word()?;
            let instant = |text: &[u8]| time::generalized(text).map(Some).ok_or(());
            match name {
                OptionName::NotBefore => match instant(&value) {
                    Ok(seconds) => not_before = seconds,
                    Err(()) => return syntax("invalid notbefore value"),
                },
                OptionName::NotAfter => match instant(&value) {
                    Ok(seconds) => not_after = seconds,
                    Err(()) => return syntax("invalid notafter value"),
                },
                OptionName::Timeout if !time::is_timeout(&value) => return syntax("invalid timeout value"),
                OptionName::Directory if !value.starts_with(b"/") && !value.starts_with(b"~") && value != b"*" => {
                    return syntax("values for \"CWD\" and \"CHROOT\" must start with a '/', '~', or '*'");
                }
                _ => {}
            }
        }
        let (mut tags, mut nopasswd) = (Vec::new(), None);
        while let Token { kind: Kind::Tag(tag), span } = *self.peek()? {
            self.take()?;
            match tag {
                Tag::NoPasswd => nopasswd = Some(true),
                Tag::Passwd => nopasswd = Some(false),
                Tag::Other => {}
            }
            tags.push((tag, span));
        }
        let command = self.command()?;
        Ok(Grant { runas_users, runas_groups, nopasswd, tags, not_before, not_after, command })
    }

    #[allow(clippy::type_complexity)]
    fn runas(&mut self) -> Parsed<(Option<Vec<Member>>, Option<Vec<Member>>), F> {
        let open = self.peek()?.span;
        if !self.skip(&Kind::Open)? {
            return Ok((None, None));
        }
        let myself = || Some(vec![Member { negated: false, name: Name::Myself, span: open }]);
        let lists = match self.peek()?.kind {
            Kind::Close => (myself(), None),
            Kind::Colon => {
                self.take()?;
                if self.peek()?.kind == Kind::Close { (myself(), None) } else { (None, Some(self.groups()?)) }
            }
            _ => {
                let users = self.users()?;
                let groups = if self.skip(&Kind::Colon)? { Some(self.groups()?) } else { None };
                (Some(users), groups)
            }
        };
        self.expect(&Kind::Close)?;
        Ok(lists)
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
                return Err(Stop::Syntax(format!("Alias \"{}\" already defined", printable(&key.1))));
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

    // ---- includes ----

    fn include(&mut self, directory: bool) -> Parsed<(), F> {
        let start = self.take()?.span;
        let (written, path) = self.word()?;
        if self.peek()?.kind != Kind::Newline {
            // sudo complains about what stands after the path, and includes it all the same.
            let what = self.complaint();
            while self.peek()?.kind != Kind::Newline {
                if self.take()?.kind == Kind::End {
                    return syntax(what);
                }
            }
            self.taken_to = Some(path);
            self.complain(start, self.skipped(start, self.last), what);
            self.take()?;
        } else {
            self.take()?;
        }
        let Some(path) = self.expand(&written, start) else { return Ok(()) };
        if self.waiting.len() >= DEEPEST {
            self.complain(start, None, "too many levels of includes");
            return Ok(());
        }
        if !directory {
            self.waiting.push(VecDeque::new());
            if !self.open(&path, Some(start))? {
                self.waiting.pop();
            }
            return Ok(());
        }
        let mut paths = self.directory(&path)?;
        while let Some(path) = paths.pop_front() {
            self.waiting.push(std::mem::take(&mut paths));
            if self.open(&path, None)? {
                return Ok(());
            }
            paths = self.waiting.pop().unwrap_or_default();
        }
        Ok(())
    }

    /// The path with quotes taken off, `%h` replaced, and a relative one put beside the file that names it.
    fn expand(&self, written: &[u8], from: Span) -> Option<Vec<u8>> {
        let inner = written.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let written = inner.unwrap_or(written);
        let mut path = Vec::new();
        if !written.starts_with(b"/") {
            let current = self.policy.file(from.file).map(|file| file.path.as_slice()).unwrap_or_default();
            let end = current.iter().rposition(|&c| c == b'/').map_or(0, |at| at + 1);
            path.extend_from_slice(current.get(..end).unwrap_or_default());
        }
        let mut rest = written;
        while let Some((&c, after)) = rest.split_first() {
            if let Some(after) = rest.strip_prefix(b"%h") {
                path.extend_from_slice(&self.host);
                rest = after;
            } else {
                path.push(c);
                rest = after;
            }
        }
        (!written.is_empty()).then_some(path)
    }

    /// The files of an include directory in the order in which sudo reads them.
    fn directory(&mut self, path: &[u8]) -> Result<VecDeque<Vec<u8>>, F::Error> {
        // A missing directory is nothing that sudo would mention.
        let Some(directory) = self.files.directory(path)? else { return Ok(VecDeque::new()) };
        if let Some(why) = distrusted(directory.uid, directory.gid, directory.mode) {
            self.unread(format!("sudo ignores {}: it {why}", printable(path)));
            return Ok(VecDeque::new());
        }
        let mut paths: Vec<Vec<u8>> = directory
            .names
            .iter()
            .filter(|name| !name.contains(&b'.') && !name.ends_with(b"~"))
            .map(|name| [path, b"/", name].concat())
            .collect();
        paths.sort();
        Ok(paths.into())
    }

    /// Opens a file if sudo would, and reads it next. `named_at` is where an include names it; a file that is only met
    /// in a directory may be something else than a regular file.
    fn open(&mut self, path: &[u8], named_at: Option<Span>) -> Result<bool, F::Error> {
        let shown = printable(path);
        let Some(file) = self.files.file(path)? else {
            if named_at.is_some() {
                self.unread(format!("sudo cannot read {shown}: it is not there"));
            }
            return Ok(false);
        };
        if !file.regular {
            if named_at.is_some() {
                self.unread(format!("sudo refuses {shown}: it is not a regular file"));
            }
            return Ok(false);
        }
        if let Some(why) = distrusted(file.uid, file.gid, file.mode) {
            self.unread(format!("sudo refuses {shown}: it {why}"));
            return Ok(false);
        }
        self.bytes = self.bytes.saturating_add(file.content.len());
        if self.policy.files.len() >= MOST_FILES || self.bytes > MOST_BYTES {
            self.fatal(format!("{shown} is one file too many: {MOST_FILES} files or {MOST_BYTES} bytes are included"));
            return Ok(false);
        }
        let id = FileId(self.policy.files.len());
        self.lexer.push(id, &file.content);
        self.policy.files.push(SourceFile { path: path.to_vec(), settled: file.path, content: file.content });
        Ok(true)
    }
}

/// Why sudo would not trust a file or directory (sudo_secure_path(), with uid and gid 0).
fn distrusted(uid: u32, gid: u32, mode: u16) -> Option<String> {
    if uid != 0 {
        Some(format!("is owned by uid {uid}, should be 0"))
    } else if mode & 0o002 != 0 {
        Some("is world writable".to_owned())
    } else if mode & 0o020 != 0 && gid != 0 {
        Some(format!("is group writable and owned by gid {gid}, should be 0"))
    } else {
        None
    }
}

fn plain(kind: &Kind) -> Option<Name> {
    match kind {
        Kind::All => Some(Name::All),
        Kind::Alias(name) => Some(Name::Alias(name.clone())),
        Kind::Word(name) => Some(Name::Word(name.clone())),
        _ => None,
    }
}

fn joined(start: Span, end: Span) -> Span {
    if start.file == end.file { Span { end: end.end.max(start.end), ..start } } else { start }
}

impl Grant {
    /// What a command in a list takes over from the one before it.
    fn inherit(&mut self, before: &Grant) {
        self.nopasswd = self.nopasswd.or(before.nopasswd);
        self.not_before = self.not_before.or(before.not_before);
        self.not_after = self.not_after.or(before.not_after);
        if self.runas_users.is_none() && self.runas_groups.is_none() {
            self.runas_users.clone_from(&before.runas_users);
            self.runas_groups.clone_from(&before.runas_groups);
        }
    }
}
