//! An interface as systemd-networkd reads it, systemd.network(5).

use super::interface_file::put;
use crate::fs::FsError;
use crate::prepare::View;
use crate::provision::units::links;
use crate::recipe::schema::Interface;

/// Of all files that match an interface, networkd takes the first in the order of the names (systemd.network(5)).
pub(super) fn set(view: &mut View<'_>, interface: &Interface) -> Result<(), FsError> {
    if !interface.dns.is_empty() && !links::is_enabled(view, "systemd-resolved.service")? {
        view.block(format!(
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
    // Else the servers that DHCP brings would be asked, too.
    if interface.dhcp && !interface.dns.is_empty() {
        text.push_str("\n[DHCPv4]\nUseDNS=no\n\n[DHCPv6]\nUseDNS=no\n");
    }
    let path = format!("/etc/systemd/network/00-cardsmith-{}.network", interface.name);
    put(view, &path, text, 0o644, "systemd.network(5)")
}
