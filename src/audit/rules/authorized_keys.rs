//! Who may log in by key.

use crate::audit::accounts::Account;
use crate::audit::error::AuditError;
use crate::audit::finding::Severity;
use crate::audit::options::AuditOptions;
use crate::audit::reader::AuditImage;
use crate::audit::rule::{Found, Look, Rule};

/// `authorized-keys`
pub const AUTHORIZED_KEYS: Rule = Rule {
    id: "authorized-keys",
    severity: Severity::Note,
    title: "people who can log in with their SSH key",
    deep: false,
    look: Look::Code(authorized_keys),
    text: "\
Lists the files of authorized keys, those that AuthorizedKeysFile lines name too, with their number of keys. A fleet may
want them, so this is a note.

Remedy: `[strip] also = [\"authorized-keys\"]` in the recipe.",
};

fn authorized_keys(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let mut names = super::sshd_config::arguments(image, &["authorizedkeysfile"])?;
    // The default: also where another name is set, for one line decides whether it counts.
    names.extend([b".ssh/authorized_keys".to_vec(), b".ssh/authorized_keys2".to_vec()]);
    let mut users = image.accounts()?;
    for home in image.homes()? {
        let name = home.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_vec();
        users.push(Account { name, uid: Vec::new(), home: home.clone() });
    }
    let mut paths = Vec::new();
    for user in &users {
        for name in &names {
            let path = expanded(name, user);
            // Since OpenSSH 10.0 it may be a pattern.
            for path in super::sshd_config::glob(image, &path)?.into_iter().chain([path]) {
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
    }
    for path in paths {
        let text = image.text(&path)?.unwrap_or_default();
        // Counted and not quoted: the comment of a key is mostly somebody's name.
        let keys = text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')).count();
        if keys > 0 {
            found(path.into(), format!("lets in the owners of {keys} keys"));
        }
    }
    Ok(())
}

/// A name with its tokens put in, below the home where it is relative.
fn expanded(name: &[u8], user: &Account) -> Vec<u8> {
    let (mut path, mut bytes) = (Vec::new(), name.iter());
    while let Some(&byte) = bytes.next() {
        match (byte, bytes.as_slice().first()) {
            (b'%', Some(token @ (b'%' | b'h' | b'u' | b'U'))) => {
                bytes.next();
                path.extend_from_slice(match token {
                    b'h' => &user.home,
                    b'u' => &user.name,
                    b'U' => &user.uid,
                    _ => b"%",
                });
            }
            _ => path.push(byte),
        }
    }
    if path.starts_with(b"/") {
        return path;
    }
    [user.home.strip_suffix(b"/").unwrap_or(&user.home), b"/", &path].concat()
}
