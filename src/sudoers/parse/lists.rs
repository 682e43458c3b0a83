//! Lists of users, groups, hosts and commands.

use super::super::lex::Kind;
use super::super::patterns::LONGEST_COMMAND;
use super::super::policy::{CommandMember, CommandName, Digest, Member, Name, Span};
use super::super::source::SudoersFiles;
use super::{Parsed, Parser, joined, syntax};

impl<F: SudoersFiles> Parser<'_, F> {
    pub(super) fn list<T>(&mut self, member: impl Fn(&mut Self) -> Parsed<T, F>) -> Parsed<Vec<T>, F> {
        let mut members = vec![member(self)?];
        while self.skip(&Kind::Comma)? {
            members.push(member(self)?);
        }
        Ok(members)
    }

    /// `!`, and where it stands.
    pub(super) fn not(&mut self) -> Result<Option<Span>, F::Error> {
        let span = self.peek()?.span;
        Ok(self.skip(&Kind::Not)?.then_some(span))
    }

    pub(super) fn member(&mut self, allowed: fn(&Kind) -> Option<Name>) -> Parsed<Member, F> {
        let not = self.not()?;
        let token = self.peek()?.clone();
        let Some(name) = allowed(&token.kind) else { return syntax(self.complaint()) };
        self.take()?;
        Ok(Member { negated: not.is_some(), name, span: joined(not.unwrap_or(token.span), token.span) })
    }

    pub(super) fn users(&mut self) -> Parsed<Vec<Member>, F> {
        self.list(|parser| {
            parser.member(|kind| match kind {
                Kind::Group(name) => Some(Name::Group(name.clone())),
                Kind::Netgroup(name) => Some(Name::Netgroup(name.clone())),
                other => plain(other),
            })
        })
    }

    pub(super) fn groups(&mut self) -> Parsed<Vec<Member>, F> {
        self.list(|parser| parser.member(plain))
    }

    pub(super) fn hosts(&mut self) -> Parsed<Vec<Member>, F> {
        self.list(|parser| {
            parser.member(|kind| match kind {
                Kind::Network(name) => Some(Name::Network(name.clone())),
                Kind::Netgroup(name) => Some(Name::Netgroup(name.clone())),
                other => plain(other),
            })
        })
    }

    pub(super) fn command(&mut self) -> Parsed<CommandMember, F> {
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
        if matches!(&name, CommandName::Path { path, .. } if path.len() >= LONGEST_COMMAND) {
            return syntax("command too long");
        }
        if matches!(name, CommandName::Alias(_)) && !digests.is_empty() {
            return syntax("a digest requires a path name");
        }
        Ok(CommandMember { negated: not.is_some(), name, digests, span: joined(start, token.span) })
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
