//! dhcpcd.conf, as bullseye has it: one block per interface, added at the end. A block that the image has for the same
//! interface goes, because dhcpcd would join the two.

use super::interface_file::{is_v4, put};
use crate::fs::{FsError, ImagePath, Tree};
use crate::prepare::{SETTINGS_LIMIT, View};
use crate::recipe::schema::Interface;

const FILE: &str = "/etc/dhcpcd.conf";
const SOURCE: &str = "dhcpcd.conf(5)";

pub(super) fn set(view: &mut View<'_>, interface: &Interface) -> Result<(), FsError> {
    let path = view.root().resolve(&ImagePath::new(FILE)?)?;
    let old = view.root().text(&path, SETTINGS_LIMIT)?.unwrap_or_default();
    for family in [true, false] {
        if interface.addresses.iter().filter(|address| is_v4(address) == family).count() > 1 {
            view.block(format!(
                "{} has more than one address of a kind, and dhcpcd, which sets up the network of this image, takes only one",
                interface.name
            ));
            return Ok(());
        }
    }
    for line in old.lines().map(str::trim) {
        let mut words = line.split_whitespace();
        let key = words.next().unwrap_or_default();
        let named = words.any(|word| word == interface.name || word.contains('*'));
        // These say which interfaces dhcpcd touches at all; the block would be there and do nothing.
        if key == "denyinterfaces" && named || key == "allowinterfaces" && !named {
            view.block(format!("dhcpcd.conf of this image says {line:?}: {} would not be set up", interface.name));
            return Ok(());
        }
    }
    let new = with_block(&old, interface);
    if new == old {
        view.note(format!("{} is set up that way already: dhcpcd asks for an address by itself", interface.name));
        return Ok(());
    }
    put(view, FILE, new, 0o664, SOURCE)
}

fn with_block(old: &str, interface: &Interface) -> String {
    let mut text = without_block(old, &interface.name);
    let mut lines = Vec::new();
    for address in &interface.addresses {
        lines.push(format!("static {}={address}", if is_v4(address) { "ip_address" } else { "ip6_address" }));
    }
    if let Some(gateway) = interface.gateway {
        // dhcpcd has no setting for an IPv6 router: that one comes from router advertisements.
        lines.push(format!("static routers={gateway}"));
    }
    if !interface.dns.is_empty() {
        let servers: Vec<String> = interface.dns.iter().map(ToString::to_string).collect();
        lines.push(format!("static domain_name_servers={}", servers.join(" ")));
    }
    if !lines.is_empty() {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("# cardsmith\ninterface {}\n{}\n", interface.name, lines.join("\n")));
    }
    text
}

/// The file without the interface's block: from its line to the next block.
fn without_block(text: &str, name: &str) -> String {
    let mut inside = false;
    let mut kept: Vec<&str> = Vec::new();
    for line in text.split_inclusive('\n') {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("interface") => {
                inside = words.next() == Some(name);
                // The line above our own block is ours too.
                if inside && kept.last().is_some_and(|last| last.trim() == "# cardsmith") {
                    kept.pop();
                }
            }
            Some("profile" | "ssid" | "arping") => inside = false,
            Some(word) if word.starts_with('#') => inside &= word != "#" || line.trim() != "# cardsmith",
            _ => {}
        }
        if !inside {
            kept.push(line);
        }
    }
    kept.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, address: &str) -> Interface {
        Interface {
            name: name.to_owned(),
            dhcp: address.is_empty(),
            addresses: if address.is_empty() { Vec::new() } else { vec![address.to_owned()] },
            gateway: None,
            dns: Vec::new(),
        }
    }

    #[test]
    fn blocks_are_replaced_and_others_stay() {
        let old =
            "hostname\ninterface eth0\nstatic ip_address=10.0.0.9/8\ninterface wlan0\nstatic ip_address=10.1.0.9/8\n";
        let new = with_block(old, &interface("eth0", "192.168.7.2/24"));
        assert_eq!(
            new,
            "hostname\ninterface wlan0\nstatic ip_address=10.1.0.9/8\n# cardsmith\ninterface eth0\nstatic ip_address=192.168.7.2/24\n"
        );
        assert_eq!(with_block(&new, &interface("eth0", "192.168.7.2/24")), new, "twice changes nothing");
        let both = with_block(&new, &interface("eth1", "192.168.8.2/24"));
        assert_eq!(with_block(&both, &interface("eth0", "")).matches("interface eth0").count(), 0);
        assert!(with_block(&both, &interface("eth0", "")).contains("# cardsmith\ninterface eth1\n"));
    }
}
