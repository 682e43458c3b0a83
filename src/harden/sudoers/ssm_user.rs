//! The agent's own user: its sudoers file, its groups, and who it is. Rules for it in other files are `edits.rs`'s.
//!
//! The agent makes `ssm-user` when a session starts and it is not there, and with it the sudoers file, unless that file
//! exists (amazon-ssm-agent, agent/session/utility/utility_unix.go). So the file must exist, be regular (a dangling link
//! is followed and written), and say nothing; AWS documents it so.

use zeroize::Zeroizing;

use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, View, Volume};
use crate::printable::Printable;
use crate::sudoers::{Account, Accounts, Password, Policy, TreeFiles};

/// Its name; the agent knows no other.
pub(super) const NAME: &str = "ssm-user";
const FILE: &str = "/etc/sudoers.d/ssm-agent-users";
const TEXT: &str = "# User rules for ssm-user\n";
const SOURCE: &str = "amazon-ssm-agent, agent/session/utility/utility_unix.go";
const LIMIT: u64 = 4 << 20;
/// Groups that make administrators by tradition, also where no rule names them yet.
const ADMINISTRATORS: [&[u8]; 3] = [b"sudo", b"admin", b"wheel"];

/// Proposes the comment-only sudoers file. One that already says nothing keeps its text.
pub(super) fn sudoers_file(view: &mut View<'_>) -> Result<(), FsError> {
    let wanted = Attributes::root(0o440);
    let path = ImagePath::new(FILE)?;
    if let Some(directory) = path.parent() {
        let there = view.root().resolve(&directory)?;
        if view.root().stat(&there)?.is_none() {
            let why = "holds the agent's sudoers file";
            view.directory(Volume::Root, &there, Attributes::root(0o755), Class::Privilege.because(why, SOURCE))?;
        }
    }
    let found = view.root().stat(&path)?;
    match found {
        Some(stat) if stat.kind == FileKind::File && stat.size <= LIMIT => {
            let text = view.root().read(&path, LIMIT)?;
            if says_nothing(&text) {
                let why = "the agent must find it, and only root may change it";
                view.attributes(&path, wanted, Class::Privilege.because(why, SOURCE))?;
                return Ok(());
            }
        }
        Some(stat) if stat.kind == FileKind::Directory => {
            view.remove(Volume::Root, &path, Class::Privilege.because("a file must stand here", SOURCE))?;
        }
        _ => {}
    }
    let why = "a comment: the agent makes no file of its own that lets ssm-user become root";
    let content = Content::Bytes(TEXT.as_bytes().to_vec());
    view.write(Volume::Root, &path, content, wanted, Class::Privilege.because(why, SOURCE))?;
    Ok(())
}

fn says_nothing(text: &[u8]) -> bool {
    // Includes are no rules, but they bring some.
    let only_comments = text
        .split(|&c| c == b'\n')
        .map(<[u8]>::trim_ascii)
        .all(|line| line.is_empty() || line.starts_with(b"#") && !line.starts_with(b"#include"));
    let policy = Policy::of_text(FILE, text);
    only_comments && policy.rules.is_empty() && policy.defaults.is_empty() && policy.problems.is_empty()
}

/// The agent's user as it is in the image, or as the agent will make it.
pub(super) fn account(view: &View<'_>) -> Result<Account, FsError> {
    let accounts = Accounts::read(&TreeFiles(&view.root()))?;
    if let Some(account) = accounts.user(NAME.as_bytes()) {
        return Ok(account.clone());
    }
    // `useradd -m ssm-user`: a group of the same name, no password, and numbers that nobody has yet.
    let mut groups = vec![(u32::MAX, NAME.as_bytes().to_vec())];
    let listed = accounts.groups.iter().filter(|group| group.members.iter().any(|member| member == NAME.as_bytes()));
    groups.extend(listed.map(|group| (group.gid, group.name.clone())));
    Ok(Account {
        name: NAME.as_bytes().to_vec(),
        uid: u32::MAX,
        gid: u32::MAX,
        home: Vec::new(),
        shell: b"/bin/sh".to_vec(),
        password: Password::Locked,
        groups,
    })
}

/// Proposes that the user leaves every group that a sudo rule is for.
pub(super) fn leave_groups(view: &mut View<'_>, policy: &Policy) -> Result<(), FsError> {
    let accounts = Accounts::read(&TreeFiles(&view.root()))?;
    let mut leaves = Vec::new();
    for group in accounts.groups.iter().filter(|group| group.members.iter().any(|member| member == NAME.as_bytes())) {
        if ADMINISTRATORS.contains(&group.name.as_slice()) || grants(policy, group.gid, &group.name) {
            leaves.push(group.name.clone());
        }
    }
    if leaves.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = leaves.iter().map(|name| Printable::of(name).to_string()).collect();
    view.note(format!("{NAME} was in group {}, which may use sudo: it is no longer", shown.join(", ")));
    // gshadow holds hashes of group passwords.
    for (path, secret) in [("/etc/group", false), ("/etc/gshadow", true)] {
        let path = view.root().resolve(&ImagePath::new(path)?)?;
        let Some(stat) = view.root().stat(&path)?.filter(|stat| stat.kind == FileKind::File) else { continue };
        let text = Zeroizing::new(view.root().read(&path, LIMIT)?);
        let new = without_member(&text, &leaves);
        if new == *text {
            continue;
        }
        let content = if secret { Content::Secret(Zeroizing::new(new)) } else { Content::Bytes(new) };
        let why = "the agent's user leaves the groups that may use sudo";
        view.write(
            Volume::Root,
            &path,
            content,
            stat.attributes,
            Class::Privilege.because(why, "group(5), gshadow(5)"),
        )?;
    }
    Ok(())
}

/// Whether some rule names whoever is in this group.
fn grants(policy: &Policy, gid: u32, name: &[u8]) -> bool {
    let somebody = |groups: Vec<(u32, Vec<u8>)>| Account {
        name: b"somebody in this group".to_vec(),
        uid: u32::MAX,
        gid: u32::MAX,
        home: Vec::new(),
        shell: Vec::new(),
        password: Password::Locked,
        groups,
    };
    let (inside, outside) = (somebody(vec![(gid, name.to_vec())]), somebody(Vec::new()));
    let without: Vec<_> = policy.rules_naming(&outside).into_iter().map(|rule| rule.span).collect();
    policy.rules_naming(&inside).iter().any(|rule| !without.contains(&rule.span))
}

/// The text of group or gshadow in which these groups no longer list the user, as member or as administrator.
fn without_member(text: &[u8], groups: &[Vec<u8>]) -> Vec<u8> {
    let lines = text.split_inclusive(|&c| c == b'\n').map(|line| {
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        let mut fields: Vec<&[u8]> = bare.split(|&c| c == b':').collect();
        if !fields.first().is_some_and(|name| groups.iter().any(|group| group == name)) {
            return line.to_vec();
        }
        let is_user = |member: &&[u8]| *member == NAME.as_bytes();
        let lists: Vec<Vec<u8>> = fields
            .split_off(fields.len().min(2))
            .into_iter()
            .map(|list| {
                let members: Vec<&[u8]> = list.split(|&c| c == b',').filter(|member| !is_user(member)).collect();
                members.join(&b","[..])
            })
            .collect();
        let mut new = fields.join(&b":"[..]);
        for list in lists {
            new.push(b':');
            new.extend_from_slice(&list);
        }
        new.extend_from_slice(line.get(bare.len()..).unwrap_or_default());
        new
    });
    lines.collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_leaves_only_the_groups_that_are_named() {
        let sudo = [b"sudo".to_vec()];
        assert_eq!(
            without_member(b"sudo:x:27:pi,ssm-user,bob\nvideo:x:44:pi,ssm-user\nsudo2:x:1:ssm-user", &sudo),
            b"sudo:x:27:pi,bob\nvideo:x:44:pi,ssm-user\nsudo2:x:1:ssm-user"
        );
        assert_eq!(without_member(b"sudo:!:ssm-user:ssm-user\n", &sudo), b"sudo:!::\n");
        assert_eq!(without_member(b"sudo", &sudo), b"sudo");
    }

    #[test]
    fn a_file_says_nothing_only_if_sudo_gets_nothing_from_it() {
        assert!(says_nothing(b"# User rules for ssm-user\n\n"));
        assert!(says_nothing(b""));
        for text in [
            "ssm-user ALL=(ALL) ALL\n",
            "#include /etc/x\n",
            "@include x\n",
            "#1000 ALL=(ALL) ALL\n",
            "junk\n",
            "Defaults a\n",
        ] {
            assert!(!says_nothing(text.as_bytes()), "{text}");
        }
    }
}
