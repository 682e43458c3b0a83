//! The network as NetworkManager reads it, nm-settings-keyfile(5).

use zeroize::Zeroizing;

use super::salt::salt;
use crate::provision::network::uuid;
use crate::recipe::schema::Wifi;

/// The keyfile, and the line of it that holds the password.
pub(super) fn keyfile(wifi: &Wifi, psk: &str) -> (Zeroizing<String>, Zeroizing<String>) {
    let line = Zeroizing::new(format!("psk={}", *value(psk)));
    // Room for all of it at once: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(2048));
    text.push_str(&salt());
    text.push_str("[connection]\nid=cardsmith-wifi\nuuid=");
    text.push_str(&uuid(&format!("wifi {}", wifi.ssid)));
    text.push_str("\ntype=wifi\nautoconnect-priority=100\n\n[wifi]\nmode=infrastructure\nssid=");
    text.push_str(&ssid(&wifi.ssid));
    text.push('\n');
    if wifi.hidden {
        text.push_str("hidden=true\n");
    }
    text.push_str("\n[wifi-security]\nkey-mgmt=wpa-psk\n");
    text.push_str(&line);
    text.push_str("\n\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n");
    (text, line)
}

/// A name of letters, digits and the like as it is; anything else as the list of its bytes, which is read as one
/// whatever it holds. Digits alone would be taken for such a list.
fn ssid(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.chars().all(plain) && name.chars().any(|c| c.is_ascii_alphabetic()) {
        return name.to_owned();
    }
    name.bytes().map(|byte| format!("{byte};")).collect()
}

/// A string of GLib's key files: a backslash begins an escape, and blanks at the ends would be cut off.
fn value(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len().saturating_mul(2)));
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            ' ' => out.push_str("\\s"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_survive_the_key_file() {
        assert_eq!(ssid("Depot-5.2_a"), "Depot-5.2_a");
        assert_eq!(ssid("123"), "49;50;51;");
        assert_eq!(ssid("a;b"), "97;59;98;");
        assert_eq!(ssid("ü"), "195;188;");
        assert_eq!(*value(" a\\b; \"#"), "\\sa\\\\b;\\s\"#");
    }
}
