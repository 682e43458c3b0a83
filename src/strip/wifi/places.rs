//! Where Wi-Fi networks of a rule are: at its places, where links there lead, and where other settings say.

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{SETTINGS_LIMIT, View, Volume, pattern};
use crate::strip::expressions::any_matches;
use crate::strip::named_in_settings::named;
use crate::strip::proposal::{behind, found};
use crate::strip::rule::{Counts, Rule};

/// A file with networks: its name, and where it stands if that name is a link.
pub(super) struct Place {
    pub volume: Volume,
    pub path: ImagePath,
    pub file: ImagePath,
}

/// What settings name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// A file like those at the rule's places.
    Settings,
    /// A file of nothing but passwords.
    Passwords,
}

const INTERFACES: &[&str] = &["/etc/network/interfaces", "/etc/network/interfaces.d/*"];
/// Settings that name a file of a rule: which rule, where they are, what is in front of the name, and what the file is.
const NAMED_BY: &[(&str, &[&str], &str, Names)] = &[
    ("wpa-supplicant-wifi", INTERFACES, r"^\s*(?:wpa-conf|wpa-roam)\s+(/\S+)", Names::Settings),
    ("wpa-supplicant-wifi", INTERFACES, r"^\s*(?:wpa-psk-file|wpa-passphrase-file)\s+(/\S+)", Names::Passwords),
    (
        "wpa-supplicant-wifi",
        &["/etc/wpa_supplicant/*", "/etc/wpa_supplicant.conf"],
        r"^\s*ext_password_backend=file:(/\S+)",
        Names::Passwords,
    ),
    ("hostapd", &["/etc/default/hostapd"], r#"^\s*DAEMON_CONF=["']?(/[^\s"']+)"#, Names::Settings),
    (
        "hostapd",
        &["/etc/hostapd/*", "/etc/hostapd.conf"],
        r"^\s*(?:wpa_psk_file|sae_password_file|eap_user_file)=(/\S+)",
        Names::Passwords,
    ),
];

/// Every file of a rule.
pub(super) fn found_by(rule: &Rule, view: &View<'_>) -> Result<Vec<Place>, FsError> {
    let mut there: Vec<Place> = Vec::new();
    for (volume, path) in found(rule, view)? {
        let file = behind(&view.tree(volume), &path)?;
        there.push(Place { volume, path, file });
    }
    let mut more = Vec::new();
    for (_, settings, expression, names) in NAMED_BY.iter().filter(|(id, ..)| *id == rule.id) {
        more.extend(named(view, settings, expression)?.into_iter().map(|path| (Volume::Root, path, *names)));
    }
    for (volume, path, names) in more {
        let file = view.tree(volume).resolve(&path)?;
        let known = there.iter().any(|place| place.volume == volume && place.path == path);
        let is_filled = view.tree(volume).stat(&file)?.is_some_and(|stat| stat.kind == FileKind::File && stat.size > 0);
        if !known && is_filled && (names == Names::Passwords || holds(rule, view, volume, &file)?) {
            there.push(Place { volume, path, file });
        }
    }
    Ok(there)
}

/// Whether a file counts, as it would at a place of the rule.
fn holds(rule: &Rule, view: &View<'_>, volume: Volume, file: &ImagePath) -> Result<bool, FsError> {
    let Some(stat) = view.tree(volume).stat(file)?.filter(|stat| stat.kind == FileKind::File) else { return Ok(false) };
    Ok(match rule.counts {
        Counts::Text(expressions) if stat.size <= SETTINGS_LIMIT => {
            any_matches(expressions, &view.tree(volume).text(file, SETTINGS_LIMIT)?.unwrap_or_default())
        }
        _ => stat.size > 0,
    })
}

/// Files at the places of a rule by text that are no text, and in which it finds nothing for that reason.
pub(super) fn unreadable(rule: &Rule, view: &View<'_>) -> Result<Vec<(Volume, ImagePath)>, FsError> {
    let mut unreadable = Vec::new();
    for place in rule.places.iter().filter(|_| matches!(rule.counts, Counts::Text(_))) {
        let volume = pattern::volume_of(place);
        for path in view.find(place)? {
            let stat = view.tree(volume).stat(&path)?;
            if !stat.is_some_and(|stat| stat.kind == FileKind::File && stat.size <= SETTINGS_LIMIT) {
                continue;
            }
            let content = view.tree(volume).read(&path, SETTINGS_LIMIT)?;
            // Certificates beside the profiles that name them.
            let is_certificate =
                [&b".der"[..], b".p12", b".pfx", b".crt"].iter().any(|end| path.as_bytes().ends_with(end));
            // Not UTF-8, or, as UTF-16 is, full of zeroes.
            let is_text = std::str::from_utf8(&content).is_ok() && !content.contains(&0);
            if !is_text && !is_certificate && !holds(rule, view, volume, &path)? {
                unreadable.push((volume, path));
            }
        }
    }
    Ok(unreadable)
}
