//! Who can become root without a password, now or after the first boot.

use ext4_view::FileType;

use crate::audit::error::AuditError;
use crate::audit::finding::Severity;
use crate::audit::options::AuditOptions;
use crate::audit::reader::AuditImage;
use crate::audit::rule::{Found, Look, Rule};
use crate::printable::Printable;
use crate::sudoers::{
    Accounts, Decision, DefaultsValue, Host, Policy, ProblemKind, SudoersDirectory, SudoersFile, SudoersFiles,
};

const AGENT_FILE: &str = "/etc/sudoers.d/ssm-agent-users";

/// `sudo-nopasswd`
pub const NOPASSWD: Rule = Rule {
    id: "sudo-nopasswd",
    severity: Severity::Error,
    title: "a sudo rule that asks for no password",
    deep: false,
    look: Look::Code(nopasswd),
    text: "\
Reads /etc/sudoers and what it includes the way sudo does, and reports every NOPASSWD grant whoever it names, and
Defaults that switch passwords off (!authenticate).

Pi OS shipped `pi ALL=(ALL) NOPASSWD: ALL` until 2026-04; first-boot tools rename the user inside the file, so looking
for the file's name or for `pi` is not enough.

Remedy: `cardsmith golden` with `[sudo] nopasswd = \"remove\"` (the default).",
};

/// `sudo-nopasswd-first-boot`
pub const NOPASSWD_FIRST_BOOT: Rule = Rule {
    id: "sudo-nopasswd-first-boot",
    severity: Severity::Error,
    title: "the first boot would make a sudo rule without password",
    deep: false,
    look: Look::Code(nopasswd_first_boot),
    text: "\
Reads cloud-init's configuration (/etc/cloud/cloud.cfg, cloud.cfg.d) and the boot partition's user-data, firstrun.sh
and custom.toml for sudo rules without password. cloud-init writes them to /etc/sudoers.d/90-cloud-init-users at first
boot, after whatever was hardened in the image.

Remedy: `cardsmith golden` neutralises them.",
};

/// `ssm-agent-users`
pub const AGENT_USERS: Rule = Rule {
    id: "ssm-agent-users",
    severity: Severity::Error,
    title: "the agent would make ssm-user a passwordless sudoer",
    deep: false,
    look: Look::Code(agent_users),
    text: "\
On the first session the agent creates ssm-user and, only if it does not exist, /etc/sudoers.d/ssm-agent-users with
`ssm-user ALL=(ALL) NOPASSWD:ALL`. A regular file of comments, mode 0440, owned by root, is left alone. A missing file
is made, and a dangling symlink is followed and written to (agent/session/utility/utility_unix.go).

Remedy: `cardsmith golden` with `[sudo] ssm-user = \"no-sudo\"` (the default).",
};

/// `ssm-user-in-sudo`
pub const SSM_USER_GROUP: Rule = Rule {
    id: "ssm-user-in-sudo",
    severity: Severity::Error,
    title: "ssm-user is allowed to use sudo",
    deep: false,
    look: Look::Code(ssm_user_group),
    text: "\
Reports where ssm-user may run commands as root through sudo, whether by a rule of its own or by a group.

Remedy: `cardsmith golden` removes ssm-user from those groups.",
};

fn policy(image: &AuditImage) -> Result<Policy, AuditError> {
    // `%h` in an include stands for it.
    let host = image.bytes("/etc/hostname")?.unwrap_or_default();
    let policy = Policy::read(image, "/etc/sudoers", host.trim_ascii())?;
    for problem in policy.problems.iter().filter(|problem| problem.kind == ProblemKind::NotFollowed) {
        image.unread().note("/etc/sudoers", problem.text.clone());
    }
    Ok(policy)
}

fn nopasswd(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let policy = policy(image)?;
    // Whoever it names: a user who is not there may come with the first boot.
    for grant in policy.rules.iter().flat_map(|rule| &rule.privileges).flat_map(|privilege| &privilege.grants) {
        if grant.nopasswd == Some(true) {
            let text = format!("grants without password: {}", policy.excerpt(grant.command.span));
            found(policy.place(grant.command.span).into(), text);
        }
    }
    for entry in policy.defaults.iter().filter(|e| e.name == b"authenticate" && e.value == DefaultsValue::Off) {
        found(policy.place(entry.span).into(), "switches passwords off".to_owned());
    }
    Ok(())
}

fn nopasswd_first_boot(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let mut look = |place: Vec<u8>, text: Option<String>| {
        let text = text.unwrap_or_default();
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
        // By the word: YAML, TOML and shell carry the rule in different clothes.
        for (number, _) in lines.filter(|(_, line)| line.contains("NOPASSWD")) {
            let line = format!(":{}", number + 1);
            found(
                [place.as_slice(), line.as_bytes()].concat().into(),
                "would grant sudo without password at first boot".to_owned(),
            );
        }
    };
    let mut configuration = vec![b"/etc/cloud/cloud.cfg".to_vec()];
    let more = image.names("/etc/cloud/cloud.cfg.d")?.into_iter();
    configuration.extend(more.map(|name| [b"/etc/cloud/cloud.cfg.d/", name.as_slice()].concat()));
    if overridden(image)? {
        configuration.clear();
    }
    for path in configuration {
        look(path.clone(), image.text(&path)?);
    }
    // Even where the configuration is overridden: user-data has the last word at boot.
    for name in ["user-data", "firstrun.sh", "custom.toml", "rpi-preseed.toml"] {
        look(format!("boot:/{name}").into_bytes(), image.boot_text(name)?);
    }
    Ok(())
}

/// cloud-init merges cloud.cfg.d in the order of names, and the last word on `system_info` is cardsmith's own file
/// where the recipe made one; a rule in cloud.cfg itself has no effect then.
fn overridden(image: &AuditImage) -> Result<bool, AuditError> {
    let last = image.names("/etc/cloud/cloud.cfg.d")?.into_iter().rfind(|name| name.ends_with(b".cfg"));
    let Some(name) = last else { return Ok(false) };
    let text = image.text([b"/etc/cloud/cloud.cfg.d/", name.as_slice()].concat())?.unwrap_or_default();
    let has = |wanted: &str| text.lines().any(|line| line.trim() == wanted);
    Ok(has("system_info:")
        && has("default_user:")
        && (has("sudo: null") || has("sudo: false") || has("sudo: [\"ALL=(ALL) ALL\"]")))
}

fn agent_users(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    if !has_agent(image)? {
        return Ok(());
    }
    let mut say = |text: String| found(AGENT_FILE.into(), text);
    let Some(stat) = image.stat(AGENT_FILE)? else {
        say("is missing: the agent makes it on the first session, with NOPASSWD".to_owned());
        return Ok(());
    };
    match stat.kind {
        FileType::Regular if stat.mode & 0o222 != 0 || (stat.uid, stat.gid) != (0, 0) => {
            say(format!("has mode {:04o} and owner {}:{}; must be 0440 root:root", stat.mode, stat.uid, stat.gid));
        }
        FileType::Regular => {}
        FileType::Symlink => say("is a symlink: the agent follows it and writes its rule there".to_owned()),
        _ => say("is no regular file".to_owned()),
    }
    let text = image.text(AGENT_FILE)?.unwrap_or_default();
    if text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#')) {
        say("holds rules; it must hold comments only".to_owned());
    }
    Ok(())
}

fn has_agent(image: &AuditImage) -> Result<bool, AuditError> {
    for path in
        ["/usr/bin/amazon-ssm-agent", "/snap/amazon-ssm-agent", "/var/lib/snapd/seed/snaps", "/var/lib/cardsmith"]
    {
        // The agent may come with the first boot, as a snap's seed or as cardsmith's package.
        let is_seed = path.ends_with("snaps");
        let there = match is_seed {
            true => image.names(path)?.iter().any(|name| name.starts_with(b"amazon-ssm-agent")),
            false => image.stat(path)?.is_some(),
        };
        if there {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ssm_user_group(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let accounts = Accounts::read(image)?;
    // Where the agent has yet to make it, `ssm-agent-users` says what it will be allowed.
    let Some(user) = accounts.user(b"ssm-user") else { return Ok(()) };
    let policy = policy(image)?;
    let host = Host::new(image.text("/etc/hostname")?.unwrap_or_default().trim());
    let mut shells = Vec::new();
    // A rule may allow one of these paths alone, and any shell is root.
    for shell in ["/bin/sh", "/bin/bash", "/usr/bin/sh", "/usr/bin/bash"] {
        shells.push(crate::sudoers::Command::find(image, shell, None)?);
    }
    let how = match policy.can_become_root(user, &host, &shells) {
        Decision::No => return Ok(()),
        Decision::NoPassword => "without a password",
        Decision::Password(_) => "with a password",
    };
    let groups: Vec<_> = user.groups.iter().map(|(_, name)| Printable::of(name).to_string()).collect();
    found("ssm-user".into(), format!("may become root {how} (its groups: {})", groups.join(", ")));
    Ok(())
}

impl SudoersFiles for AuditImage {
    type Error = AuditError;

    fn file(&self, path: &[u8]) -> Result<Option<SudoersFile>, AuditError> {
        let Some(stat) = self.resolved(path)? else { return Ok(None) };
        let regular = stat.kind == FileType::Regular;
        let content = if regular { self.bytes(path)?.unwrap_or_default() } else { Vec::new() };
        let settled = self.settled(path)?;
        Ok(Some(SudoersFile { path: settled, regular, content, uid: stat.uid, gid: stat.gid, mode: stat.mode }))
    }

    fn directory(&self, path: &[u8]) -> Result<Option<SudoersDirectory>, AuditError> {
        let Some(stat) = self.resolved(path)?.filter(|stat| stat.kind == FileType::Directory) else { return Ok(None) };
        Ok(Some(SudoersDirectory { uid: stat.uid, gid: stat.gid, mode: stat.mode, names: self.names(path)? }))
    }
}
