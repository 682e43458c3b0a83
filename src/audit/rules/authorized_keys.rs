//! Who may log in by key.

use crate::audit::finding::Severity;
use crate::audit::options::AuditOptions;
use crate::audit::reader::{AuditError, AuditImage};
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
    names.extend([".ssh/authorized_keys".to_owned(), ".ssh/authorized_keys2".to_owned()]);
    let accounts = image.accounts()?.into_iter();
    let mut users: Vec<(String, String, String)> =
        accounts.map(|account| (account.name, account.uid, account.home)).collect();
    let homes = image.homes()?.iter().cloned();
    users.extend(homes.map(|home| (home.rsplit('/').next().unwrap_or_default().to_owned(), String::new(), home)));
    let mut paths = Vec::new();
    for (user, uid, home) in &users {
        for name in &names {
            let name = name.replace("%%", "\0").replace("%h", home).replace("%u", user).replace("%U", uid);
            let name = name.replace('\0', "%");
            let path = if name.starts_with('/') { name } else { format!("{}/{name}", home.trim_end_matches('/')) };
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
            found(path, format!("lets in the owners of {keys} keys"));
        }
    }
    Ok(())
}
