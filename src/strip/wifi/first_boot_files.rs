//! First-boot files set Wi-Fi up among other things, and have rules of their own; of them, too, none may be left. A table
//! of TOML is taken out; scripts and what reads like one stop the golden image.

use super::cut::{Cut, is_bare};
use super::take_out::{Left, take_out};
use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{StepError, View, Volume};
use crate::strip::Strip;
use crate::strip::expressions::any_matches;
use crate::strip::first_boot::nothing_starts_firstrun;

/// Words of commands and settings that set Wi-Fi up.
const WORDS: &[&str] = &[
    r"\bwifis\b|access-points|wpa[_-](supplicant|passphrase|psk|password)|\bpsk\b|\bsae_password|wep[_-]key",
    r"\b(nmcli|iwctl|connmanctl)\b|set_wlan|do_wifi_ssid_passphrase|nmconnection|hostapd",
];
/// Content that is packed can hold anything.
const PACKED: &[&str] =
    &[r#"^\s*-?\s*encoding\s*:\s*["']?(gz|b64|base64)"#, r"^content-transfer-encoding\s*:\s*base64"];

/// Takes it out of every first-boot file that is not removed anyway.
pub(super) fn propose(view: &mut View<'_>, strip: &Strip) -> Result<(), StepError> {
    let mut places = vec![(Volume::Boot, ImagePath::root())];
    for directory in ["/boot", "/boot/firmware"] {
        places.push((Volume::Root, ImagePath::new(directory)?));
    }
    places.extend(view.find("/var/lib/cloud/seed/*")?.into_iter().map(|path| (Volume::Root, path)));
    for (volume, directory) in places {
        for (name, rule) in [
            ("custom.toml", "custom-toml"),
            ("rpi-preseed.toml", "rpi-preseed"),
            ("user-data", "user-data"),
            ("vendor-data", "user-data"),
            ("firstrun.sh", "firstrun"),
            ("firstboot.sh", "firstrun"),
        ] {
            let path = directory.join(name)?;
            let goes = strip.strips(rule) || strip.strips("first-boot-files") || is_spent(view, strip, volume, &path)?;
            let is_file = view.tree(volume).stat(&path)?.is_some_and(|stat| stat.kind == FileKind::File);
            if goes || !is_file {
                continue;
            }
            take_out(view, strip, volume, &path, &path, &|text| rest_of(name, text))?;
        }
    }
    Ok(())
}

/// A script that nothing starts any more goes by a rule of its own.
fn is_spent(view: &View<'_>, strip: &Strip, volume: Volume, path: &ImagePath) -> Result<bool, FsError> {
    if volume != Volume::Boot || path.as_bytes() != b"/firstrun.sh" || strip.keeps("first-boot-files") {
        return Ok(false);
    }
    nothing_starts_firstrun(view)
}

fn rest_of(name: &str, text: &str) -> Left {
    if name.ends_with(".toml") {
        return match without_wlan(text) {
            Ok(None) => Left::Everything,
            Ok(Some(cut)) if is_bare(&cut.rest) => Left::Nothing(cut),
            Ok(Some(cut)) => Left::Text(cut),
            Err(why) => Left::Blocked(why),
        };
    }
    // In YAML a comment is no setting, and the ones that images come with have examples; in a script nobody can tell.
    let says: String = match name.ends_with("-data") {
        true => {
            text.lines().filter(|line| !line.trim_start().starts_with('#')).map(|line| format!("{line}\n")).collect()
        }
        false => text.to_owned(),
    };
    if any_matches(PACKED, &says) {
        Left::Blocked("it holds packed files, in which a password may be")
    } else if any_matches(WORDS, &says) {
        Left::Blocked("it sets it up among other things")
    } else {
        Left::Everything
    }
}

/// A TOML file without `[wlan]`, but with the country in which the radio is; `None` where it has no network.
///
/// # Errors
/// What is in the way, for a person.
fn without_wlan(text: &str) -> Result<Option<Cut>, &'static str> {
    let before: toml::Table = text.parse().map_err(|_| "it is broken TOML")?;
    let mut expected = before.clone();
    let cut = match expected.remove("wlan") {
        None => Cut { rest: text.to_owned(), gone: String::new() },
        Some(wlan) => {
            let country = wlan.get("country").and_then(toml::Value::as_str);
            let country = country.filter(|name| name.len() == 2 && name.bytes().all(|b| b.is_ascii_alphabetic()));
            let mut cut = without_table(text);
            if let Some(country) = country {
                cut.rest.push_str(&format!("[wlan]\ncountry = \"{country}\"\n"));
                let only = toml::Table::from_iter([("country".to_owned(), toml::Value::from(country))]);
                expected.insert("wlan".to_owned(), only.into());
            }
            cut
        }
    };
    // A line that looks like a header may be one of a text over several lines.
    if cut.rest.parse::<toml::Table>().ok() != Some(expected.clone()) {
        return Err("its [wlan] table is written in a way that lines do not tell apart");
    }
    if any_matches(WORDS, &cut.rest) {
        return Err("it sets it up in another place than [wlan], too");
    }
    Ok((expected != before).then_some(cut))
}

fn without_table(text: &str) -> Cut {
    let (mut cut, mut inside) = (Cut::default(), false);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start();
        if let Some(header) = bare.strip_prefix('[') {
            let header = header.trim_start_matches('[');
            let table = header.split([']', '.']).next().unwrap_or_default().trim().trim_matches(['"', '\'']);
            inside = table == "wlan";
        }
        let is_key = bare.strip_prefix("wlan").is_some_and(|rest| rest.trim_start().starts_with(['.', '=']));
        match inside || is_key {
            true => cut.take(line),
            false => cut.keep(line),
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_goes_and_the_country_stays() {
        let text = "a = 1\n[wlan]\nssid = \"x\"\npassword = \"y\"\ncountry = \"GB\"\n[wlan.more]\nz = \
            1\n[locale]\nkeymap = \"gb\"\n";
        let left = "a = 1\n[locale]\nkeymap = \"gb\"\n[wlan]\ncountry = \"GB\"\n";
        assert_eq!(without_wlan(text).unwrap().unwrap().rest, left);
        assert!(without_wlan(left).unwrap().is_none(), "a country is no network");
        assert_eq!(without_wlan("wlan = {password = \"x\"}\na = 1\n").unwrap().unwrap().rest, "a = 1\n");
        assert!(without_wlan("a = 1\n[wlan\npassword = \"x\"\n").is_err());
        assert!(without_wlan("a = \"\"\"\n[wlan]\n\"\"\"\n[wlan]\npassword = \"x\"\n").is_err());
        assert!(without_wlan("[runcmd]\nlate = [\"nmcli d wifi connect x password y\"]\n").is_err());
    }
}
