//! What sudoers says, as data: rules, aliases, Defaults and problems, each with the bytes it stands on.

use crate::printable::Printable;
use std::collections::BTreeMap;

/// Index of a file in [`Policy::files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub usize);

/// Bytes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Which file.
    pub file: FileId,
    /// First byte, counted from 0.
    pub start: usize,
    /// First byte after it.
    pub end: usize,
    /// Line of the first byte, counted from 1.
    pub line: usize,
}

/// A file that sudo reads. One that is included twice is here twice.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The path as sudo opens it.
    pub path: Vec<u8>,
    /// Where that really is, with symlinks followed.
    pub settled: Vec<u8>,
    /// What it holds, byte for byte.
    pub content: Vec<u8>,
}

/// Who, where or as whom: one member of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// `!` before it (an even number of them is none).
    pub negated: bool,
    /// What it names.
    pub name: Name,
    /// Its bytes, with the `!`.
    pub span: Span,
}

/// What a member names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// `ALL`
    All,
    /// A user (or `#uid`), group in a Runas list, or host.
    Word(Vec<u8>),
    /// An upper-case name, which is an alias where one is defined and a plain name otherwise.
    Alias(Vec<u8>),
    /// `%group`, `%#gid`, `%:nonunix`, with the `%`.
    Group(Vec<u8>),
    /// `+netgroup`, with the `+`.
    Netgroup(Vec<u8>),
    /// An address or network.
    Network(Vec<u8>),
    /// An empty Runas list: the invoking user.
    Myself,
}

/// A command of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandMember {
    /// `!` before it.
    pub negated: bool,
    /// What it names.
    pub name: CommandName,
    /// The file must have one of these digests; empty: any.
    pub digests: Vec<Digest>,
    /// Its bytes, with the `!`.
    pub span: Span,
}

/// What a command member names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandName {
    /// `ALL`
    All,
    /// A Cmnd_Alias.
    Alias(Vec<u8>),
    /// A path (with wildcards, or a directory with a final `/`), a regular expression `^…$`, `sudoedit` or `list`.
    Path {
        /// The command.
        path: Vec<u8>,
        /// Its arguments, joined by single spaces; `""` allows none, absent allows any.
        arguments: Option<Vec<u8>>,
    },
}

/// A digest as sudoers writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// 224, 256, 384 or 512.
    pub bits: u16,
    /// Hexadecimal or base64.
    pub text: Vec<u8>,
}

/// A tag, as in `NOPASSWD:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// `NOPASSWD:`
    NoPasswd,
    /// `PASSWD:`
    Passwd,
    /// Any other; none of them says who may do what.
    Other,
}

/// A user specification: one logical line that grants something.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Who.
    pub users: Vec<Member>,
    /// What, where.
    pub privileges: Vec<Privilege>,
    /// From the first user to before the line's end (in the file where it began).
    pub span: Span,
}

/// `hosts = commands`
#[derive(Debug, Clone)]
pub struct Privilege {
    /// Where.
    pub hosts: Vec<Member>,
    /// What, in order.
    pub grants: Vec<Grant>,
}

/// A command with what stands before it, and what it inherits from the grant before.
#[derive(Debug, Clone)]
pub struct Grant {
    /// As which users; `None` where neither users nor groups are given here or before.
    pub runas_users: Option<Vec<Member>>,
    /// As which groups.
    pub runas_groups: Option<Vec<Member>>,
    /// `Some(true)`: no password, `Some(false)`: a password, `None`: what the Defaults say. Inherited ones included.
    pub nopasswd: Option<bool>,
    /// The tags that stand here, each with its bytes up to and including the colon.
    pub tags: Vec<(Tag, Span)>,
    /// Seconds since 1970 before which the grant does not count.
    pub not_before: Option<i64>,
    /// Seconds since 1970 after which the grant does not count.
    pub not_after: Option<i64>,
    /// The command.
    pub command: CommandMember,
}

/// Whom a Defaults entry is about.
#[derive(Debug, Clone)]
pub enum Scope {
    /// `Defaults`
    Everyone,
    /// `Defaults:users`
    Users(Vec<Member>),
    /// `Defaults>runas`
    Runas(Vec<Member>),
    /// `Defaults@hosts`
    Hosts(Vec<Member>),
    /// `Defaults!commands`
    Commands(Vec<CommandMember>),
}

/// What a Defaults entry does to its option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultsValue {
    /// `name`
    On,
    /// `!name`
    Off,
    /// `name=value`
    Set(Vec<u8>),
    /// `name+=value`
    Add(Vec<u8>),
    /// `name-=value`
    Subtract(Vec<u8>),
}

/// One option of a Defaults line.
#[derive(Debug, Clone)]
pub struct DefaultsEntry {
    /// Whom it is about.
    pub scope: Scope,
    /// The option's name.
    pub name: Vec<u8>,
    /// What happens to it.
    pub value: DefaultsValue,
    /// Its bytes, from a `!` or the name to the end of the value.
    pub span: Span,
}

/// The four name spaces of aliases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AliasKind {
    /// User_Alias
    User,
    /// Runas_Alias
    Runas,
    /// Host_Alias
    Host,
    /// Cmnd_Alias
    Command,
}

#[derive(Debug, Clone)]
pub(super) enum AliasMembers {
    Names(Vec<Member>),
    Commands(Vec<CommandMember>),
}

/// Something that sudo complains about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What sort.
    pub kind: ProblemKind,
    /// In words, naming path and line.
    pub text: String,
    /// For a syntax error: the bytes that sudo skips, to the end of the line, which itself is not among them. A comment
    /// sign before them changes nothing but the complaint. `None` where that cannot be said.
    pub span: Option<Span>,
}

/// What sort of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// sudo skips this line and goes on (before 1.9.3 it refused the whole policy).
    Syntax,
    /// sudo does not read this file or directory: missing, wrong owner, writable by others, included too deeply.
    Unread,
    /// sudo refuses the whole policy.
    Fatal,
    /// sudo goes on and cardsmith does not: what is beyond its limits may allow anything.
    NotFollowed,
}

/// Everything that sudo makes of /etc/sudoers and what it includes.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The files, in the order in which sudo opens them.
    pub files: Vec<SourceFile>,
    /// The rules, in order; the last one that matches decides.
    pub rules: Vec<Rule>,
    /// The Defaults entries, in order.
    pub defaults: Vec<DefaultsEntry>,
    /// What sudo complains about.
    pub problems: Vec<Problem>,
    pub(super) aliases: BTreeMap<(AliasKind, Vec<u8>), AliasMembers>,
}

impl Policy {
    /// sudo refuses everything: there is no sudoers file, or it cannot be made sense of.
    pub fn is_refused(&self) -> bool {
        self.problems.iter().any(|problem| problem.kind == ProblemKind::Fatal)
    }

    /// The file a span lies in.
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0)
    }

    /// `path:line` of a span, for messages; control characters escaped.
    pub fn place(&self, span: Span) -> String {
        let path = self.file(span.file).map(|file| Printable::of(&file.path).to_string()).unwrap_or_default();
        format!("{path}:{}", span.line)
    }

    /// The text of a span, for messages; control characters escaped, 200 characters at most.
    pub fn excerpt(&self, span: Span) -> String {
        let bytes = self.file(span.file).and_then(|file| file.content.get(span.start..span.end)).unwrap_or_default();
        let text = Printable::of(bytes).to_string();
        match text.char_indices().nth(200) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text,
        }
    }

    /// The members of a User_Alias, Runas_Alias or Host_Alias.
    pub fn alias(&self, kind: AliasKind, name: &[u8]) -> Option<&[Member]> {
        match self.aliases.get(&(kind, name.to_vec())) {
            Some(AliasMembers::Names(members)) => Some(members),
            _ => None,
        }
    }

    /// The members of a Cmnd_Alias.
    pub fn command_alias(&self, name: &[u8]) -> Option<&[CommandMember]> {
        match self.aliases.get(&(AliasKind::Command, name.to_vec())) {
            Some(AliasMembers::Commands(members)) => Some(members),
            _ => None,
        }
    }
}
