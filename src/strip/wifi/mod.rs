//! Saved Wi-Fi networks, wherever they are written: kept unless the recipe says otherwise, because a fleet is often meant to
//! have them in common. With `also = ["wifi"]` none is left, or no golden image is made.

mod connman;
mod cut;
mod first_boot_files;
mod interfaces;
mod netplan;
mod places;
mod rules;
mod take_out;
mod wpa;

pub use rules::RULES;

use self::cut::{Cut, is_bare};
use self::places::Place;
use self::take_out::{GROUP, Left, block, take_out};
use super::choices::{Choice, Strip};
use super::proposal;
use super::rule::Rule;
use crate::fs::ImagePath;
use crate::prepare::{StepError, View};

/// Proposes to take them out where the recipe says so, and names them otherwise.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>, strip: &Strip) -> Result<(), StepError> {
    for rule in RULES.iter().filter(|rule| rule.by_code) {
        match strip.choice(rule) {
            Some(Choice::Keep) => {}
            None => {
                let there = places::found_by(rule, view)?.into_iter().map(|place| (place.volume, place.path));
                proposal::name(rule, view, &there.collect::<Vec<_>>())?;
            }
            Some(Choice::Strip) => {
                for Place { volume, path, file } in places::found_by(rule, view)? {
                    take_out(view, strip, volume, &path, &file, &|text| rest_of(rule, &path, text))?;
                }
                for path in places::unreadable(rule, view)? {
                    block(view, strip, path.0, &path.1, "it is no text, so nobody can tell whether it holds one");
                }
            }
        }
    }
    if strip.strips(GROUP) {
        first_boot_files::propose(view, strip)?;
    }
    Ok(())
}

/// What is left of a file of a rule.
fn rest_of(rule: &Rule, path: &ImagePath, text: &str) -> Left {
    let name = path.name().unwrap_or_default().to_ascii_lowercase();
    let is = |endings: &[&str]| endings.iter().any(|end| name.ends_with(end.as_bytes()));
    let checked = |cut: Result<Cut, &'static str>| match cut {
        Ok(cut) if is_bare(&cut.rest) => Left::Nothing(cut),
        Ok(cut) => Left::Text(cut),
        Err(why) => Left::Blocked(why),
    };
    match rule.id {
        // What an editor left is nobody's settings.
        _ if is(&[".swp", ".swo", "~"]) => Left::Nothing(Cut::all(text)),
        "netplan-wifi" if name.starts_with(b"90-nm-") => Left::Nothing(Cut::all(text)),
        "netplan-wifi" if is(&[".yaml", ".cfg", "network-config"]) => checked(netplan::without_wifi(text)),
        // The file stays although it is empty: without one, Imager cannot write its own.
        "boot-network-config" => match netplan::without_wifi(text) {
            Ok(cut) => Left::Text(cut),
            Err(why) => Left::Blocked(why),
        },
        // Scripts of the package stand beside the settings.
        "wpa-supplicant-wifi" if is(&[".sh"]) => Left::Blocked("it is a script"),
        "wpa-supplicant-wifi" if is(&[".conf", ".txt"]) => Left::Text(wpa::without_networks(text)),
        "ifupdown-wifi" if name == b"interfaces" || path.as_bytes().starts_with(b"/etc/network/interfaces.d/") => {
            match interfaces::without_wifi(text) {
                Ok(cut) => Left::Text(cut),
                Err(why) => Left::Blocked(why),
            }
        }
        "connman-wifi" if is(&[".config"]) || path.as_bytes() == b"/var/lib/connman/settings" => {
            checked(Ok(connman::without_wifi(text)))
        }
        // One file is one network, or an old copy. An access point without its password would be an open one.
        _ => Left::Nothing(Cut::all(text)),
    }
}
