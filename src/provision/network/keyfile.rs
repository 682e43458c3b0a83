//! An interface as NetworkManager reads it, nm-settings-keyfile(5).

use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

use super::interface_file::{is_v4, put};
use crate::fs::FsError;
use crate::prepare::View;
use crate::recipe::schema::Interface;

/// NetworkManager reads keyfiles that are root's and nobody else's (nm-settings-keyfile(5)).
pub(super) fn set(view: &mut View<'_>, interface: &Interface) -> Result<(), FsError> {
    let name = &interface.name;
    let mut text = format!(
        "# Put here by cardsmith, because of [[network.interface]] in the recipe.\n\
         [connection]\nid=cardsmith-{name}\nuuid={}\ntype=ethernet\ninterface-name={name}\nautoconnect-priority=100\n\n[ethernet]\n",
        uuid(name)
    );
    for (section, v4) in [("ipv4", true), ("ipv6", false)] {
        let addresses: Vec<&String> = interface.addresses.iter().filter(|address| is_v4(address) == v4).collect();
        let servers: Vec<String> =
            interface.dns.iter().filter(|dns| dns.is_ipv4() == v4).map(IpAddr::to_string).collect();
        let gateway = interface.gateway.filter(|gateway| gateway.is_ipv4() == v4);
        let method = match (addresses.is_empty(), interface.dhcp, v4) {
            (false, ..) => "manual",
            // IPv6 configures itself, as it does without a profile.
            (true, true, _) | (true, false, false) => "auto",
            (true, false, true) => "disabled",
        };
        text.push_str(&format!("\n[{section}]\nmethod={method}\n"));
        for (at, address) in addresses.iter().enumerate() {
            text.push_str(&format!("address{}={address}\n", at + 1));
        }
        if let Some(gateway) = gateway {
            text.push_str(&format!("gateway={gateway}\n"));
        }
        if !servers.is_empty() {
            text.push_str(&format!("dns={};\n", servers.join(";")));
        }
        // `dns` alone would come on top of what DHCP brings; the recipe means its own servers and no others.
        if !interface.dns.is_empty() && method == "auto" {
            text.push_str("ignore-auto-dns=true\n");
        }
    }
    let path = format!("/etc/NetworkManager/system-connections/cardsmith-{name}.nmconnection");
    put(view, &path, text, 0o600, "nm-settings-keyfile(5)")
}

/// A connection needs an id of its own; the same recipe gives the same one.
pub(in crate::provision) fn uuid(name: &str) -> String {
    let digest = Sha256::digest(format!("cardsmith network interface {name}"));
    let mut hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    // Version 8 and the usual variant (RFC 9562).
    hex.replace_range(12..13, "8");
    hex.replace_range(16..17, "a");
    for at in [20, 16, 12, 8] {
        hex.insert(at, '-');
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_connections_are_uuids_and_differ() {
        let id = uuid("eth0");
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert_ne!(id, uuid("eth1"));
    }
}
