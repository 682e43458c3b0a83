//! `/etc/network/interfaces` (interfaces(5)), without the stanzas of interfaces that have a Wi-Fi password, and without the
//! words that bring them up: `ifup -a` fails for an interface that no stanza describes.

use super::cut::Cut;

/// Words that begin a stanza; the lines up to the next are its options.
const STANZAS: [&str; 8] =
    ["iface", "auto", "mapping", "source", "source-directory", "no-auto-down", "no-scripts", "rename"];
const PASSWORDS: [&str; 12] = [
    "wpa-psk",
    "wpa-passphrase",
    "wpa-password",
    "wpa-sae-password",
    "wpa-private-key-passwd",
    "wpa-private-key-passwd2",
    "wpa-pin",
    "wpa-eappsk",
    "wifi-psk",
    "wpa-wep-key",
    "wireless-key",
    "wifi-password",
];

/// The text without its Wi-Fi, or why that cannot be said.
///
/// # Errors
/// What is in the way, for a person.
pub(super) fn without_wifi(text: &str) -> Result<Cut, &'static str> {
    let stanzas = stanzas(text);
    let with_password = |stanza: &&Vec<String>| stanza.iter().any(|line| !is_comment(line) && names_password(line));
    let wireless: Vec<String> = stanzas.iter().filter(with_password).filter_map(|stanza| interface(stanza)).collect();
    let mut cut = Cut::default();
    for stanza in &stanzas {
        let goes = interface(stanza).is_some_and(|name| wireless.contains(&name));
        // Comments at the end belong to what follows.
        let own = stanza.iter().rposition(|line| !is_comment(line)).map_or(0, |last| last + 1);
        for (index, line) in stanza.iter().enumerate() {
            match (goes && index < own) || (is_comment(line) && names_password(line)) {
                true => cut.take(line),
                false if index == 0 => keep_without(&mut cut, line, &wireless),
                false => cut.keep(line),
            }
        }
    }
    for line in cut.rest.lines().filter(|line| !is_comment(line)) {
        let word = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
        if line.split(word).any(|word| wireless.iter().any(|name| name == word)) {
            return Err("other lines need the Wi-Fi interface");
        }
        if names_password(line)
            || line.contains("wpa_passphrase")
            || (line.contains("iwconfig") && line.contains("key"))
        {
            return Err("a line outside the stanzas of interfaces sets it up");
        }
    }
    Ok(cut)
}

/// Stanzas, each with the lines that are its own; a line that ends in `\` goes on in the next.
fn stanzas(text: &str) -> Vec<Vec<String>> {
    let (mut stanzas, mut begun) = (vec![Vec::new()], String::new());
    for part in text.split_inclusive('\n') {
        begun.push_str(part);
        if !is_comment(&begun) && part.trim_end_matches(['\n', '\r']).ends_with('\\') {
            continue;
        }
        let line = std::mem::take(&mut begun);
        let first = line.split_whitespace().next().unwrap_or_default();
        if STANZAS.contains(&first) || first.starts_with("allow-") {
            stanzas.push(Vec::new());
        }
        if let Some(last) = stanzas.last_mut() {
            last.push(line);
        }
    }
    if let Some(last) = stanzas.last_mut().filter(|_| !begun.is_empty()) {
        last.push(begun);
    }
    stanzas
}

fn is_comment(line: &str) -> bool {
    matches!(line.trim_start().chars().next(), None | Some('#'))
}

fn names_password(line: &str) -> bool {
    let key = line.trim_start_matches(['#', ' ', '\t']).split_whitespace().next().unwrap_or_default();
    PASSWORDS.contains(&key.trim_end_matches(|c: char| c.is_ascii_digit())) || PASSWORDS.contains(&key)
}

/// The interface that a stanza describes.
fn interface(stanza: &[String]) -> Option<String> {
    let mut words = stanza.first()?.split_whitespace().filter(|word| *word != "\\");
    (words.next()? == "iface").then(|| words.next().map(str::to_owned)).flatten()
}

/// A line that brings interfaces up keeps those that are still there.
fn keep_without(cut: &mut Cut, line: &str, wireless: &[String]) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let brings_up = words.first().is_some_and(|word| {
        *word == "auto" || *word == "no-auto-down" || *word == "no-scripts" || word.starts_with("allow-")
    });
    if !brings_up || !words.iter().any(|word| wireless.iter().any(|name| name == word)) {
        return cut.keep(line);
    }
    let left: Vec<&str> =
        words.into_iter().filter(|word| *word != "\\" && !wireless.iter().any(|name| name == word)).collect();
    if left.len() > 1 {
        cut.keep(&format!("{}\n", left.join(" ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wired_stanzas_survive_the_wireless_ones() {
        let text = "auto lo eth0 wlan0\niface lo inet loopback\nallow-hotplug wlan0\niface wlan0 inet dhcp\n    wpa-ssid x\n    \
                    wpa-psk \\\n  y\n\n# wired\niface eth0 inet static\n    address 10.0.0.2/24\n# wpa-psk z\nsource \
                    interfaces.d/*\niface wlan0 inet6 auto\n";
        let left = "auto lo eth0\niface lo inet loopback\n\n# wired\niface eth0 inet static\n    address 10.0.0.2/24\nsource \
                    interfaces.d/*\n";
        assert_eq!(without_wifi(text).unwrap().rest, left);
    }

    #[test]
    fn an_interface_that_others_need_is_refused() {
        let wifi = "iface wlan0 inet manual\n  wireless-key1 s:abcde\n";
        for more in [
            "iface br0 inet dhcp\n bridge_ports eth0 wlan0\n",
            "iface eth0 inet dhcp\n up wpa_passphrase a bbbbbbbb\n",
            "iface home inet dhcp inherits wlan0\n",
        ] {
            assert!(without_wifi(&format!("{wifi}{more}")).is_err(), "{more}");
        }
    }
}
