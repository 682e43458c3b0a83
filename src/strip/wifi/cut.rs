//! A text in two: what stays of it, and what is taken out.

use std::collections::BTreeSet;

use crate::strip::expressions::compiled;

/// More passwords than this are not looked for one by one.
const MOST_SECRETS: usize = 1_000;
/// A password, by the name in front of it. Shorter ones than a Wi-Fi network takes stand in any text by chance.
const SECRET: &str =
    r#"(?:psk|pass|password|passphrase|passwd|secret|key\d?)["']?(?:\s*[=:]\s*|\s+)["']?([^"'\s,}]{8,})"#;
/// A key or a certificate of a login, by its path.
const FILE: &str =
    r#"(?:cert2?|certificate|key2?|bundle|pac_file|pac-file)["']?(?:\s*[=:]\s*|\s+)["']?(?:file://)?(/[^\s"',}]+)"#;

/// A text in two.
#[derive(Debug, Default)]
pub(super) struct Cut {
    /// What stays.
    pub rest: String,
    /// What is taken out.
    pub gone: String,
}

impl Cut {
    /// Nothing stays.
    pub fn all(text: &str) -> Cut {
        Cut { rest: String::new(), gone: text.to_owned() }
    }

    pub fn keep(&mut self, line: &str) {
        self.rest.push_str(line);
    }

    pub fn take(&mut self, line: &str) {
        self.gone.push_str(line);
    }

    /// Whether one of the passwords that are taken out also stands in what stays.
    pub fn leaves_a_password(&self) -> bool {
        let Some(regex) = compiled(SECRET) else { return false };
        let secrets: BTreeSet<&str> =
            regex.captures_iter(&self.gone).filter_map(|found| Some(found.get(1)?.as_str())).collect();
        // So many are no settings of a machine; looking for each would take for ever.
        secrets.len() > MOST_SECRETS || secrets.into_iter().any(|secret| self.rest.contains(secret))
    }

    /// Files of keys and certificates that what is taken out names.
    pub fn named_files(&self) -> BTreeSet<String> {
        let Some(regex) = compiled(FILE) else { return BTreeSet::new() };
        regex.captures_iter(&self.gone).filter_map(|found| Some(found.get(1)?.as_str().to_owned())).collect()
    }
}

/// Whether nothing but comments and blank lines is left.
pub(super) fn is_bare(text: &str) -> bool {
    text.lines().all(|line| matches!(line.trim_start().chars().next(), None | Some('#')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_stands_elsewhere_too_is_seen() {
        let cut = |gone: &str, rest: &str| Cut { gone: gone.to_owned(), rest: rest.to_owned() }.leaves_a_password();
        assert!(cut("\tpsk=\"secret-password\"\n", "# the old one: secret-password\n"));
        assert!(cut("x: {password: abcdefgh}\n", "abcdefgh"));
        assert!(cut("wpa-psk abcdefgh\n", "abcdefgh"));
        assert!(!cut("key_mgmt=WPA-PSK\npsk=\"other-one\"\n", "key_mgmt=WPA-PSK\n"));
    }

    #[test]
    fn files_of_keys_are_named() {
        let cut =
            Cut::all("private_key=\"/etc/wpa/key.pem\"\nclient-certificate: /etc/c.pem\nca-cert=file:///etc/ca.pem\n");
        let files: Vec<String> = cut.named_files().into_iter().collect();
        assert_eq!(files, ["/etc/c.pem", "/etc/ca.pem", "/etc/wpa/key.pem"]);
    }
}
