//! The step that carries out `[[network.interface]]` for wired interfaces, in the words of whatever sets up the network on
//! this image: NetworkManager (Pi OS from bookworm on), dhcpcd (bullseye) or systemd-networkd. What is enabled decides.
//!
//! On images with cloud-init, netplan makes NetworkManager profiles out of network-config on the boot partition; ours
//! wins by its priority. The names of cards are no matter of this step: see [`super::card`].

mod dhcpcd;

use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

use super::cloud_config;
use super::units::links;
use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::plan::{Class, Content, Volume};
use crate::prepare::{Step, StepError, View};
use crate::recipe::schema::{Cidr, Interface, Network};

const LIMIT: u64 = 1 << 20;

/// Sets up wired interfaces.
pub struct SetNetwork<'r> {
    network: &'r Network,
}

impl<'r> SetNetwork<'r> {
    /// The interfaces of `[network]`.
    pub fn new(network: &'r Network) -> SetNetwork<'r> {
        SetNetwork { network }
    }
}

/// What sets up the network of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "NetworkManager is the program's own name")]
pub(super) enum Manager {
    NetworkManager,
    Dhcpcd,
    Networkd,
}

impl Step for SetNetwork<'_> {
    fn name(&self) -> &'static str {
        "network"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        if self.network.interfaces.is_empty() {
            return Ok(());
        }
        let Some(manager) = manager(view)? else {
            view.obstacle(
                "[[network.interface]] cannot be set up: none of NetworkManager, dhcpcd and systemd-networkd is enabled on \
                 this image",
            );
            return Ok(());
        };
        for interface in &self.network.interfaces {
            match manager {
                Manager::NetworkManager => keyfile(view, interface)?,
                Manager::Dhcpcd => dhcpcd::set(view, interface)?,
                Manager::Networkd => network_file(view, interface)?,
            }
            if !interface.addresses.is_empty() {
                view.warn(format!(
                    "{} has the address {} on every card of this recipe: let only one of them into a network at a time",
                    interface.name,
                    interface.addresses.join(", ")
                ));
            }
        }
        if cloud_config::is_active(view)? {
            say_network_config(view, manager)?;
        }
        Ok(())
    }
}

/// The one that is enabled; the first of them where there are several.
pub(super) fn manager(view: &mut View<'_>) -> Result<Option<Manager>, FsError> {
    let mut found = Vec::new();
    for (manager, unit) in [
        (Manager::NetworkManager, "NetworkManager.service"),
        (Manager::Dhcpcd, "dhcpcd.service"),
        (Manager::Networkd, "systemd-networkd.service"),
    ] {
        if links::is_enabled(view, unit)? && links::is_there(view, unit)? {
            found.push((manager, unit));
        }
    }
    if let [(_, first), (_, second), ..] = found.as_slice() {
        view.warn(format!("{first} and {second} are both enabled; the interfaces of the recipe are {first}'s"));
    }
    Ok(found.first().map(|(manager, _)| *manager))
}

fn put(view: &mut View<'_>, path: &str, text: String, mode: u16, source: &'static str) -> Result<(), FsError> {
    let why = "the recipe, [[network.interface]]";
    let content = Content::Bytes(text.into_bytes());
    view.write(
        Volume::Root,
        &ImagePath::new(path)?,
        content,
        Attributes::root(mode),
        Class::Configuration,
        why,
        source,
    )?;
    Ok(())
}

fn is_v4(text: &str) -> bool {
    Cidr::parse(text).is_some_and(|cidr| cidr.address.is_ipv4())
}

/// NetworkManager reads keyfiles that are root's and nobody else's (nm-settings-keyfile(5)).
fn keyfile(view: &mut View<'_>, interface: &Interface) -> Result<(), FsError> {
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
        if !interface.dns.is_empty() && method == "auto" {
            text.push_str("ignore-auto-dns=true\n");
        }
    }
    let path = format!("/etc/NetworkManager/system-connections/cardsmith-{name}.nmconnection");
    put(view, &path, text, 0o600, "nm-settings-keyfile(5)")
}

/// A connection needs an id of its own; the same recipe gives the same one.
pub(super) fn uuid(name: &str) -> String {
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

/// Of all files that match an interface, networkd takes the first in the order of the names (systemd.network(5)).
fn network_file(view: &mut View<'_>, interface: &Interface) -> Result<(), FsError> {
    if !interface.dns.is_empty() && !links::is_enabled(view, "systemd-resolved.service")? {
        view.obstacle(format!(
            "the name servers of {} have no effect: systemd-networkd only hands them to systemd-resolved, which is not \
             enabled on this image",
            interface.name
        ));
        return Ok(());
    }
    let mut text = format!(
        "# Put here by cardsmith, because of [[network.interface]] in the recipe.\n[Match]\nName={}\n\n[Network]\n",
        interface.name
    );
    if interface.dhcp {
        text.push_str("DHCP=yes\n");
    }
    for address in &interface.addresses {
        text.push_str(&format!("Address={address}\n"));
    }
    if let Some(gateway) = interface.gateway {
        text.push_str(&format!("Gateway={gateway}\n"));
    }
    for dns in &interface.dns {
        text.push_str(&format!("DNS={dns}\n"));
    }
    if interface.dhcp && !interface.dns.is_empty() {
        text.push_str("\n[DHCPv4]\nUseDNS=no\n\n[DHCPv6]\nUseDNS=no\n");
    }
    let path = format!("/etc/systemd/network/00-cardsmith-{}.network", interface.name);
    put(view, &path, text, 0o644, "systemd.network(5)")
}

/// What cloud-init would make of network-config on the boot partition.
fn say_network_config(view: &mut View<'_>, manager: Manager) -> Result<(), FsError> {
    let path = ImagePath::new("/network-config")?;
    let Some(_) = view.boot().stat(&path)?.filter(|stat| stat.kind == FileKind::File) else { return Ok(()) };
    let text = view.boot().text(&path, LIMIT)?.unwrap_or_default();
    let active = |key: &str| text.lines().any(|line| line.trim_start().starts_with(key));
    if !active("ethernets:") && !active("\"ethernets\"") {
        return Ok(());
    }
    if manager == Manager::NetworkManager && !text.contains("networkd") {
        view.note(
            "network-config on the boot partition sets up wired interfaces too; the recipe's win, because their profiles \
             have the higher priority",
        );
    } else {
        view.warn("network-config on the boot partition sets up wired interfaces too: look whether the recipe's are among them");
    }
    Ok(())
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
