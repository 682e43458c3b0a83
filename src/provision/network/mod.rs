//! The step that carries out `[[network.interface]]` for wired interfaces, in the words of whatever sets up the network on
//! this image: NetworkManager (Pi OS from bookworm on), dhcpcd (bullseye) or systemd-networkd. What is enabled decides.
//!
//! On images with cloud-init, netplan makes NetworkManager profiles out of network-config on the boot partition; ours
//! wins by its priority. The names of cards are no matter of this step: see [`super::card`].

mod dhcpcd;
mod interface_file;
mod keyfile;
mod manager;
mod networkd;

use super::cloud_config;
use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{SETTINGS_LIMIT, Step, StepError, View};
use crate::recipe::schema::Network;
pub(super) use keyfile::uuid;
pub(super) use manager::{Manager, manager};

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

impl Step for SetNetwork<'_> {
    fn name(&self) -> &'static str {
        "network"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        if self.network.interfaces.is_empty() {
            return Ok(());
        }
        let Some(manager) = manager(view)? else {
            view.block(
                "[[network.interface]] cannot be set up: none of NetworkManager, dhcpcd and systemd-networkd is enabled on \
                 this image",
            );
            return Ok(());
        };
        for interface in &self.network.interfaces {
            match manager {
                Manager::NetworkManager => keyfile::set(view, interface)?,
                Manager::Dhcpcd => dhcpcd::set(view, interface)?,
                Manager::Networkd => networkd::set(view, interface)?,
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
            report_network_config(view, manager)?;
        }
        Ok(())
    }
}

/// What cloud-init would make of network-config on the boot partition.
fn report_network_config(view: &mut View<'_>, manager: Manager) -> Result<(), FsError> {
    let path = ImagePath::new("/network-config")?;
    let Some(_) = view.boot().stat(&path)?.filter(|stat| stat.kind == FileKind::File) else { return Ok(()) };
    let text = view.boot().text(&path, SETTINGS_LIMIT)?.unwrap_or_default();
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
