//! The network as wpa_supplicant reads it, wpa_supplicant.conf(5).

use zeroize::Zeroizing;

use super::salt::salt;
use crate::recipe::schema::Wifi;

/// The file with this network and country in it, and the line of it that holds the password.
pub(super) fn with_network(old: &str, wifi: &Wifi, psk: &str) -> (Zeroizing<String>, Zeroizing<String>) {
    // A key of 64 digits stands without quotes. Between the first and the last quote of a line everything counts as it
    // is, quotes, backslashes and # too (wpa_supplicant, config.c).
    let is_key = psk.len() == 64;
    let line = Zeroizing::new(if is_key { format!("psk={psk}") } else { format!("psk=\"{psk}\"") });
    let mut text = Zeroizing::new(String::with_capacity(old.len().saturating_add(2048)));
    if old.trim().is_empty() {
        text.push_str("ctrl_interface=DIR=/var/run/wpa_supplicant GROUP=netdev\nupdate_config=1\n");
    }
    for line in old.lines().filter(|line| !line.trim_start().starts_with("country=")) {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("country=");
    text.push_str(&wifi.country);
    text.push_str("\n\n");
    text.push_str(&salt());
    text.push_str("network={\n\tssid=");
    text.push_str(&ssid(&wifi.ssid));
    text.push_str("\n\t");
    text.push_str(&line);
    text.push_str("\n\tkey_mgmt=WPA-PSK\n\tpriority=100\n");
    if wifi.hidden {
        text.push_str("\tscan_ssid=1\n");
    }
    text.push_str("}\n");
    (text, line)
}

/// In quotes where it is plain, as hexadecimal digits otherwise: those are read as they are.
fn ssid(name: &str) -> String {
    if name.chars().all(|c| c.is_ascii_alphanumeric() || " -_.".contains(c)) {
        return format!("\"{name}\"");
    }
    name.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::SecretRef;

    #[test]
    fn a_network_is_added_and_the_country_is_the_recipe_s() {
        let wifi = Wifi { ssid: "a\"b".into(), country: "DE".into(), psk: SecretRef::Env("X".into()), hidden: true };
        let (text, line) = with_network("country=GB\nupdate_config=1\n", &wifi, "pass\"word\\#");
        assert!(text.starts_with("update_config=1\ncountry=DE\n\n# Put here"), "{}", *text);
        assert!(text.contains("network={\n\tssid=612262\n\tpsk=\"pass\"word\\#\"\n"), "{}", *text);
        assert!(text.contains("\tscan_ssid=1\n}\n") && line.starts_with("psk=\""));
        let (text, line) = with_network("", &wifi, &"ab".repeat(32));
        assert!(text.starts_with("ctrl_interface=") && *line == format!("psk={}", "ab".repeat(32)));
    }
}
