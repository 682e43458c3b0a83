//! ConnMan's files (connman, doc/config-format.txt): sections of keys, of which those of Wi-Fi networks go.

use super::cut::Cut;

/// A provision file without the sections of Wi-Fi networks; settings without the password of the access point that the
/// machine is.
pub(super) fn without_wifi(text: &str) -> Cut {
    let mut cut = Cut::default();
    let mut sections: Vec<Vec<&str>> = vec![Vec::new()];
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('[') {
            sections.push(Vec::new());
        }
        if let Some(last) = sections.last_mut() {
            last.push(line);
        }
    }
    for section in sections {
        let has = |wanted: &dyn Fn(&str, &str) -> bool| {
            section.iter().any(|line| {
                line.trim_start_matches(['#', ' '])
                    .split_once('=')
                    .is_some_and(|(key, value)| wanted(key.trim(), value.trim()))
            })
        };
        let is_wifi = has(&|key, value| key == "Type" && value == "wifi") || has(&|key, _| is_password(key));
        // `[WiFi]` holds switches beside the access point's name and password.
        let whole = is_wifi && section.first().is_none_or(|header| header.trim() != "[WiFi]");
        for line in section {
            let key = line.trim_start_matches(['#', ' ']).split('=').next().unwrap_or_default().trim();
            match whole || is_password(key) || key == "Tethering.Identifier" {
                true => cut.take(line),
                false => cut.keep(line),
            }
        }
    }
    cut
}

fn is_password(key: &str) -> bool {
    ["Passphrase", "PrivateKeyPassphrase", "Tethering.Passphrase"].contains(&key)
}

#[cfg(test)]
mod tests {
    use super::without_wifi;

    #[test]
    fn other_sections_and_switches_survive() {
        let text = "[global]\nName = x\n[service_a]\nType = wifi\nPassphrase = secret\n[service_b]\nType = ethernet\n";
        assert_eq!(without_wifi(text).rest, "[global]\nName = x\n[service_b]\nType = ethernet\n");
        let text = "[WiFi]\nEnable=true\nTethering.Identifier=a\nTethering.Passphrase=b\n[Wired]\nEnable=true\n";
        assert_eq!(without_wifi(text).rest, "[WiFi]\nEnable=true\n[Wired]\nEnable=true\n");
    }
}
