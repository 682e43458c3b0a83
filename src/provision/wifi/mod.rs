//! `[network.wifi]`. Into the golden image go the country and what unblocks the radio, public facts both. The network
//! itself, with its password, is a card's own file: see [`card_network`].
//!
//! NetworkManager (bookworm and later) reads a keyfile, dhcpcd (bullseye) starts wpa_supplicant with its own file. On
//! images with cloud-init, netplan makes NetworkManager profiles of network-config; ours wins by its priority.

mod keyfile;
mod salt;
mod supplicant;

use zeroize::Zeroizing;

use super::network::{Manager, manager};
use super::stored_secret::StoredSecret;
use super::{boot_settings, cloud_config};
use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, SETTINGS_LIMIT, Step, StepError, View, Volume};
use crate::recipe::schema::Wifi;
use crate::secrets::Secret;

const SOURCE: &str = "the recipe, [network.wifi]";

/// Sets the country and unblocks the radio.
pub struct SetWifi<'r> {
    wifi: &'r Wifi,
}

impl<'r> SetWifi<'r> {
    /// As `[network.wifi]` says.
    pub fn new(wifi: &'r Wifi) -> SetWifi<'r> {
        SetWifi { wifi }
    }
}

impl Step for SetWifi<'_> {
    fn name(&self) -> &'static str {
        "wifi"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        let way = match way(view)? {
            Ok(way) => way,
            Err(what) => {
                view.block(format!("[network.wifi] cannot be set up: {what}"));
                return Ok(());
            }
        };
        country(view, &self.wifi.country)?;
        unblock(view, way)?;
        if way == Way::Supplicant {
            remove_boot_file(view)?;
        }
        if cloud_config::is_active(view)? {
            report_network_config(view)?;
        }
        view.note(format!(
            "the Wi-Fi network {:?} is not in the golden image: each card gets it with the password from {}",
            self.wifi.ssid, self.wifi.psk
        ));
        Ok(())
    }
}

/// Who reads the network's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Keyfile,
    Supplicant,
}

/// The way of this image, or why it has none.
fn way(view: &mut View<'_>) -> Result<Result<Way, String>, FsError> {
    match manager(view)? {
        Some(Manager::NetworkManager) => {
            if !any_there(view, &["/usr/sbin/wpa_supplicant", "/sbin/wpa_supplicant", "/usr/libexec/iwd"])? {
                return Ok(Err("NetworkManager needs wpa_supplicant for Wi-Fi, and the image has none".to_owned()));
            }
            Ok(Ok(Way::Keyfile))
        }
        Some(Manager::Dhcpcd) => {
            let hooks = [
                "/usr/lib/dhcpcd/dhcpcd-hooks/10-wpa_supplicant",
                "/lib/dhcpcd/dhcpcd-hooks/10-wpa_supplicant",
                "/usr/libexec/dhcpcd-hooks/10-wpa_supplicant",
            ];
            if !any_there(view, &["/usr/sbin/wpa_supplicant", "/sbin/wpa_supplicant"])? || !any_there(view, &hooks)? {
                let what =
                    "dhcpcd needs wpa_supplicant and its hook 10-wpa_supplicant for Wi-Fi, and the image lacks one";
                return Ok(Err(what.to_owned()));
            }
            let settings = view.root().text(&ImagePath::new("/etc/dhcpcd.conf")?, SETTINGS_LIMIT)?.unwrap_or_default();
            let off = |line: &str| {
                let mut words = line.split(|c: char| c.is_whitespace() || c == ',');
                words.next() == Some("nohook") && words.any(|word| word.ends_with("wpa_supplicant"))
            };
            if settings.lines().any(|line| off(line.trim())) {
                return Ok(Err("dhcpcd.conf of this image says `nohook wpa_supplicant`".to_owned()));
            }
            Ok(Ok(Way::Supplicant))
        }
        Some(Manager::Networkd) => {
            Ok(Err("systemd-networkd sets up the network of this image, and it does not do Wi-Fi by itself".to_owned()))
        }
        None => Ok(Err("neither NetworkManager nor dhcpcd is enabled on this image".to_owned())),
    }
}

fn any_there(view: &View<'_>, paths: &[&str]) -> Result<bool, FsError> {
    for path in paths {
        let path = view.root().resolve(&ImagePath::new(path)?)?;
        if view.root().stat(&path)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The kernel's regulatory domain. raspi-config of bookworm and later sets it in the same place; without one, only what
/// is allowed everywhere is used, and 5 GHz stays off.
fn country(view: &mut View<'_>, country: &str) -> Result<(), FsError> {
    const KEY: &str = "cfg80211.ieee80211_regdom=";
    let path = ImagePath::new("/cmdline.txt")?;
    let stat = view.boot().stat(&path)?.filter(|stat| stat.kind == FileKind::File);
    let (Some(stat), Some(old)) =
        (stat, view.boot().text(&path, SETTINGS_LIMIT)?.filter(|text| !text.trim().is_empty()))
    else {
        view.block("the Wi-Fi country cannot be set: the boot partition has no cmdline.txt, or an empty one");
        return Ok(());
    };
    let without: Vec<&str> = old.split(' ').filter(|word| !word.starts_with(KEY)).collect();
    let new = boot_settings::with_words(&without.join(" "), &[format!("{KEY}{country}")]);
    if !old.split_whitespace().any(|word| word == format!("{KEY}{country}")) {
        let why = "the country whose rules the radio keeps";
        let content = Content::Bytes(new.into_bytes());
        view.write(Volume::Boot, &path, content, stat.attributes, Class::Configuration.because(why, SOURCE))?;
    }
    Ok(())
}

/// Pi OS blocks the radio until a country is set: bullseye by rfkill's saved state, later releases by NetworkManager's
/// (pi-gen, stage2/02-net-tweaks/01-run.sh).
fn unblock(view: &mut View<'_>, way: Way) -> Result<(), FsError> {
    const PI_GEN: &str = "pi-gen, stage2/02-net-tweaks/01-run.sh";
    let directory = ImagePath::new("/var/lib/systemd/rfkill")?;
    let is_directory = view.root().stat(&directory)?.is_some_and(|stat| stat.kind == FileKind::Directory);
    let entries = if is_directory { view.root().list(&directory)? } else { Vec::new() };
    let mut names: Vec<Vec<u8>> =
        entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(b":wlan")).collect();
    if way == Way::Supplicant {
        // rfkill keeps its state under the radio's device path: Pi 3 and Pi 4, the two that pi-gen blocks. A card may
        // start in either.
        for name in ["platform-3f300000.mmcnr:wlan", "platform-fe300000.mmcnr:wlan"] {
            if !names.iter().any(|other| other == name.as_bytes()) {
                names.push(name.as_bytes().to_vec());
            }
        }
    }
    for name in names {
        let path = directory.join(&name)?;
        let attributes = view.root().stat(&path)?.map_or(Attributes::root(0o644), |stat| stat.attributes);
        let (content, why) = (Content::Bytes(b"0\n".to_vec()), "the radio is not blocked");
        if view.root().text(&path, SETTINGS_LIMIT)?.is_none_or(|text| text.trim() != "0") {
            view.write(Volume::Root, &path, content, attributes, Class::Configuration.because(why, PI_GEN))?;
        }
    }
    let path = ImagePath::new("/var/lib/NetworkManager/NetworkManager.state")?;
    let Some(stat) = view.root().stat(&path)?.filter(|_| way == Way::Keyfile) else { return Ok(()) };
    let old = view.root().text(&path, SETTINGS_LIMIT)?.unwrap_or_default();
    let new: String = old
        .split_inclusive('\n')
        .map(|line| match line.split_once('=') {
            Some((key, value)) if key.trim() == "WirelessEnabled" && value.trim() == "false" => {
                "WirelessEnabled=true\n"
            }
            _ => line,
        })
        .collect();
    if new != old {
        let (content, why) = (Content::Bytes(new.into_bytes()), "NetworkManager switches the radio on");
        view.write(Volume::Root, &path, content, stat.attributes, Class::Configuration.because(why, PI_GEN))?;
    }
    Ok(())
}

/// Bullseye moves a wpa_supplicant.conf of the boot partition over the card's own at the first boot.
fn remove_boot_file(view: &mut View<'_>) -> Result<(), FsError> {
    let path = ImagePath::new("/wpa_supplicant.conf")?;
    let why = "at the first boot it would take the place of the card's own network";
    if view.remove(Volume::Boot, &path, Class::Secret.because(why, "raspberrypi-net-mods.service"))? {
        view.warn(
            "wpa_supplicant.conf on the boot partition goes, with every network in it: [network.wifi] takes its place",
        );
    }
    Ok(())
}

/// What cloud-init would make of network-config on the boot partition.
fn report_network_config(view: &mut View<'_>) -> Result<(), FsError> {
    let text = view.boot().text(&ImagePath::new("/network-config")?, SETTINGS_LIMIT)?.unwrap_or_default();
    if text.lines().any(|line| line.trim_start().starts_with("wifis:")) {
        view.warn(
            "network-config on the boot partition sets up Wi-Fi too: where both networks are in reach, the recipe's is \
             taken, because its profile has the higher priority",
        );
    }
    Ok(())
}

/// The edit that gives a card its network: a file of root's that nobody else can read, on ext4.
///
/// # Errors
/// [`StepError::Refused`] where the image cannot do Wi-Fi; the golden image was not made by this recipe then.
pub fn card_network(view: &mut View<'_>, wifi: &Wifi, psk: &Secret) -> Result<StoredSecret, StepError> {
    let way = way(view)?.map_err(|what| StepError::Refused {
        what: format!("[network.wifi] cannot be set up: {what}"),
        next: "make the golden image anew".to_owned(),
    })?;
    let (path, text, stored) = match way {
        Way::Keyfile => {
            let path = ImagePath::new("/etc/NetworkManager/system-connections/cardsmith-wifi.nmconnection")
                .map_err(FsError::from)?;
            let (text, stored) = keyfile::keyfile(wifi, psk.expose());
            (path, text, stored)
        }
        Way::Supplicant => {
            let path = view
                .root()
                .resolve(&ImagePath::new("/etc/wpa_supplicant/wpa_supplicant.conf").map_err(FsError::from)?)?;
            let old = Zeroizing::new(view.root().text(&path, SETTINGS_LIMIT)?.unwrap_or_default());
            let (text, stored) = supplicant::with_network(&old, wifi, psk.expose());
            (path, text, stored)
        }
    };
    // After writing, the card is searched for the secret: it must be there this often, and nowhere else.
    let times = text.matches(stored.as_str()).count();
    let content = Content::Secret(Zeroizing::new(text.as_bytes().to_vec()));
    let why = "the card's Wi-Fi network with its password";
    view.write(Volume::Root, &path, content, Attributes::root(0o600), Class::Secret.because(why, SOURCE))?;
    Ok(StoredSecret { what: "Wi-Fi password", bytes: Zeroizing::new(stored.as_bytes().to_vec()), times })
}
