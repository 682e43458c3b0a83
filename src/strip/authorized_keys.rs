//! Who may log in without a password: kept unless the recipe says otherwise, because a fleet is often meant to have them in common.

use super::choices::{Choice, Strip};
use super::proposal;
use super::rule::Severity::{Note, Warning};
use super::rule::{Rule, rule};
use super::sshd::{SshdConfig, User, from_root, glob, users};
use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, StepError, View, Volume};

const SOURCE: &str = "sshd(8), AUTHORIZED_KEYS FILE FORMAT; sshd_config(5), AuthorizedKeysFile";

/// The rules.
pub const RULES: &[Rule] = &[
    rule("authorized-keys", "who may log in by key, in the files that AuthorizedKeysFile names, too", Class::Privilege)
        .at(&["~/.ssh/authorized_keys", "~/.ssh/authorized_keys2"])
        .stays(Note)
        .by_code()
        .audited_as("authorized-keys")
        .named(&["authorized-keys"])
        .back("[user] authorized-keys gives each card those that it shall have")
        .source(SOURCE)
        .example("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx7mQ2Vw9Zr4Tn6Ys8Lp1Bd3FhJkPq5uXc0eGiKoNaR pi@old\n"),
    rule(
        "ssh-trusted-ca",
        "certificate authorities whose users may log in, and under which names: whoever has such an authority's key \
            can",
        Class::Privilege,
    )
    .at(&[
        "/etc/ssh/*_ca.pub",
        "/etc/ssh/*-ca.pub",
        "/etc/ssh/ca.pub",
        "/etc/ssh/trusted-user-ca-keys*",
        "/etc/ssh/auth_principals/*",
    ])
    .stays(Note)
    .by_code()
    .named(&["ssh-trusted-ca", "logins"])
    .back("put the authority's public key there again")
    .source("sshd_config(5), TrustedUserCAKeys, AuthorizedPrincipalsFile; servconf.c, sTrustedUserCAKeys")
    .example("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHq7Zc0kV3xTn5mW2pQy8LrB4sJd6FgE1uXa9oNiKvRt user-ca@old\n"),
    rule(
        "dropbear-authorized-keys",
        "who may log in by key to Dropbear before the root file system is open",
        Class::Privilege,
    )
    .at(&["/etc/dropbear/initramfs/authorized_keys", "/etc/dropbear-initramfs/authorized_keys"])
    .stays(Note)
    .named(&["dropbear-authorized-keys", "authorized-keys"])
    .back("write the keys again and run `update-initramfs -u`")
    .source("Debian dropbear-initramfs, README.initramfs")
    .example("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPz5Tq8nXw2Kd7Rm4Vb9Ls6Yc1Hf3Jg0Ue8Oa5Ni2QtWxS unlock@old\n"),
    rule("ssh-login-environment", "variables that sshd sets at login, which may hold tokens", Class::Secret)
        .at(&["~/.ssh/environment"])
        .stays(Warning)
        .named(&["ssh-login-environment", "logins"])
        .back("write it again on the card that needs it")
        .source("sshd(8), FILES; sshd_config(5), PermitUserEnvironment")
        .example("API_TOKEN=q7Zr2Xk9Vw4Tn6Ys8Lp1Bd3F\n"),
    rule("ssh-host-trust", "hosts whose users may log in without a key or password", Class::Privilege)
        .at(&["~/.shosts", "~/.rhosts", "/etc/ssh/shosts.equiv", "/etc/hosts.equiv"])
        .stays(Note)
        .named(&["ssh-host-trust", "logins"])
        .back("write it again")
        .source("sshd(8), FILES; pathnames.h, _PATH_SSH_HOSTS_EQUIV")
        .example("build-7f3k2m9x4q8w1z.example.net root\n"),
];

/// Proposes to remove them where the recipe says so, and says which stay otherwise.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>, strip: &Strip) -> Result<(), StepError> {
    let config = SshdConfig::read(&view.root())?;
    for rule in RULES.iter().filter(|rule| rule.by_code) {
        let there = files(view, rule, &config)?;
        match strip.choice(rule) {
            Some(Choice::Keep) => {}
            None => proposal::name(rule, view, &there)?,
            Some(Choice::Strip) => {
                for (volume, path) in there {
                    view.remove(volume, &path, rule.class.because(rule.what, "the recipe, [strip] also"))?;
                }
            }
        }
    }
    Ok(())
}

/// The files of a rule: at its places, and where sshd_config says, for every user.
fn files(view: &View<'_>, rule: &Rule, config: &SshdConfig) -> Result<Vec<(Volume, ImagePath)>, FsError> {
    let mut found: Vec<(Volume, ImagePath)> = Vec::new();
    let mut names: Vec<Vec<u8>> = Vec::new();
    if rule.id == "authorized-keys" {
        names.extend(config.authorized_keys.iter().cloned());
        // The default, also where another name is set: files that nobody reads today are read when the line goes.
        names.extend([b".ssh/authorized_keys".to_vec(), b".ssh/authorized_keys2".to_vec()]);
    } else {
        found = proposal::found(rule, view)?;
        names.extend(config.principals.iter().cloned());
        // No tokens in these, and nobody's home: from sshd's working directory.
        for path in config.authorities.iter().filter_map(|name| from_root(name).ok()) {
            let path = view.root().resolve(&path)?;
            if view.root().stat(&path)?.is_some_and(|stat| stat.kind == FileKind::File && stat.size > 0) {
                found.push((Volume::Root, path));
            }
        }
    }
    for user in everybody(view)? {
        for pattern in &names {
            let Some(path) = expanded(pattern, &user) else { continue };
            // As it stands, and, since OpenSSH 10.0, as a pattern.
            let mut paths: Vec<ImagePath> = ImagePath::new(&path).into_iter().collect();
            paths.extend(glob(&view.root(), &path)?);
            for path in paths {
                let path = view.root().resolve(&path)?;
                if view.root().stat(&path)?.is_some_and(|stat| stat.kind == FileKind::File && stat.size > 0) {
                    found.push((Volume::Root, path));
                }
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Every user; homes that nobody in passwd has count, too.
fn everybody(view: &View<'_>) -> Result<Vec<User>, FsError> {
    let mut everybody = users(&view.root())?;
    for home in view.find("~/")? {
        let name = home.name().unwrap_or_default().to_vec();
        everybody.push(User { name, uid: Vec::new(), home: home.as_bytes().to_vec() });
    }
    Ok(everybody)
}

/// A name with its tokens put in, below the home where it is relative; `None` where sshd would not take it.
fn expanded(pattern: &[u8], user: &User) -> Option<Vec<u8>> {
    let mut path = Vec::new();
    let mut bytes = pattern.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'%' => match bytes.next()? {
                b'%' => path.push(b'%'),
                b'h' => path.extend_from_slice(&user.home),
                b'u' => path.extend_from_slice(&user.name),
                b'U' => path.extend_from_slice(&user.uid),
                _ => return None,
            },
            byte => path.push(byte),
        }
    }
    Some(if path.starts_with(b"/") { path } else { [user.home.as_slice(), b"/", &path].concat() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_put_in_as_sshd_does() {
        let pi = User { name: b"pi".to_vec(), uid: b"1000".to_vec(), home: b"/home/pi".to_vec() };
        let of = |pattern: &[u8]| expanded(pattern, &pi).map(|path| String::from_utf8(path).unwrap());
        assert_eq!(of(b".ssh/authorized_keys").unwrap(), "/home/pi/.ssh/authorized_keys");
        assert_eq!(of(b"/etc/ssh/keys/%u.%U").unwrap(), "/etc/ssh/keys/pi.1000");
        assert_eq!(of(b"%h/x%%").unwrap(), "/home/pi/x%");
        assert_eq!(of(b"/etc/%k"), None);
    }
}
