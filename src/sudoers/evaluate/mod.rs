//! Who may run what as root, and whether a password is asked for: sudo's own order of looking things up.

mod names;

use std::collections::HashMap;

use super::accounts::Account;
use super::nesting::DEEPEST_ALIAS;
use super::policy::{
    AliasKind, CommandMember, CommandName, DefaultsEntry, DefaultsValue, Grant, Member, Name, Policy, Rule, Scope,
};
use super::source::SudoersFiles;

/// The machine's name.
#[derive(Debug, Clone)]
pub struct Host {
    long: Vec<u8>,
    short: Vec<u8>,
}

impl Host {
    /// From a host name, with or without a domain.
    pub fn new(name: impl AsRef<[u8]>) -> Host {
        let long = name.as_ref().to_vec();
        let short = long.split(|&c| c == b'.').next().unwrap_or_default().to_vec();
        Host { long, short }
    }

    /// The name as it was given.
    pub fn name(&self) -> &[u8] {
        &self.long
    }
}

/// A command as a user would give it to sudo.
#[derive(Debug, Clone)]
pub struct Command {
    path: Vec<u8>,
    arguments: Option<Vec<u8>>,
    // The same file by other names with the same last component: sudo compares inodes (`/bin/sh`, `/usr/bin/sh`).
    names: Vec<Vec<u8>>,
    content: Option<Vec<u8>>,
}

impl Command {
    /// The command at this absolute path.
    ///
    /// # Errors
    /// What `files` reports.
    pub fn find<F: SudoersFiles>(files: &F, path: &str, arguments: Option<&str>) -> Result<Command, F::Error> {
        // Here one program has two paths, because /bin is a link to /usr/bin on most systems.
        const PLACES: [&str; 6] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
        let mut names = vec![path.as_bytes().to_vec()];
        let found = files.file(path.as_bytes())?;
        if let (Some(found), Some((_, base))) = (&found, path.rsplit_once('/')) {
            for place in PLACES {
                let other = format!("{place}/{base}");
                if other != path && files.file(other.as_bytes())?.is_some_and(|file| file.path == found.path) {
                    names.push(other.into_bytes());
                }
            }
        }
        Ok(Command {
            path: path.as_bytes().to_vec(),
            arguments: arguments.map(|text| text.as_bytes().to_vec()),
            names,
            content: found.map(|file| file.content),
        })
    }
}

/// Whose password sudo asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// The invoking user's.
    Invoker,
    /// Root's (`rootpw`, or `targetpw` when root is the target).
    Root,
    /// That of the user `runas_default` names (`runaspw`).
    Named(Vec<u8>),
}

/// sudo's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Not allowed.
    No,
    /// Allowed with a password.
    Password(Whose),
    /// Allowed without one.
    NoPassword,
}

impl Policy {
    /// Whether `who` may run `command` as root on `host`. `now` is in seconds since 1970; without it, rules that are
    /// limited in time count as if they held.
    pub fn decide(&self, who: &Account, host: &Host, command: &Command, now: Option<i64>) -> Decision {
        if self.is_refused() {
            return Decision::No;
        }
        let mut matcher = Matcher::new(self, who, host, command);
        matcher.apply_defaults();
        if who.uid == 0 && !matcher.settings.root_sudo {
            return Decision::No;
        }
        match matcher.last_match(now) {
            Some((true, grant)) => matcher.password(grant),
            _ => Decision::No,
        }
    }

    /// The rules whose list of users names `who`, whatever they allow.
    pub fn rules_naming(&self, who: &Account) -> Vec<&Rule> {
        let host = Host::new("");
        let command = Command { path: Vec::new(), arguments: None, names: Vec::new(), content: None };
        let mut matcher = Matcher::new(self, who, &host, &command);
        matcher.apply_defaults();
        self.rules.iter().filter(|rule| matcher.users(&rule.users) == Some(true)).collect()
    }

    /// The best that `who` can get for any of `shells`: whether the way to a root shell is open, and what it takes.
    pub fn can_become_root(&self, who: &Account, host: &Host, shells: &[Command]) -> Decision {
        let mut best = Decision::No;
        for shell in shells {
            match self.decide(who, host, shell, None) {
                Decision::NoPassword => return Decision::NoPassword,
                Decision::Password(whose) if best == Decision::No => best = Decision::Password(whose),
                _ => {}
            }
        }
        best
    }
}

/// The Defaults that matter here.
struct Settings {
    authenticate: bool,
    exempt_group: Option<Vec<u8>>,
    rootpw: bool,
    runaspw: bool,
    targetpw: bool,
    runas_default: Vec<u8>,
    fold_users: bool,
    fold_groups: bool,
    by_gid: bool,
    fast_glob: bool,
    root_sudo: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            authenticate: true,
            exempt_group: None,
            rootpw: false,
            runaspw: false,
            targetpw: false,
            runas_default: b"root".to_vec(),
            fold_users: true,
            fold_groups: true,
            by_gid: false,
            fast_glob: false,
            root_sudo: true,
        }
    }
}

impl Settings {
    /// sudo ignores what it does not understand: a flag with a value, a text without one, `+=` on either.
    fn apply(&mut self, entry: &DefaultsEntry) {
        let flag = match entry.name.as_slice() {
            b"authenticate" => &mut self.authenticate,
            b"rootpw" => &mut self.rootpw,
            b"runaspw" => &mut self.runaspw,
            b"targetpw" => &mut self.targetpw,
            b"case_insensitive_user" => &mut self.fold_users,
            b"case_insensitive_group" => &mut self.fold_groups,
            b"match_group_by_gid" => &mut self.by_gid,
            b"fast_glob" => &mut self.fast_glob,
            b"root_sudo" => &mut self.root_sudo,
            b"exempt_group" => {
                match &entry.value {
                    DefaultsValue::Off => self.exempt_group = None,
                    DefaultsValue::Set(group) => self.exempt_group = Some(group.clone()),
                    _ => {}
                }
                return;
            }
            b"runas_default" => {
                if let DefaultsValue::Set(user) = &entry.value {
                    self.runas_default.clone_from(user);
                }
                return;
            }
            _ => return,
        };
        match entry.value {
            DefaultsValue::On => *flag = true,
            DefaultsValue::Off => *flag = false,
            _ => {}
        }
    }
}

/// The settings that change how names match.
const NAMING: [&[u8]; 5] =
    [b"case_insensitive_user", b"case_insensitive_group", b"match_group_by_gid", b"runas_default", b"fast_glob"];

struct Matcher<'a> {
    policy: &'a Policy,
    who: &'a Account,
    host: &'a Host,
    command: &'a Command,
    settings: Settings,
    // What an alias came to. `None` while it is being looked at: an alias within itself counts as not defined.
    known: HashMap<(AliasKind, &'a [u8]), Option<Option<bool>>>,
    depth: usize,
}

impl<'a> Matcher<'a> {
    fn new(policy: &'a Policy, who: &'a Account, host: &'a Host, command: &'a Command) -> Matcher<'a> {
        Matcher { policy, who, host, command, settings: Settings::default(), known: HashMap::new(), depth: 0 }
    }

    fn apply_defaults(&mut self) {
        // sudo sets these before all others, whatever the order.
        let early = |entry: &DefaultsEntry| matches!(entry.name.as_slice(), b"runas_default" | b"match_group_by_gid");
        let defaults = &self.policy.defaults;
        let first = defaults.iter().filter(|entry| early(entry));
        let second = defaults.iter().filter(|entry| !early(entry));
        let unbound = first.chain(second).filter(|entry| !matches!(entry.scope, Scope::Commands(_)));
        // Those bound to a command come last of all: the command is looked up after the rest is set.
        let bound = defaults.iter().filter(|entry| matches!(entry.scope, Scope::Commands(_)));
        for entry in unbound.chain(bound) {
            let meant = match &entry.scope {
                Scope::Everyone => true,
                Scope::Users(members) => self.users(members) == Some(true),
                Scope::Runas(members) => self.runas(Some(members), None) == Some(true),
                Scope::Hosts(members) => self.hosts(members) == Some(true),
                Scope::Commands(members) => self.commands(members) == Some(true),
            };
            if meant {
                self.settings.apply(entry);
                if NAMING.contains(&entry.name.as_slice()) {
                    self.known.clear();
                }
            }
        }
    }

    /// The last rule that says anything, and what it says.
    fn last_match(&mut self, now: Option<i64>) -> Option<(bool, &'a Grant)> {
        // From the end: in sudo the last match wins, so what matches first on this way decides, and nothing before it
        // counts.
        for rule in self.policy.rules.iter().rev() {
            if self.users(&rule.users) != Some(true) {
                continue;
            }
            for privilege in rule.privileges.iter().rev() {
                if self.hosts(&privilege.hosts) != Some(true) {
                    continue;
                }
                // Within a rule, too, what stands further to the right wins.
                for grant in privilege.grants.iter().rev() {
                    let early = now.zip(grant.not_before).is_some_and(|(now, from)| now < from);
                    let late = now.zip(grant.not_after).is_some_and(|(now, to)| now > to);
                    if early
                        || late
                        || self.runas(grant.runas_users.as_deref(), grant.runas_groups.as_deref()) != Some(true)
                    {
                        continue;
                    }
                    // `!command` is a match like any other: it says no, and ends the search.
                    if let Some(allowed) = self.command(&grant.command) {
                        return Some((allowed, grant));
                    }
                }
            }
        }
        None
    }

    fn password(&self, grant: &Grant) -> Decision {
        // The rule's own tag counts before `Defaults authenticate`, whichever stands later in the file.
        let authenticate = grant.nopasswd.map_or(self.settings.authenticate, |nopasswd| !nopasswd);
        let exempt = self.settings.exempt_group.as_ref().is_some_and(|group| self.is_in_group(group));
        if !authenticate || exempt || self.who.uid == 0 {
            return Decision::NoPassword;
        }
        // sudo asks in this order, so that rootpw wins where several are on.
        Decision::Password(if self.settings.rootpw {
            Whose::Root
        } else if self.settings.runaspw {
            match self.settings.runas_default.as_slice() {
                b"root" => Whose::Root,
                name => Whose::Named(name.to_vec()),
            }
        } else if self.settings.targetpw {
            Whose::Root
        } else {
            Whose::Invoker
        })
    }

    // ---- lists: the last member that matches decides; `None` where none does ----

    fn list(
        &mut self,
        members: &'a [Member],
        mut matches: impl FnMut(&mut Self, &'a Name) -> Option<bool>,
    ) -> Option<bool> {
        members.iter().rev().find_map(|member| Some(matches(self, &member.name)? != member.negated))
    }

    /// What an alias comes to: `Err` where there is none of that name (or it is inside itself).
    fn alias(
        &mut self,
        kind: AliasKind,
        name: &'a [u8],
        members: impl FnOnce(&mut Self, &'a [Member]) -> Option<bool>,
    ) -> Result<Option<bool>, ()> {
        match self.known.get(&(kind, name)) {
            Some(Some(result)) => return Ok(*result),
            Some(None) => return Err(()),
            None => {}
        }
        let list = self.policy.alias(kind, name).filter(|_| self.depth < DEEPEST_ALIAS).ok_or(())?;
        self.known.insert((kind, name), None);
        self.depth += 1;
        let result = members(self, list);
        self.depth -= 1;
        self.known.insert((kind, name), Some(result));
        Ok(result)
    }

    fn users(&mut self, members: &'a [Member]) -> Option<bool> {
        self.list(members, |matcher, name| match name {
            Name::All => Some(true),
            Name::Group(group) => matcher.is_in_group(group.get(1..)?).then_some(true),
            Name::Alias(name) => matcher
                .alias(AliasKind::User, name, Self::users)
                .unwrap_or_else(|()| matcher.is_user(name, &matcher.who.name, matcher.who.uid).then_some(true)),
            Name::Word(name) => matcher.is_user(name, &matcher.who.name, matcher.who.uid).then_some(true),
            Name::Netgroup(_) | Name::Network(_) | Name::Myself => None,
        })
    }

    /// Whether root is among the Runas users. Without `-g`, a list of groups says nothing.
    fn runas(&mut self, users: Option<&'a [Member]>, groups: Option<&'a [Member]>) -> Option<bool> {
        let Some(users) = users else {
            let by_default = groups.is_none() && self.is_user(&self.settings.runas_default, b"root", 0);
            return by_default.then_some(true);
        };
        self.list(users, |matcher, name| match name {
            Name::All => Some(true),
            Name::Group(group) => (matches!(group.as_slice(), b"%root" | b"%#0")).then_some(true),
            Name::Alias(name) => matcher
                .alias(AliasKind::Runas, name, |matcher, members| matcher.runas(Some(members), None))
                .unwrap_or_else(|()| matcher.is_user(name, b"root", 0).then_some(true)),
            Name::Word(name) => matcher.is_user(name, b"root", 0).then_some(true),
            Name::Myself => (matcher.who.name == b"root").then_some(true),
            Name::Netgroup(_) | Name::Network(_) => None,
        })
    }

    fn hosts(&mut self, members: &'a [Member]) -> Option<bool> {
        self.list(members, |matcher, name| match name {
            Name::All => Some(true),
            Name::Alias(name) => matcher
                .alias(AliasKind::Host, name, Self::hosts)
                .unwrap_or_else(|()| matcher.is_host(name).then_some(true)),
            Name::Word(name) => matcher.is_host(name).then_some(true),
            Name::Group(_) | Name::Netgroup(_) | Name::Network(_) | Name::Myself => None,
        })
    }

    fn commands(&mut self, members: &'a [CommandMember]) -> Option<bool> {
        members.iter().rev().find_map(|member| self.command(member))
    }

    fn command(&mut self, member: &'a CommandMember) -> Option<bool> {
        let matched = match &member.name {
            CommandName::All => self.has_digest(&member.digests).then_some(true),
            CommandName::Path { path, arguments } => {
                let is_it = self.is_command(path) && self.has_arguments(arguments.as_deref());
                (is_it && self.has_digest(&member.digests)).then_some(true)
            }
            CommandName::Alias(name) => {
                let key = (AliasKind::Command, name.as_slice());
                match self.known.get(&key) {
                    Some(known) => known.flatten(),
                    None => {
                        let members = self.policy.command_alias(name).filter(|_| self.depth < DEEPEST_ALIAS)?;
                        self.known.insert(key, None);
                        self.depth += 1;
                        let result = self.commands(members);
                        self.depth -= 1;
                        self.known.insert(key, Some(result));
                        result
                    }
                }
            }
        };
        Some(matched? != member.negated)
    }
}
