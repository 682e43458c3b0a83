//! Which program sets up the network of an image: the one that is enabled decides how an interface is described.

use crate::fs::FsError;
use crate::prepare::View;
use crate::provision::units::links;

/// What sets up the network of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "NetworkManager is the program's own name")]
pub(in crate::provision) enum Manager {
    NetworkManager,
    Dhcpcd,
    Networkd,
}

/// The one that is enabled; the first of them where there are several.
pub(in crate::provision) fn manager(view: &mut View<'_>) -> Result<Option<Manager>, FsError> {
    let mut found = Vec::new();
    for (manager, unit) in [
        (Manager::NetworkManager, "NetworkManager.service"),
        (Manager::Dhcpcd, "dhcpcd.service"),
        (Manager::Networkd, "systemd-networkd.service"),
    ] {
        // A link that was left behind by a removed package enables nothing.
        if links::is_enabled(view, unit)? && links::is_there(view, unit)? {
            found.push((manager, unit));
        }
    }
    if let [(_, first), (_, second), ..] = found.as_slice() {
        view.warn(format!("{first} and {second} are both enabled; the interfaces of the recipe are {first}'s"));
    }
    Ok(found.first().map(|(manager, _)| *manager))
}
