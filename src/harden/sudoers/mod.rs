//! The step that decides who may become root on a card: no rule without a password, nothing for the agent's own user,
//! nothing that brings either back at the first boot, and never a card that nobody can administer.
//!
//! A rule never goes: `NOPASSWD:` becomes `PASSWD:`, so that whoever could do something still can, with a password. That
//! is right whatever stands around the rule (last match wins, tags hold for the rest of a list, `Defaults
//! !authenticate`), and the smallest change there is. Only rules for `ssm-user` alone become comments.

mod edits;
mod first_boot;
mod lockout;
mod root_shells;
mod ssm_user;

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, SETTINGS_LIMIT, Step, StepError, View, Volume};
use crate::printable::Printable;
use crate::recipe::schema::{Nopasswd, SsmUser, Sudo};
use crate::sudoers::{Accounts, Decision, DefaultsValue, Host, Policy, ProblemKind, TreeFiles};
use edits::TextEdits;
use root_shells::root_shells;

const SOURCE: &str = "sudoers(5)";

/// Decides who may become root on a card.
pub struct HardenSudo<'r> {
    sudo: &'r Sudo,
}

impl<'r> HardenSudo<'r> {
    /// As `[sudo]` of the recipe says.
    pub fn new(sudo: &'r Sudo) -> HardenSudo<'r> {
        HardenSudo { sudo }
    }

    fn removes_nopasswd(&self) -> bool {
        self.sudo.nopasswd == Nopasswd::Remove
    }
}

impl Step for HardenSudo<'_> {
    fn name(&self) -> &'static str {
        "sudoers"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        let before = view.plan().edits.len();
        let host = host(view)?;
        if self.sudo.ssm_user == SsmUser::NoSudo {
            ssm_user::sudoers_file(view)?;
            ssm_user::leave_groups(view, &policy(view, &host)?)?;
        }
        let found = policy(view, &host)?;
        report_problems(view, &found);
        self.edit(view, &found)?;
        unread_files(view, &found, self.removes_nopasswd())?;
        if self.removes_nopasswd() {
            first_boot::neutralise(view)?;
        }
        let after = policy(view, &host)?;
        self.prove(view, &after, &host)?;
        lockout::check(view, &after, &host, self.sudo.lockout)?;
        if view.plan().edits.len() == before {
            view.note("sudo was hardened already: nothing to change");
        }
        Ok(())
    }
}

/// The machine's name, as rules for hosts mean it. Cards get names of their own; a rule for a host name is rare enough.
fn host(view: &View<'_>) -> Result<Host, FsError> {
    let text =
        view.root().text(&view.root().resolve(&ImagePath::new("/etc/hostname")?)?, SETTINGS_LIMIT)?.unwrap_or_default();
    let name = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    Ok(Host::new(name))
}

/// sudo's policy as it is after the edits so far. `/etc/sudo.conf` may name another file than /etc/sudoers.
fn policy(view: &View<'_>, host: &Host) -> Result<Policy, FsError> {
    let root = view.root();
    let at = root.resolve(&ImagePath::new("/etc/sudo.conf")?)?;
    let is_file = root.stat(&at)?.is_some_and(|stat| stat.kind == FileKind::File);
    let conf = if is_file { root.read(&at, SETTINGS_LIMIT)? } else { Vec::new() };
    let plugins = conf.split(|&byte| byte == b'\n').filter(|line| line.trim_ascii_start().starts_with(b"Plugin"));
    let mut words = plugins.flat_map(|line| line.split(u8::is_ascii_whitespace));
    let named = words.find_map(|word| word.strip_prefix(b"sudoers_file="));
    Policy::read(&TreeFiles(&root), named.unwrap_or(b"/etc/sudoers"), host.name())
}

fn report_problems(view: &mut View<'_>, policy: &Policy) {
    for problem in &policy.problems {
        match problem.kind {
            ProblemKind::Syntax => {
                view.warn(format!("sudo skips a line that it does not understand: {}", problem.text))
            }
            ProblemKind::Unread => view.note(problem.text.clone()),
            ProblemKind::Fatal => view.warn(problem.text.clone()),
            ProblemKind::NotFollowed => view.block(format!(
                "{}: what sudo would allow is not known. Put the rules into fewer files, or name users and commands without \
                 so many aliases",
                problem.text
            )),
        }
    }
    for entry in &policy.defaults {
        let forever = matches!(&entry.value, DefaultsValue::Set(value) if value.starts_with(b"-"));
        if entry.name == b"timestamp_timeout" && forever {
            view.warn(format!(
                "{}: timestamp_timeout is negative, so one password lasts until the next boot",
                policy.place(entry.span)
            ));
        }
    }
}

impl HardenSudo<'_> {
    /// Everything that is changed in the files that sudo reads.
    fn edit(&self, view: &mut View<'_>, policy: &Policy) -> Result<(), StepError> {
        let mut edits = TextEdits::new(policy);
        if self.removes_nopasswd() {
            edits.ask_for_passwords(self.sudo.ssm_user == SsmUser::Keep);
        } else {
            let kept: Vec<String> =
                edits::passwordless(policy).into_iter().map(|(place, text)| format!("{place} ({text})")).collect();
            if !kept.is_empty() {
                view.note(format!("rules without a password stay, as the recipe says: {}", kept.join(", ")));
            }
        }
        if self.sudo.ssm_user == SsmUser::NoSudo {
            edits.exclude(&ssm_user::account(view)?, ssm_user::NAME);
        }
        edits.comment_out_bad_lines();
        for file in edits.finish() {
            for said in &file.said {
                view.note(said.clone());
            }
            if file.path.name() == Some(b"010_wiz-nopasswd") {
                view.warn(
                    "/etc/sudoers.d/010_wiz-nopasswd: the desktop's first-boot wizard needs sudo without a password until \
                     it is done, and will not work on these cards: give them a user with userconf.txt or cloud-init",
                );
            }
            write(view, file.path, file.content, file.why)?;
        }
        Ok(())
    }

    /// Whoever still gets a root shell without a password is a mistake of ours, and no card is made with it.
    fn prove(&self, view: &View<'_>, policy: &Policy, host: &Host) -> Result<(), StepError> {
        if !self.removes_nopasswd() {
            return Ok(());
        }
        let (accounts, shells) = (Accounts::read(&TreeFiles(&view.root()))?, root_shells(view)?);
        for who in accounts.users.iter().filter(|who| who.uid != 0) {
            let kept = self.sudo.ssm_user == SsmUser::Keep && who.name == ssm_user::NAME.as_bytes();
            if !kept && policy.can_become_root(who, host, &shells) == Decision::NoPassword {
                return Err(StepError::Refused {
                    what: format!(
                        "{} could still become root without a password after every rule was changed",
                        Printable::of(&who.name)
                    ),
                    next: "this is a mistake in cardsmith: please report it with the image's /etc/sudoers and \
                           /etc/sudoers.d; [sudo] nopasswd = \"keep\" goes on without hardening"
                        .to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// Files of /etc/sudoers.d that sudo does not read today. One that it refuses is changed like the others, for the next
/// `chmod` brings it to life; one whose name it passes over is only mentioned.
fn unread_files(view: &mut View<'_>, policy: &Policy, change: bool) -> Result<(), StepError> {
    let directory = view.root().resolve(&ImagePath::new("/etc/sudoers.d").map_err(FsError::from)?)?;
    if view.root().stat(&directory)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
        return Ok(());
    }
    for entry in view.root().list(&directory)? {
        let path = view.root().resolve(&directory.join(&entry.name).map_err(FsError::from)?)?;
        let stat = view.root().stat(&path)?.filter(|stat| stat.kind == FileKind::File);
        if stat.is_none() || policy.files.iter().any(|file| file.settled == path.as_bytes()) {
            continue;
        }
        if let Some(stat) = stat.filter(|stat| stat.size > SETTINGS_LIMIT) {
            view.warn(format!(
                "{path} was not read: it has {} bytes, more than a file of sudo rules should have. sudo does not read it now; \
                 what it would allow is not known",
                stat.size
            ));
            continue;
        }
        let content = view.root().read(&path, SETTINGS_LIMIT)?;
        let alone = Policy::of_text(path.as_bytes(), &content);
        if edits::passwordless(&alone).is_empty() {
            continue;
        }
        if entry.name.contains(&b'.') || entry.name.ends_with(b"~") {
            view.note(format!("{path} has rules without a password, but sudo does not read files of such a name"));
        } else if change {
            let mut edits = TextEdits::new(&alone);
            edits.ask_for_passwords(false);
            for file in edits.finish() {
                write(
                    view,
                    path.clone(),
                    file.content,
                    "sudo refuses this file for its owner or mode; should that be mended, its rules ask for a password",
                )?;
            }
        }
    }
    Ok(())
}

/// Proposes new content for a sudoers file; mode and owner stay.
fn write(
    view: &mut View<'_>,
    path: ImagePath,
    content: Vec<u8>,
    why: impl Into<std::borrow::Cow<'static, str>>,
) -> Result<(), FsError> {
    let Some(stat) = view.root().stat(&path)? else {
        return Err(FsError::NotFound { volume: "root", path });
    };
    view.write(Volume::Root, &path, Content::Bytes(content), stat.attributes, Class::Privilege.because(why, SOURCE))?;
    Ok(())
}
