//! The step that carries out `[user]`: the person's account, written into the image's own databases.
//!
//! Where the first boot would ask for a user (userconf-pi's `userconfig.service` is enabled, as on every fresh image),
//! the first user (uid 1000) gets the name, as userconf itself does it, and the questions are not asked any more. On an
//! image that has been set up, the user of that name is changed, or one is added. cloud-init's own users are taken out:
//! it would lock the password again, or make another user, at the first boot.

mod databases;
mod first_boot;
mod home;

use crate::fs::{Attributes, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, SETTINGS_LIMIT, Step, StepError, View, Volume};
use crate::recipe::LoadedRecipe;
use crate::recipe::schema::User;
use databases::{Databases, NewUser};

const SOURCE: &str = "the recipe, [user]";

/// The groups of Raspberry Pi OS's first user (pi-gen, stage2/01-sys-tweaks), in its order.
const FIRST_USERS_GROUPS: [&str; 15] = [
    "adm", "dialout", "cdrom", "audio", "users", "sudo", "video", "games", "plugdev", "input", "gpio", "spi", "i2c",
    "netdev", "render",
];

/// Makes, renames or changes the recipe's user.
pub struct SetUser<'r> {
    user: &'r User,
    loaded: &'r LoadedRecipe,
}

/// Who the user has become.
struct Person {
    uid: u32,
    gid: u32,
    home: ImagePath,
}

impl<'r> SetUser<'r> {
    /// The user of `[user]`.
    pub fn new(loaded: &'r LoadedRecipe, user: &'r User) -> SetUser<'r> {
        SetUser { user, loaded }
    }
}

impl Step for SetUser<'_> {
    fn name(&self) -> &'static str {
        "user"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        let Some(mut databases) = Databases::read(view)? else { return Ok(()) };
        let asks = first_boot::asks_for_a_user(view)?;
        if let Some(what) = self.find_conflict(view, &databases)? {
            view.block(what);
            return Ok(());
        }
        first_boot::settle(view, &self.user.name, &mut databases)?;
        let Some(person) = self.account(view, &mut databases, asks)? else { return Ok(()) };
        for group in self.user.groups.iter().flatten() {
            databases.join(&self.user.name, group);
        }
        if let Some(hash) = &self.user.password_hash {
            databases.set_password(&self.user.name, hash, day(view));
        }
        databases.write(view)?;
        self.authorized_keys(view, &person)
    }
}

/// Days since 1970, as /etc/shadow counts them.
fn day(view: &View<'_>) -> i64 {
    view.clock().seconds.div_euclid(86_400)
}

impl SetUser<'_> {
    fn find_conflict(&self, view: &View<'_>, databases: &Databases) -> Result<Option<String>, FsError> {
        let name = &self.user.name;
        if let Some(uid) = databases.uid_of(name)
            && !(1000..60_000).contains(&uid)
        {
            return Ok(Some(format!(
                "{name} is a system account of this image (uid {uid}): take another name in [user]"
            )));
        }
        for group in self.user.groups.iter().flatten() {
            if !databases.has_group(group) && group != name {
                return Ok(Some(format!("{name} is to be in the group {group}, which this image does not have")));
            }
        }
        first_boot::other_user(view)
    }

    /// The account itself: there already, renamed, or new.
    fn account(&self, view: &mut View<'_>, databases: &mut Databases, asks: bool) -> Result<Option<Person>, StepError> {
        let name = &self.user.name;
        let home_of = |name: &str| ImagePath::new("/home").and_then(|home| home.join(name)).map_err(FsError::from);
        if let Some((uid, gid, home)) = databases.user(name) {
            view.note(format!("{name} (uid {uid}) is in the image and is changed as the recipe says"));
            let home = if home == ImagePath::root() { home_of(name)? } else { home };
            return Ok(Some(Person { uid, gid, home }));
        }
        if let Some(first) = databases.name_of(1000).filter(|_| asks) {
            let Some((uid, gid, old_home)) = databases.user(&first) else { return Ok(None) };
            let new_home = home_of(name)?;
            let home = home::moved(view, &old_home, &new_home)?;
            databases.rename(&first, name, &home);
            first_boot::rename_in_sudoers(view, &first, name)?;
            view.note(format!(
                "the image's first user, {first} (uid 1000), becomes {name}, as the first boot would do it"
            ));
            return Ok(Some(Person { uid, gid, home }));
        }
        let home = home_of(name)?;
        let shell =
            match view.root().stat(&view.root().resolve(&ImagePath::new("/bin/bash").map_err(FsError::from)?)?)? {
                Some(_) => "/bin/bash",
                None => "/bin/sh",
            };
        let Some((uid, gid)) = databases.add(&NewUser { name, home: &home, shell, day: day(view) }) else {
            view.block(format!("{name} cannot be added: the image has no free user number between 1000 and 59999"));
            return Ok(None);
        };
        home::made(view, &home, Attributes { mode: home::mode(view)?, uid, gid })?;
        for group in FIRST_USERS_GROUPS.iter().filter(|_| self.user.groups.is_none()) {
            databases.join(name, group);
        }
        if self.user.password_hash.is_none() {
            view.note(format!("{name} has no password: only keys and other users let anybody in as {name}"));
        }
        view.note(format!("{name} (uid {uid}) is added"));
        Ok(Some(Person { uid, gid, home }))
    }

    fn authorized_keys(&self, view: &mut View<'_>, person: &Person) -> Result<(), StepError> {
        let Some(source) = &self.user.authorized_keys else { return Ok(()) };
        let path = self.loaded.beside(source);
        let keys = public_keys(&path)?;
        let owned = |mode| Attributes { mode, uid: person.uid, gid: person.gid };
        let directory = person.home.join(".ssh").map_err(FsError::from)?;
        let why = "SSH wants it to be the user's own";
        view.directory(Volume::Root, &directory, owned(0o700), Class::Privilege.because(why, SOURCE))?;
        let file = directory.join("authorized_keys").map_err(FsError::from)?;
        let old = view.root().text(&file, SETTINGS_LIMIT)?.unwrap_or_default();
        if !old.is_empty() && old != keys {
            view.note(format!("{file} of the image is replaced by {}", source.display()));
        }
        let why = format!("who may log in as {} by key, from {} beside the recipe", self.user.name, source.display());
        let content = Content::Bytes(keys.into_bytes());
        view.write(Volume::Root, &file, content, owned(0o600), Class::Privilege.because(why, SOURCE))?;
        Ok(())
    }
}

/// sshd skips lines that it does not understand, without a word: better to stop here.
fn public_keys(path: &std::path::Path) -> Result<String, StepError> {
    let failed = |what: String, next: &str| StepError::HostFile { path: path.to_owned(), what, next: next.to_owned() };
    let next = "name a file with public keys in [user] authorized-keys, such as ~/.ssh/id_ed25519.pub";
    let size = std::fs::metadata(path).map_err(|error| failed(format!("cannot be read ({error})"), next))?.len();
    if size > SETTINGS_LIMIT {
        return Err(failed("is too large for a file of public keys".to_owned(), next));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(format!("cannot be read ({error})"), next))?;
    if text.contains("PRIVATE KEY-----") {
        return Err(failed("holds a private key, which no card may have".to_owned(), next));
    }
    let mut keys = 0;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !is_key_line(line) {
            return Err(failed(format!("has no public key in line {}", at + 1), next));
        }
        keys += 1;
    }
    if keys == 0 { Err(failed("holds no public key".to_owned(), next)) } else { Ok(text) }
}

/// sshd(8), "AUTHORIZED_KEYS FILE FORMAT": options, type, base64, comment.
fn is_key_line(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.windows(2).any(|pair| {
        let [kind, key] = pair else { return false };
        let known = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| kind.starts_with(start));
        // Every public key begins with the length of its type's name, which is "AAAA" in base64.
        known && key.starts_with("AAAA") && key.len() >= 64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_are_told_from_other_lines() {
        let key = format!("AAAAC3NzaC1lZDI1NTE5AAAAI{}", "A".repeat(43));
        assert!(is_key_line(&format!("ssh-ed25519 {key} me@desk")));
        assert!(is_key_line(&format!("from=\"10.0.0.0/8\",no-pty ssh-ed25519 {key}")));
        for bad in ["ssh-ed25519", "hello world", "ssh-ed25519 AAAA", &format!("rsa {key}")] {
            assert!(!is_key_line(bad), "{bad}");
        }
    }
}
