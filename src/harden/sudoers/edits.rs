//! Changes to the text of sudoers files, as small as they can be: everything that is not a mistake or a grant without a
//! password stays byte for byte.

use std::collections::BTreeMap;

use crate::fs::ImagePath;
use crate::sudoers::{Account, DefaultsEntry, DefaultsValue, Name, Policy, ProblemKind, Rule, Span, Tag};

/// A file that changes.
pub(super) struct ChangedFile {
    /// Where it really is.
    pub(super) path: ImagePath,
    /// What it will hold.
    pub(super) content: Vec<u8>,
    /// Why, in a sentence.
    pub(super) why: String,
    /// What a person should be told.
    pub(super) said: Vec<String>,
}

/// Edits of one file: bytes from here to there become these. They do not overlap.
type Replacements = BTreeMap<(usize, usize), Vec<u8>>;

#[derive(Default)]
struct Changes {
    replacements: Replacements,
    passwords: usize,
    excluded: usize,
    bad: usize,
    said: Vec<String>,
}

/// Collects changes to the files of a policy.
pub(super) struct TextEdits<'p> {
    policy: &'p Policy,
    // By the place where the file really is: one that is included twice is changed once.
    files: BTreeMap<Vec<u8>, Changes>,
}

/// Every rule and option that lets somebody in without a password: place and text.
pub(super) fn passwordless(policy: &Policy) -> Vec<(String, String)> {
    let rules = policy.rules.iter().filter(|rule| !nopasswd_tags(rule).is_empty()).map(|rule| rule.span);
    let options = policy.defaults.iter().filter(|entry| waives_password(entry)).map(|entry| entry.span);
    rules.chain(options).map(|span| (policy.place(span), policy.excerpt(span))).collect()
}

fn nopasswd_tags(rule: &Rule) -> Vec<Span> {
    let grants = rule.privileges.iter().flat_map(|privilege| &privilege.grants);
    grants.flat_map(|grant| &grant.tags).filter(|(tag, _)| *tag == Tag::NoPasswd).map(|(_, span)| *span).collect()
}

fn waives_password(entry: &DefaultsEntry) -> bool {
    matches!(
        (entry.name.as_slice(), &entry.value),
        (b"authenticate", DefaultsValue::Off) | (b"exempt_group", DefaultsValue::Set(_))
    )
}

/// Whether the rule is for this user and nobody else, by name.
fn is_only_for(rule: &Rule, name: &str) -> bool {
    rule.users.iter().all(|member| match &member.name {
        Name::Word(word) => !member.negated && word == name.as_bytes(),
        Name::Group(group) => !member.negated && group.strip_prefix(b"%") == Some(name.as_bytes()),
        _ => false,
    })
}

impl<'p> TextEdits<'p> {
    pub(super) fn new(policy: &'p Policy) -> TextEdits<'p> {
        TextEdits { policy, files: BTreeMap::new() }
    }

    fn replace(&mut self, span: Span, with: &[u8]) -> Option<&mut Changes> {
        let file = self.policy.file(span.file)?;
        let changes = self.files.entry(file.settled.clone()).or_default();
        let fresh = changes.replacements.insert((span.start, span.end), with.to_vec()).is_none();
        fresh.then_some(changes)
    }

    /// `NOPASSWD:` becomes `PASSWD:`, `!authenticate` `authenticate`, `exempt_group=…` `!exempt_group`. With
    /// `keep_ssm_user`, rules for the agent's user alone stay as they are.
    pub(super) fn ask_for_passwords(&mut self, keep_ssm_user: bool) {
        let policy = self.policy;
        for rule in &policy.rules {
            if keep_ssm_user && is_only_for(rule, super::ssm_user::NAME) {
                continue;
            }
            for tag in nopasswd_tags(rule) {
                // Only the two letters go: blanks before the colon stay where they are.
                if let Some(changes) = self.replace(Span { end: tag.start + 2, ..tag }, b"") {
                    changes.passwords += 1;
                }
            }
        }
        for entry in policy.defaults.iter().filter(|entry| waives_password(entry)) {
            let with: &[u8] = if entry.name == b"authenticate" { b"authenticate" } else { b"!exempt_group" };
            if let Some(changes) = self.replace(entry.span, with) {
                changes.passwords += 1;
            }
        }
    }

    /// Nothing is granted to `who`: rules for it alone become comments, others get `, !name` at the end of their users,
    /// for the last member that matches decides.
    pub(super) fn exclude(&mut self, who: &Account, name: &str) {
        let policy = self.policy;
        for rule in policy.rules_naming(who) {
            let said = format!(
                "{}: \"{}\" no longer grants {name} anything",
                policy.place(rule.span),
                policy.excerpt(rule.span)
            );
            let done = match rule.users.last() {
                _ if is_only_for(rule, name) && self.ends_its_line(rule.span) => self.comment_out(rule.span),
                Some(last) => {
                    let after = Span { start: last.span.end, ..last.span };
                    self.replace(after, format!(", !{name}").as_bytes())
                }
                None => None,
            };
            if let Some(changes) = done {
                changes.excluded += 1;
                changes.said.push(said);
            }
        }
    }

    /// Lines that sudo skips anyway become comments in files that change, so that `visudo -c` accepts the result, and
    /// wherever they talk of passwords, so that no other version of sudo makes something of them.
    pub(super) fn comment_out_bad_lines(&mut self) {
        let policy = self.policy;
        for problem in policy.problems.iter().filter(|problem| problem.kind == ProblemKind::Syntax) {
            let Some(span) = problem.span else { continue };
            let Some(file) = policy.file(span.file) else { continue };
            let text = file.content.get(span.start..span.end).unwrap_or_default();
            let risky = text.windows(8).any(|window| window == b"NOPASSWD");
            if (risky || self.files.contains_key(&file.settled))
                && let Some(changes) = self.comment_out(span)
            {
                changes.bad += 1;
                changes.said.push(format!("{}: the line that sudo skips is a comment now", policy.place(span)));
            }
        }
    }

    /// Whether nothing but blanks and a comment follows on the span's last line.
    fn ends_its_line(&self, span: Span) -> bool {
        let content = self.policy.file(span.file).map(|file| file.content.as_slice()).unwrap_or_default();
        let rest = content.get(span.end..).unwrap_or_default();
        let line = rest.split(|&c| c == b'\n').next().unwrap_or_default().trim_ascii();
        line.is_empty() || line.starts_with(b"#")
    }

    fn comment_out(&mut self, span: Span) -> Option<&mut Changes> {
        let content = self.policy.file(span.file)?.content.get(span.start..span.end)?;
        // A sign right behind a word would be part of it.
        let glued = span.start > 0 && !self.policy.file(span.file)?.content.get(span.start - 1)?.is_ascii_whitespace();
        let mut commented = if glued { b" # ".to_vec() } else { b"# ".to_vec() };
        for &byte in content {
            commented.push(byte);
            if byte == b'\n' {
                commented.extend_from_slice(b"# ");
            }
        }
        let settled = self.policy.file(span.file)?.settled.clone();
        // Whatever else was to change inside it no longer matters.
        let changes = self.files.entry(settled).or_default();
        changes.replacements.retain(|(start, end), _| *end <= span.start || *start >= span.end);
        self.replace(span, &commented)
    }

    /// The files as they will be.
    pub(super) fn finish(self) -> Vec<ChangedFile> {
        let policy = self.policy;
        let changed = self.files.into_iter().filter(|(_, changes)| !changes.replacements.is_empty());
        changed
            .filter_map(|(settled, changes)| {
                let old = &policy.files.iter().find(|file| file.settled == settled)?.content;
                let (mut content, mut at) = (Vec::with_capacity(old.len() + 64), 0);
                for ((start, end), with) in &changes.replacements {
                    content.extend_from_slice(old.get(at..*start)?);
                    content.extend_from_slice(with);
                    at = *end;
                }
                content.extend_from_slice(old.get(at..)?);
                let path = ImagePath::new(settled).ok()?;
                Some(ChangedFile { path, content, why: changes.why(), said: changes.said })
            })
            .collect()
    }
}

impl Changes {
    fn why(&self) -> String {
        let counted = [
            (self.passwords, "asks for a password where none was needed"),
            (self.excluded, "grants the agent's user nothing"),
            (self.bad, "loses lines that sudo skips"),
        ];
        let parts: Vec<&str> = counted.iter().filter(|(count, _)| *count > 0).map(|(_, what)| *what).collect();
        parts.join("; ")
    }
}
