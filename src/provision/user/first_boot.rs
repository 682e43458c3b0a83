//! Who else makes or asks for a user at the first boot: userconf-pi's questions, files on the boot partition, cloud-init.
//!
//! Facts: userconf-pi, `userconf-service`, `rename-user`, `cancel-rename`; cloud-init, `cc_users_groups` (it locks the
//! password of its default user also where that user is there already).

use super::databases::Databases;
use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, SETTINGS_LIMIT, StepError, View, Volume};
use crate::provision::cloud_config;
use crate::provision::units::{links, report_failure};

const SOURCE: &str = "userconf-pi, cancel-rename";
const QUESTIONS: &str = "userconfig.service";
const WIZARD: &str = "rpi-first-boot-wizard";

/// Whether the first boot would ask for a user.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn asks_for_a_user(view: &View<'_>) -> Result<bool, FsError> {
    links::is_enabled(view, QUESTIONS)
}

/// What makes another user at the first boot and cannot be taken out here.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn other_user(view: &View<'_>) -> Result<Option<String>, FsError> {
    let text = |path: &str| -> Result<String, FsError> {
        Ok(view.boot().text(&ImagePath::new(path)?, SETTINGS_LIMIT)?.unwrap_or_default())
    };
    if text("/firstrun.sh")?.lines().any(|line| line.contains("userconf") || line.contains("chpasswd")) {
        return Ok(Some(
            "firstrun.sh on the boot partition sets a user of its own at the first boot: take it out of the base image \
             (Imager: no customisation), or leave [user] out of the recipe"
                .to_owned(),
        ));
    }
    for path in ["/custom.toml", "/rpi-preseed.toml"] {
        if text(path)?.lines().any(|line| line.trim() == "[user]") {
            return Ok(Some(format!(
                "{path} on the boot partition has a [user] of its own: take it out of the base image, or leave [user] out \
                 of the recipe"
            )));
        }
    }
    Ok(None)
}

/// Sees to it that the recipe's user is the only one that the first boot knows of.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn settle(view: &mut View<'_>, name: &str, databases: &mut Databases) -> Result<(), StepError> {
    if asks_for_a_user(view)? {
        let why = "userconf-pi: the recipe has answered its questions";
        let done = links::disable(view, QUESTIONS, why);
        report_failure(view, done)?;
        if links::is_there(view, "getty@.service")? {
            let done = links::enable(view, "getty@tty1.service", "userconf-pi: the screen has a login again");
            report_failure(view, done)?;
        }
    }
    for path in [
        "/etc/ssh/sshd_config.d/rename_user.conf",
        "/etc/xdg/autostart/piwiz.desktop",
        "/var/lib/userconf-pi/autologin",
        "/etc/sudoers.d/010_wiz-nopasswd",
    ] {
        let why = "it belongs to the questions of the first boot, which the recipe has answered";
        view.remove(Volume::Root, path, Class::Configuration.because(why, SOURCE))?;
    }
    for path in ["/userconf.txt", "/userconf"] {
        let why = "it would set another user at the first boot; the recipe has one";
        view.remove(Volume::Boot, path, Class::Secret.because(why, SOURCE))?;
    }
    if let Some((_, _, home)) = databases.user(WIZARD) {
        databases.remove(WIZARD);
        if home.as_bytes().starts_with(b"/home/") {
            view.remove(
                Volume::Root,
                &home,
                Class::Configuration.because("the home of the first boot's wizard", SOURCE),
            )?;
        }
    }
    set_desktop_login(view, name)?;
    cloud_init(view, name)?;
    Ok(())
}

/// The desktop's own login: the wizard's user logged in by itself; now a person does (cancel-rename, boot behaviour B3).
fn set_desktop_login(view: &mut View<'_>, name: &str) -> Result<(), FsError> {
    let path = view.root().resolve(&ImagePath::new("/etc/lightdm/lightdm.conf")?)?;
    let Some(stat) = view.root().stat(&path)?.filter(|stat| stat.kind == FileKind::File) else { return Ok(()) };
    let text = view.root().text(&path, SETTINGS_LIMIT)?.unwrap_or_default();
    let wizard = format!("autologin-user={WIZARD}");
    let new: String = text
        .split_inclusive('\n')
        .map(|line| if line.trim() == wizard { "#autologin-user=\n".to_owned() } else { line.to_owned() })
        .collect();
    if new != text {
        let why = format!("the wizard's user is gone; {name} logs in on the desktop");
        let content = Content::Bytes(new.into_bytes());
        view.write(Volume::Root, &path, content, stat.attributes, Class::Configuration.because(why, SOURCE))?;
    }
    Ok(())
}

fn cloud_init(view: &mut View<'_>, name: &str) -> Result<(), FsError> {
    if !cloud_config::is_active(view)? {
        return Ok(());
    }
    let text = "# Put here by cardsmith: the recipe has the user; cloud-init would lock its password, or make another.\nusers: []\n";
    let path = ImagePath::new("/etc/cloud/cloud.cfg.d/zz-cardsmith-user.cfg")?;
    let content = Content::Bytes(text.into());
    let why = format!("cloud-init leaves {name} alone and makes no user of its own");
    let source = "cloud-init, cc_users_groups";
    view.write(Volume::Root, &path, content, Attributes::root(0o644), Class::Configuration.because(why, source))?;
    let keys = ["users", "user", "password", "chpasswd", "ssh_authorized_keys"];
    cloud_config::remove_from_user_data(view, &keys, "[user]")
}

/// The first user's rules go with its new name, as userconf's `rename_user` does it, in every file that sudo reads.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn rename_in_sudoers(view: &mut View<'_>, old: &str, new: &str) -> Result<(), FsError> {
    let mut files = vec![ImagePath::new("/etc/sudoers")?];
    files.extend(view.find("/etc/sudoers.d/*")?);
    for path in files {
        let path = view.root().resolve(&path)?;
        let Some(stat) = view.root().stat(&path)?.filter(|stat| stat.kind == FileKind::File) else { continue };
        let text = view.root().text(&path, SETTINGS_LIMIT)?.unwrap_or_default();
        let renamed: String = text
            .split_inclusive('\n')
            .map(|line| match line.strip_prefix(old) {
                Some(rest) if rest.starts_with([' ', '\t']) => format!("{new}{rest}"),
                _ => line.to_owned(),
            })
            .collect();
        if renamed != text {
            let why = format!("{old} is called {new} now");
            let content = Content::Bytes(renamed.into_bytes());
            view.write(Volume::Root, &path, content, stat.attributes, Class::Privilege.because(why, SOURCE))?;
        }
    }
    Ok(())
}
