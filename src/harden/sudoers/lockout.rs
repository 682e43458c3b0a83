//! Whether anybody can still become root on a card: with a password and a rule, as root, or as the user that the first
//! boot makes. Run Command (as root, by IAM) is not counted: it needs a card that has registered.

use super::root_shells::root_shells;
use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{StepError, View, pattern};
use crate::printable::Printable;
use crate::recipe::schema::Lockout;
use crate::sudoers::{Account, Accounts, Decision, Host, Password, Policy, TreeFiles, Whose};

const LIMIT: u64 = 16 << 20;

/// Refuses an image that nobody could administer, unless the recipe accepts it.
pub(super) fn check(view: &mut View<'_>, policy: &Policy, host: &Host, wanted: Lockout) -> Result<(), StepError> {
    let ways = ways_to_root(view, policy, host)?;
    if !ways.is_empty() {
        view.note(format!("becoming root stays possible: {}", ways.join("; ")));
        return Ok(());
    }
    let what = "nobody could become root on these cards: no user who may use sudo has a password, root has none, and \
                nothing at the first boot makes such a user";
    if wanted == Lockout::Accept {
        view.warn(format!("{what}; the recipe accepts it, SSM's Run Command is the only way in"));
        return Ok(());
    }
    Err(StepError::Refused {
        what: what.to_owned(),
        next: "give the image's user a password (userconf.txt with \"name:hash\" on the boot partition, or user-data with \
               passwd for cloud-init), keep the rules with [sudo] nopasswd = \"keep\", or say [sudo] lockout = \"accept\" \
               where SSM's Run Command is the way in"
            .to_owned(),
    })
}

/// Every way to become root, in words.
fn ways_to_root(view: &View<'_>, policy: &Policy, host: &Host) -> Result<Vec<String>, FsError> {
    let root = view.root();
    let accounts = Accounts::read(&TreeFiles(&root))?;
    let shells = root_shells(view)?;
    let has_password = |name: &[u8]| accounts.user(name).is_some_and(|user| user.password != Password::Locked);
    let mut ways = Vec::new();
    if has_password(b"root") {
        ways.push("root has a password".to_owned());
    }
    if is_there(view, "/root/.ssh/authorized_keys", true)? {
        ways.push("root has SSH keys".to_owned());
    }
    let has_sudo = is_there(view, "/usr/bin/sudo", false)?;
    let by_sudo = |user: &Account, knows_own: bool| match policy.can_become_root(user, host, &shells) {
        _ if !has_sudo => false,
        Decision::No => false,
        Decision::NoPassword => true,
        Decision::Password(Whose::Invoker) => knows_own,
        Decision::Password(Whose::Root) => has_password(b"root"),
        Decision::Password(Whose::Named(name)) => has_password(&name),
    };
    for user in accounts.users.iter().filter(|user| user.uid != 0 && may_log_in(user)) {
        if by_sudo(user, user.password != Password::Locked) {
            ways.push(format!("{} by sudo", Printable::of(&user.name)));
        }
    }
    // userconf renames the first user and gives it a password; its groups and rules stay.
    let first = accounts.users.iter().find(|user| user.uid == 1000);
    if let Some(first) = first.filter(|user| user.password == Password::Locked && by_sudo(user, true))
        && let Some(how) = first_user_password_source(view)?
    {
        let name = Printable::of(&first.name);
        ways.push(format!("{name} (or as it is renamed) by sudo, once {how}"));
    }
    if has_sudo && cloud_init_makes_administrator(view)? {
        ways.push("the user that cloud-init makes at the first boot, by sudo".to_owned());
    }
    Ok(ways)
}

fn may_log_in(user: &Account) -> bool {
    ![&b"/usr/sbin/nologin"[..], b"/sbin/nologin", b"/bin/false", b"/usr/bin/false"].contains(&user.shell.as_slice())
}

fn is_there(view: &View<'_>, path: &str, with_content: bool) -> Result<bool, FsError> {
    let path = view.root().resolve(&ImagePath::new(path)?)?;
    Ok(view.root().stat(&path)?.is_some_and(|stat| stat.kind == FileKind::File && (!with_content || stat.size > 0)))
}

/// How the first user comes to a password at the first boot, if it does.
fn first_user_password_source(view: &View<'_>) -> Result<Option<&'static str>, FsError> {
    let boot = |path: &str| -> Result<String, FsError> {
        Ok(view.boot().text(&ImagePath::new(path)?, LIMIT)?.unwrap_or_default())
    };
    for path in ["/userconf.txt", "/userconf"] {
        let text = boot(path)?;
        if text.trim().split_once(':').is_some_and(|(name, hash)| !name.is_empty() && !hash.is_empty()) {
            return Ok(Some("userconf.txt on the boot partition has set its password"));
        }
    }
    if boot("/firstrun.sh")?.lines().any(|line| line.contains("userconf") && line.contains('$')) {
        return Ok(Some("firstrun.sh on the boot partition has set its password"));
    }
    let mut section = String::new();
    for line in boot("/custom.toml")?.lines().map(str::trim) {
        if line.starts_with('[') {
            line.clone_into(&mut section);
        } else if section == "[user]" && line.split('=').next().is_some_and(|key| key.trim() == "password") {
            return Ok(Some("custom.toml on the boot partition has set its password"));
        }
    }
    if !view.find("/etc/systemd/system/*.wants/userconfig.service")?.is_empty() {
        return Ok(Some("somebody has answered the questions of the first boot on the screen"));
    }
    Ok(None)
}

/// Whether cloud-init makes a user who has a password and may use sudo. Looked at line by line, without taking the YAML
/// apart: it only decides about a warning, and user-data comes in many forms.
fn cloud_init_makes_administrator(view: &View<'_>) -> Result<bool, FsError> {
    if !is_there(view, "/etc/cloud/cloud.cfg", false)? || is_there(view, "/etc/cloud/cloud-init.disabled", false)? {
        return Ok(false);
    }
    let text = |pattern: &str| -> Result<String, FsError> {
        let mut all = String::new();
        for path in view.find(pattern)? {
            let side = view.tree(pattern::volume_of(pattern));
            all.push_str(&side.text(&side.resolve(&path)?, LIMIT)?.unwrap_or_default());
            all.push('\n');
        }
        Ok(all)
    };
    let given = text("boot:/user-data")? + &text("/var/lib/cloud/seed/*/user-data")?;
    let settings = text("/etc/cloud/cloud.cfg")? + &text("/etc/cloud/cloud.cfg.d/*.cfg")?;
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.starts_with('#')).collect()
    };
    let given = lines(&given);
    let value = |line: &str, key: &str| -> Option<String> {
        let line = line.trim_start_matches("- ").trim_start_matches(['"', '\'']);
        let rest = line.strip_prefix(key)?.trim_start_matches(['"', '\'']).trim_start();
        Some(rest.strip_prefix(':')?.trim().to_owned())
    };
    let set = |value: &str| !matches!(value.to_ascii_lowercase().as_str(), "" | "null" | "~" | "false" | "\"\"" | "''");
    let has_password = given.iter().any(|line| {
        let keys = ["passwd", "hashed_passwd", "plain_text_passwd", "password"];
        keys.iter().any(|key| value(line, key).is_some_and(|value| set(&value)))
    });
    let administers = |lines: &[String]| {
        lines.iter().enumerate().any(|(at, line)| {
            let rule = value(line, "sudo").is_some_and(|value| {
                set(&value) || value.is_empty() && lines.get(at + 1).is_some_and(|next| next.starts_with('-'))
            });
            let groups = value(line, "groups").is_some_and(|value| {
                value
                    .split(|c: char| !c.is_ascii_alphanumeric())
                    .any(|group| matches!(group, "sudo" | "admin" | "wheel"))
            });
            rule || groups || *line == "- sudo"
        })
    };
    Ok(has_password && (administers(&given) || administers(&lines(&settings))))
}
