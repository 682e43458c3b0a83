//! What a rule grants: `hosts = (runas) options tags commands`.

use super::super::lex::{Kind, OptionName, Token};
use super::super::policy::{Grant, Member, Name, Privilege, Tag};
use super::super::source::SudoersFiles;
use super::super::time;
use super::{Parsed, Parser, syntax};

impl<F: SudoersFiles> Parser<'_, F> {
    pub(super) fn privilege(&mut self) -> Parsed<Privilege, F> {
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

    pub(super) fn grant(&mut self) -> Parsed<Grant, F> {
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
    pub(super) fn runas(&mut self) -> Parsed<(Option<Vec<Member>>, Option<Vec<Member>>), F> {
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
