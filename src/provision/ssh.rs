//! The step that carries out `[ssh]`: whether the server starts, and whether it takes passwords.

use super::cloud_config;
use super::units::{links, report_failure};
use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, SETTINGS_LIMIT, Step, StepError, View, Volume};
use crate::recipe::schema::Ssh;

const SOURCE: &str = "the recipe, [ssh]";
const MAIN: &str = "/etc/ssh/sshd_config";
const FOLDER: &str = "/etc/ssh/sshd_config.d";
/// sshd takes the first value that it meets, and reads the folder in the order of the names.
const OWN: &str = "00-cardsmith.conf";

/// Sets up the SSH server.
pub struct SetSsh<'r> {
    ssh: &'r Ssh,
}

impl<'r> SetSsh<'r> {
    /// As `[ssh]` says.
    pub fn new(ssh: &'r Ssh) -> SetSsh<'r> {
        SetSsh { ssh }
    }
}

impl Step for SetSsh<'_> {
    fn name(&self) -> &'static str {
        "ssh"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        let unit = ["ssh.service", "sshd.service"].into_iter().find_map(|unit| match links::is_there(view, unit) {
            Ok(false) => None,
            found => Some(found.map(|_| unit)),
        });
        let unit = unit.transpose()?;
        match (self.ssh.enabled, unit) {
            (Some(true), Some(unit)) => start(view, unit)?,
            (Some(true), None) => {
                view.block("[ssh] enabled = true, and the image has no SSH server (no ssh.service)");
                return Ok(());
            }
            (Some(false), unit) => stop(view, unit)?,
            (None, _) => {}
        }
        if let Some(allowed) = self.ssh.password_login {
            if unit.is_none() && self.ssh.enabled != Some(false) {
                view.block("[ssh] password-login is set, and the image has no SSH server (no ssh.service)");
                return Ok(());
            }
            passwords(view, allowed)?;
            if !allowed && self.ssh.enabled != Some(false) {
                report_missing_keys(view)?;
            }
        }
        Ok(())
    }
}

fn start(view: &mut View<'_>, unit: &str) -> Result<(), StepError> {
    let never = ImagePath::new("/etc/ssh/sshd_not_to_be_run").map_err(FsError::from)?;
    view.remove(Volume::Root, &never, Class::Configuration.because("it keeps sshd from starting", SOURCE))?;
    let before = view.plan().edits.len();
    let done = links::enable(view, unit, SOURCE);
    report_failure(view, done)?;
    if view.plan().edits.len() == before {
        view.note("the SSH server starts already");
    }
    Ok(())
}

fn stop(view: &mut View<'_>, unit: Option<&str>) -> Result<(), StepError> {
    if let Some(unit) = unit {
        let done = links::disable(view, unit, SOURCE);
        report_failure(view, done)?;
        if links::is_there(view, "ssh.socket")? {
            let done = links::disable(view, "ssh.socket", SOURCE);
            report_failure(view, done)?;
        }
    } else {
        view.note("the image has no SSH server, so none starts");
    }
    for path in ["/ssh", "/ssh.txt"] {
        let why = "sshswitch would enable the SSH server at the first boot because of it";
        let path = ImagePath::new(path).map_err(FsError::from)?;
        view.remove(Volume::Boot, &path, Class::Configuration.because(why, "raspberrypi-sys-mods, sshswitch.service"))?;
    }
    for path in ["/firstrun.sh", "/custom.toml"] {
        let text = view.boot().text(&ImagePath::new(path).map_err(FsError::from)?, SETTINGS_LIMIT)?.unwrap_or_default();
        if text
            .lines()
            .any(|line| line.contains("enable_ssh") || line.contains("systemctl enable ssh") || line.trim() == "[ssh]")
        {
            view.block(format!(
                "{path} on the boot partition enables the SSH server at the first boot: take it out of the base image, or \
                 leave [ssh] enabled out of the recipe"
            ));
        }
    }
    cloud_config::remove_from_user_data(view, &["enable_ssh"], "[ssh]")?;
    Ok(())
}

fn passwords(view: &mut View<'_>, allowed: bool) -> Result<(), StepError> {
    let word = if allowed { "yes" } else { "no" };
    // The first two are one setting under its old and its new name (OpenSSH 8.7): the old one wins over it in bullseye.
    let settings = format!(
        "ChallengeResponseAuthentication {word}\nKbdInteractiveAuthentication {word}\nPasswordAuthentication {word}\n"
    );
    let why = if allowed { "passwords let people in" } else { "only keys let anybody in" };
    let main = view.root().resolve(&ImagePath::new(MAIN).map_err(FsError::from)?)?;
    let Some(stat) = view.root().stat(&main)?.filter(|stat| stat.kind == FileKind::File) else {
        view.block(format!("[ssh] password-login cannot be set: the image has no {MAIN}"));
        return Ok(());
    };
    let text = view.root().text(&main, SETTINGS_LIMIT)?.unwrap_or_default();
    if reads_folder_first(&text) {
        let content =
            Content::Bytes(format!("# Put here by cardsmith, because of [ssh] in the recipe.\n{settings}").into());
        let path = ImagePath::new(FOLDER).and_then(|folder| folder.join(OWN)).map_err(FsError::from)?;
        view.write(
            Volume::Root,
            &path,
            content,
            Attributes::root(0o644),
            Class::Privilege.because(why, "sshd_config(5)"),
        )?;
        earlier_files(view)?;
    } else if !text.starts_with(HEAD) || !text.contains(&settings) {
        let rest = text
            .strip_prefix(HEAD)
            .map_or(text.as_str(), |text| text.find(TAIL).and_then(|at| text.get(at + TAIL.len()..)).unwrap_or(text));
        let content = Content::Bytes(format!("{HEAD}{settings}{TAIL}{rest}").into());
        view.write(Volume::Root, &main, content, stat.attributes, Class::Privilege.because(why, "sshd_config(5)"))?;
    }
    if cloud_config::is_active(view)? {
        let text = format!("# Put here by cardsmith, because of [ssh] in the recipe.\nssh_pwauth: {allowed}\n");
        let path = ImagePath::new("/etc/cloud/cloud.cfg.d/zz-cardsmith-ssh.cfg").map_err(FsError::from)?;
        let content = Content::Bytes(text.into());
        let source = "cloud-init, cc_set_passwords";
        view.write(Volume::Root, &path, content, Attributes::root(0o644), Class::Privilege.because(why, source))?;
        cloud_config::remove_from_user_data(view, &["ssh_pwauth"], "[ssh]")?;
    }
    exceptions(view, allowed)?;
    Ok(())
}

const HEAD: &str = "# cardsmith: begin, because of [ssh] in the recipe. sshd takes the first value that it meets.\n";
const TAIL: &str = "# cardsmith: end\n";

fn keyword(line: &str) -> String {
    let line = line.trim();
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    line.get(..end).unwrap_or_default().to_ascii_lowercase()
}

/// Whether sshd_config includes the folder before it says anything about passwords itself.
fn reads_folder_first(text: &str) -> bool {
    for line in text.lines() {
        match keyword(line).as_str() {
            "include"
                if line
                    .split_whitespace()
                    .skip(1)
                    .any(|word| word.trim_matches('"') == "/etc/ssh/sshd_config.d/*.conf") =>
            {
                return true;
            }
            "match" | "passwordauthentication" | "kbdinteractiveauthentication" | "challengeresponseauthentication" => {
                return false;
            }
            _ => {}
        }
    }
    false
}

/// Files that sshd reads before ours.
fn earlier_files(view: &mut View<'_>) -> Result<(), FsError> {
    let files = view.find("/etc/ssh/sshd_config.d/*.conf")?;
    for path in files.iter().filter(|path| path.name().is_some_and(|name| name < OWN.as_bytes())) {
        let text = view.root().text(&view.root().resolve(path)?, SETTINGS_LIMIT)?.unwrap_or_default();
        if text.lines().any(|line| keyword(line) == "passwordauthentication") {
            view.block(format!(
                "{path} speaks of passwords before [ssh] of the recipe can: rename it in the base image"
            ));
        }
    }
    Ok(())
}

/// `Match` blocks say something else for some people.
fn exceptions(view: &mut View<'_>, allowed: bool) -> Result<(), FsError> {
    let mut files = vec![ImagePath::new(MAIN)?];
    files.extend(view.find("/etc/ssh/sshd_config.d/*.conf")?);
    for path in files {
        let text = view.root().text(&view.root().resolve(&path)?, SETTINGS_LIMIT)?.unwrap_or_default();
        let inside = text.lines().skip_while(|line| keyword(line) != "match");
        if !allowed && inside.into_iter().any(|line| keyword(line) == "passwordauthentication" && line.contains("yes"))
        {
            view.warn(format!("{path} still allows passwords in a Match block"));
        }
    }
    Ok(())
}

fn report_missing_keys(view: &mut View<'_>) -> Result<(), FsError> {
    let files = view.find("~/.ssh/authorized_keys")?;
    let mut any = false;
    for path in files {
        any |= view.root().stat(&path)?.is_some_and(|stat| stat.kind == FileKind::File && stat.size > 0);
    }
    if !any {
        view.warn(
            "nobody can log in over SSH: passwords are off and no user has authorized_keys. [user] authorized-keys gives \
             the recipe's user some",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_counts_where_it_is_read_first() {
        assert!(reads_folder_first(
            "# x\nPort 22\nInclude /etc/ssh/sshd_config.d/*.conf\nPasswordAuthentication yes\n"
        ));
        assert!(!reads_folder_first("PasswordAuthentication=yes\nInclude /etc/ssh/sshd_config.d/*.conf\n"));
        assert!(!reads_folder_first("#Include /etc/ssh/sshd_config.d/*.conf\n"));
        assert!(!reads_folder_first("Match User x\nInclude /etc/ssh/sshd_config.d/*.conf\n"));
    }
}
