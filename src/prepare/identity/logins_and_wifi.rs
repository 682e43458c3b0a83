//! Who may log in and which networks are known: kept unless the recipe says otherwise, because a fleet is often meant to
//! have them in common.

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, View, Volume, pattern};
use crate::recipe::schema::{Also, Strip};

const LIMIT: u64 = 1 << 20;
const BY_RECIPE: &str = "the recipe, [strip] also";

/// Proposes to remove `authorized_keys` and saved Wi-Fi where the recipe says so, and says how many stay otherwise.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>, strip: &Strip) -> Result<(), FsError> {
    authorized_keys(view, strip.strips(Also::AuthorizedKeys))?;
    wifi(view, strip.strips(Also::Wifi))
}

/// The files of settings that a pattern means, without what is too large for one.
fn find_files(view: &View<'_>, pattern: &str) -> Result<Vec<ImagePath>, FsError> {
    let mut files = Vec::new();
    for path in view.find(pattern)? {
        if view
            .tree(pattern::volume_of(pattern))
            .stat(&path)?
            .is_some_and(|stat| stat.kind == FileKind::File && stat.size <= LIMIT)
        {
            files.push(path);
        }
    }
    Ok(files)
}

fn authorized_keys(view: &mut View<'_>, remove: bool) -> Result<(), FsError> {
    let found = find_files(view, "~/.ssh/authorized_keys*")?;
    if remove {
        for path in found {
            view.remove(Volume::Root, &path, Class::Privilege.because("who may log in by key", BY_RECIPE))?;
        }
    } else if !found.is_empty() {
        let names: Vec<String> = found.iter().map(ToString::to_string).collect();
        view.note(format!(
            "{} stay: every card accepts these keys. [strip] also = [\"authorized-keys\"] removes them",
            names.join(", ")
        ));
    }
    Ok(())
}

fn wifi(view: &mut View<'_>, remove: bool) -> Result<(), FsError> {
    let mut kept = 0_usize;
    for pattern in ["/etc/NetworkManager/system-connections/*", "/etc/netplan/90-NM-*.yaml", "/var/lib/iwd/*"] {
        for path in find_files(view, pattern)? {
            let text = view.root().text(&path, LIMIT)?.unwrap_or_default();
            if !is_wifi(&path, &text) {
                continue;
            }
            if remove {
                view.remove(Volume::Root, &path, Class::Secret.because("a saved Wi-Fi network", BY_RECIPE))?;
            } else {
                kept += 1;
            }
        }
    }
    for pattern in ["/etc/wpa_supplicant/wpa_supplicant*.conf", "boot:/wpa_supplicant.conf"] {
        let volume = pattern::volume_of(pattern);
        for path in find_files(view, pattern)? {
            let text = view.tree(volume).text(&path, LIMIT)?.unwrap_or_default();
            let (rest, networks) = without_networks(&text);
            if networks == 0 {
                continue;
            }
            let Some(stat) = view.tree(volume).stat(&path)?.filter(|_| remove) else {
                kept += networks;
                continue;
            };
            let content = Content::Bytes(rest.into_bytes());
            view.write(
                volume,
                &path,
                content,
                stat.attributes,
                Class::Secret.because("saved Wi-Fi networks", BY_RECIPE),
            )?;
        }
    }
    for pattern in ["/etc/netplan/*.yaml", "boot:/network-config"] {
        let volume = pattern::volume_of(pattern);
        for path in find_files(view, pattern)? {
            let text = view.tree(volume).text(&path, LIMIT)?.unwrap_or_default();
            if !is_netplan_wifi(&text) || path.as_bytes().starts_with(b"/etc/netplan/90-NM-") {
                continue;
            }
            if remove {
                view.warn(format!("{path} describes Wi-Fi together with other networks: take it out there yourself"));
            } else {
                kept += 1;
            }
        }
    }
    if kept > 0 {
        view.note(format!(
            "{kept} saved Wi-Fi {} with {} on every card. [strip] also = [\"wifi\"] removes what is saved",
            if kept == 1 { "network stays," } else { "networks stay," },
            if kept == 1 { "its password" } else { "their passwords" },
        ));
    }
    Ok(())
}

fn is_wifi(path: &ImagePath, text: &str) -> bool {
    let name = path.name().unwrap_or_default();
    let by_type = || {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .any(|(key, value)| key.trim() == "type" && matches!(value.trim(), "wifi" | "802-11-wireless"))
    };
    if name.ends_with(b".yaml") {
        is_netplan_wifi(text)
    } else if path.as_bytes().starts_with(b"/var/lib/iwd/") {
        [&b".psk"[..], b".open", b".8021x"].iter().any(|end| name.ends_with(end))
    } else {
        by_type()
    }
}

fn is_netplan_wifi(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("wifis:"))
}

/// A wpa_supplicant.conf without its `network={…}` blocks, and how many there were.
fn without_networks(text: &str) -> (String, usize) {
    let (mut rest, mut networks, mut inside) = (String::new(), 0, false);
    for line in text.split_inclusive('\n') {
        let bare: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        if !inside && bare.starts_with("network={") {
            networks += 1;
            inside = !bare.ends_with('}');
        } else if inside {
            inside = bare != "}";
        } else {
            rest.push_str(line);
        }
    }
    (rest, networks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_cut_out_of_wpa_supplicant_and_the_country_stays() {
        let text = "country=GB\nnetwork={\n\tssid=\"a}\"\n\tpsk=00\n}\nupdate_config=1\n  network = {\n}\n";
        assert_eq!(without_networks(text), ("country=GB\nupdate_config=1\n".to_owned(), 2));
        assert_eq!(without_networks("country=GB\n"), ("country=GB\n".to_owned(), 0));
    }
}
