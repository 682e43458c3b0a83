//! What looks like a secret in a recipe. A recipe is kept in git and copied into manifests, so it must hold none.

/// Keys that speak of passwords without holding one. A hash may be in a recipe; it is still not shown.
const NO_SECRET: [&str; 2] = ["passwordhash", "passwordlogin"];

/// Whether a key's name says that its value is a secret.
pub(super) fn is_secret_key(key: &str) -> bool {
    is_private_key(key) && !NO_SECRET.contains(&plain(key).as_str())
}

fn plain(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// Whether a key's name says that nobody should see its value on a screen.
fn is_private_key(key: &str) -> bool {
    const WHOLE: [&str; 8] = ["code", "secret", "token", "psk", "passwd", "apikey", "accesskeyid", "wifipassword"];
    const PART: [&str; 7] =
        ["activationcode", "secretaccesskey", "accesskeyid", "sessiontoken", "password", "passphrase", "privatekey"];
    let plain = plain(key);
    WHOLE.contains(&plain.as_str()) || PART.iter().any(|part| plain.contains(part))
}

/// Whether a value is a secret whatever its key is called.
pub(super) fn is_secret_value(value: &str) -> bool {
    value.contains("PRIVATE KEY-----")
        || has_access_key_id(value)
        || has_url_password(value)
        || has_wifi_password(value)
}

/// A line of wpa_supplicant.conf or of a NetworkManager keyfile with a password in it. What only stands for one
/// (`psk=$1`, `psk=%s`) is none.
fn has_wifi_password(value: &str) -> bool {
    ["psk", "wpa_passphrase", "sae_password"].iter().any(|key| {
        value.match_indices(key).any(|(at, _)| {
            let before = value.get(..at).unwrap_or_default();
            // In a line of the recipe itself, ends of lines are still escapes.
            let is_escape = [r"\n", r"\r", r"\t"].iter().any(|escape| before.ends_with(escape));
            let after = value.get(at.saturating_add(key.len())..).unwrap_or_default().trim_start_matches([' ', '\t']);
            let is_key = is_escape || !before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let first = after.strip_prefix('=').map(|text| text.trim_start_matches([' ', '\t', '"', '\'', '\\']));
            is_key
                && first
                    .and_then(|text| text.chars().next())
                    .is_some_and(|c| !c.is_whitespace() && !"$%@<{".contains(c))
        })
    })
}

/// An address with a password in it: `http://user:password@host`.
fn has_url_password(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', '"', '\'', ' ', '\n']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        user.and_then(|user| user.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
    })
}

/// AWS access key ids: `AKIA` or `ASIA` and 16 capitals or digits.
fn has_access_key_id(value: &str) -> bool {
    value.as_bytes().windows(20).any(|run| {
        (run.starts_with(b"AKIA") || run.starts_with(b"ASIA"))
            && run.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    })
}

/// A line of a recipe as it may be shown: where the key looks secret, or the value does, the value is left out.
pub(super) fn masked(line: &str) -> String {
    let Some((key, value)) = line.split_once('=') else {
        return if is_secret_value(line) { "…".to_owned() } else { line.to_owned() };
    };
    let name = key.rsplit(['{', '.', ',']).next().unwrap_or(key).trim().trim_matches(['"', '\'']);
    // `{ code = "…" }` inside a line: every key of an inline table counts.
    let inner = value.split(['{', ',']).filter_map(|part| part.split_once('=')).any(|(key, _)| is_private_key(key));
    if is_private_key(name) || inner || is_secret_value(value) { format!("{key}= …") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_keys_are_known_by_name_however_they_are_spelt() {
        for key in ["code", "Activation-Code", "activation_code", "AWS_SECRET_ACCESS_KEY", "wifi-password", "psk"] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in ["name", "region", "barcode", "tokens-per-card", "role", "password-hash", "password-login"] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn a_secret_value_is_never_part_of_a_shown_line() {
        for line in [
            "code = \"hush-hush-hush\"",
            "activation = { from = \"file\", code = \"hush-hush-hush\" }",
            "  activation.code = hush-hush-hush",
            "password-hash = \"$6$hush-hush-hush\"",
            "http = \"http://me:hush-hush-hush@proxy:3128\"",
            "text = \"[wifi-security]\\npsk=hush-hush-hush\"",
            "text = 'psk=\"hush-hush-hush\"'",
            "text = \"-----BEGIN OPENSSH PRIVATE KEY-----hush-hush-hush\"",
        ] {
            assert!(!masked(line).contains("hush"), "{line} -> {}", masked(line));
        }
        assert!(is_secret_value("http://me:hush@proxy:3128/") && !is_secret_value("http://[fe80::1]:3128/@a:b"));
        for fine in ["psk=$1", "psk = %s", "xpsk=abc", "the psk is secret", "psk=", "wpa-psk", "key-mgmt=wpa-psk\n"] {
            assert!(!is_secret_value(fine), "{fine}");
        }
        assert_eq!(masked("region = \"eu-west-1\""), "region = \"eu-west-1\"");
    }
}
