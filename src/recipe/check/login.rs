//! Rules of `[user]` and `[ssh]`.

use super::Checker;
use crate::recipe::schema::User;

impl Checker<'_> {
    pub(super) fn user(&mut self, user: &User) {
        if !is_user_name(&user.name) {
            self.report(
                &["user", "name"],
                "this cannot be a login name",
                "a lower-case letter, then lower-case letters, digits, - and _; 32 at most",
            );
        } else if ["root", "ssm-user", "rpi-first-boot-wizard"].contains(&user.name.as_str()) {
            self.report(
                &["user", "name"],
                format!("`{}` is not a person's account", user.name),
                "take another name; what ssm-user may do is said in [sudo]",
            );
        }
        if let Some(hash) = &user.password_hash
            && !is_password_hash(hash)
        {
            self.report(
                &["user", "password-hash"],
                "this is not a password's hash",
                "`openssl passwd -6` or `mkpasswd -m yescrypt` asks for the password and prints its hash, which begins \
                 with $6$ or $y$; in TOML it stands best in single quotes",
            );
        }
        for (at, group) in user.groups.iter().flatten().enumerate() {
            if !is_user_name(group) {
                let at = at.to_string();
                self.report(
                    &["user", "groups", &at],
                    "this cannot be a group's name",
                    "for example \"sudo\" or \"gpio\"",
                );
            }
        }
        if let Some(path) = &user.authorized_keys {
            self.host_path(&["user", "authorized-keys"], path);
            self.host_file(&["user", "authorized-keys"], path);
        }
    }
}

/// What userconf-pi's validate_user allows, and `_`.
fn is_user_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}

/// crypt(5): the methods that Debian's libxcrypt takes for new passwords, each with a digest of the right length.
fn is_password_hash(hash: &str) -> bool {
    let digest_length = match hash.split('$').nth(1) {
        Some("6") => 86,
        Some("5" | "y" | "gy") => 43,
        Some("2b") => 53,
        _ => return false,
    };
    let fields: Vec<&str> = hash.split('$').collect();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "./$=,".contains(c);
    hash.len() <= 384
        && hash.chars().all(allowed)
        && hash.starts_with('$')
        && (4..=5).contains(&fields.len())
        && fields.last().is_some_and(|digest| digest.len() == digest_length && !digest.contains(['=', ',']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_told_from_passwords() {
        let six = format!("$6$salt${}", "a".repeat(86));
        let rounds = format!("$6$rounds=5000$salt${}", "a".repeat(86));
        let yes = format!("$y$j9T$salt${}", "a".repeat(43));
        for good in [&six, &rounds, &yes, &format!("$2b$12${}", "a".repeat(53))] {
            assert!(is_password_hash(good), "{good}");
        }
        for bad in [
            "",
            "raspberry",
            "$6$salt$short",
            "$1$salt$abcdefghijklmnopqrstuv",
            "!",
            "*",
            &format!("{six}\n"),
            &six[1..],
        ] {
            assert!(!is_password_hash(bad), "{bad}");
        }
        assert!(!is_password_hash(&six.replace("salt", "sa:lt")));
    }
}
