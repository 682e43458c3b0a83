//! Rules of `[locale]`, `[boot]` and `[[unit]]`.

use std::collections::HashSet;

use super::Checker;
use crate::recipe::schema::{Boot, Locale, Unit};

/// What the firmware reads of a line of config.txt; it ignores the rest (raspberrypi.com, config.txt, "File format").
const LONGEST_CONFIG_LINE: usize = 98;

impl Checker<'_> {
    pub(super) fn locale(&mut self, locale: &Locale) {
        if locale.time_zone.as_deref().is_some_and(|zone| !is_time_zone(zone)) {
            self.report(
                &["locale", "time-zone"],
                "this is not a time zone's name",
                "as `timedatectl list-timezones` shows them: \"Europe/Berlin\", \"UTC\"",
            );
        }
        if locale.keyboard.as_deref().is_some_and(|keyboard| keyboard_parts(keyboard).is_none()) {
            self.report(
                &["locale", "keyboard"],
                "this is not a keyboard layout",
                "a layout, with a variant in parentheses where it needs one: \"gb\", \"de(nodeadkeys)\"",
            );
        }
        if locale.locale.as_deref().is_some_and(|locale| !is_locale(locale)) {
            self.report(
                &["locale", "locale"],
                "this is not a locale's name",
                "with its character set: \"en_GB.UTF-8\", \"C.UTF-8\"",
            );
        }
    }

    pub(super) fn boot(&mut self, boot: &Boot) {
        for (at, line) in boot.config.iter().enumerate() {
            let at = at.to_string();
            let problem = if line.len() > LONGEST_CONFIG_LINE {
                Some(("the firmware ignores what stands behind the 98th character", "shorten the line"))
            } else if line.trim().is_empty() || line.chars().any(char::is_control) || line.trim() != line {
                Some(("this is not one line of config.txt", "one line each, without blanks at its ends"))
            } else if line.starts_with('[') && !is_filter(line) {
                Some(("this is not a filter of config.txt", "for example \"[pi4]\", \"[all]\""))
            } else {
                None
            };
            if let Some((what, help)) = problem {
                self.report(&["boot", "config", &at], what, help);
            }
        }
        for (at, word) in boot.cmdline.iter().enumerate() {
            let at = at.to_string();
            let key = word.split('=').next().unwrap_or_default();
            if word.is_empty() || !word.chars().all(|c| c.is_ascii_graphic()) || word.contains(['"', '\'']) {
                self.report(
                    &["boot", "cmdline", &at],
                    "this is not one word of cmdline.txt",
                    "one word each, without blanks and quotes: \"consoleblank=0\"",
                );
            } else if ["root", "rootfstype", "rootflags", "init", "resize", "--"].contains(&key) {
                self.report(
                    &["boot", "cmdline", &at],
                    format!(
                        "`{}` decides whether the card starts at all, and the image has it right",
                        key.escape_default()
                    ),
                    "remove it",
                );
            }
        }
    }

    pub(super) fn units(&mut self, units: &[Unit]) {
        let mut earlier = HashSet::new();
        for (at, unit) in units.iter().enumerate() {
            let number = at.to_string();
            if !is_unit_name(&unit.name) {
                self.report(
                    &["unit", &number, "name"],
                    "this is not a unit's name",
                    "with its suffix: \"bluetooth.service\", \"fstrim.timer\", \"getty@tty2.service\"",
                );
            } else if !earlier.insert(unit.name.as_str()) {
                self.report(&["unit", &number, "name"], "an earlier [[unit]] has the same name", "keep one of them");
            }
        }
    }
}

fn is_time_zone(zone: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c))
    };
    zone.len() <= 100 && zone.split('/').all(part) && !zone.starts_with("posix/") && !zone.starts_with("right/")
}

/// Layout and variant of `de(nodeadkeys)`.
pub(crate) fn keyboard_parts(keyboard: &str) -> Option<(&str, &str)> {
    let word = |text: &str| {
        (1..=40).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    match keyboard.split_once('(') {
        None => word(keyboard).then_some((keyboard, "")),
        Some((layout, rest)) => {
            let variant = rest.strip_suffix(')')?;
            (word(layout) && word(variant)).then_some((layout, variant))
        }
    }
}

fn is_locale(locale: &str) -> bool {
    if ["C", "POSIX", "C.UTF-8"].contains(&locale) {
        return true;
    }
    let (name, modifier) = locale.split_once('@').map_or((locale, None), |(name, modifier)| (name, Some(modifier)));
    let Some((language, charset)) = name.split_once('.') else { return false };
    let (language, territory) = language.split_once('_').map_or((language, None), |(l, t)| (l, Some(t)));
    let all = |text: &str, least: usize, most: usize, allowed: fn(char) -> bool| {
        (least..=most).contains(&text.len()) && text.chars().all(allowed)
    };
    all(language, 2, 3, |c| c.is_ascii_lowercase())
        && territory.is_none_or(|territory| all(territory, 2, 2, |c| c.is_ascii_uppercase()))
        && all(charset, 3, 15, |c| c.is_ascii_alphanumeric() || c == '-')
        && modifier.is_none_or(|modifier| all(modifier, 2, 15, |c| c.is_ascii_alphanumeric()))
}

fn is_filter(line: &str) -> bool {
    let inner = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
    inner.is_some_and(|inner| {
        !inner.is_empty() && inner.chars().all(|c| c.is_ascii_alphanumeric() || "+=:_-.".contains(c))
    })
}

/// systemd.unit(5): the characters of a name, and the suffixes that can be enabled or masked.
fn is_unit_name(name: &str) -> bool {
    const SUFFIXES: [&str; 9] = ["service", "socket", "timer", "path", "mount", "automount", "swap", "target", "slice"];
    let Some((prefix, suffix)) = name.rsplit_once('.') else { return false };
    name.len() <= 255
        && SUFFIXES.contains(&suffix)
        && !prefix.is_empty()
        && !prefix.starts_with(['@', '.'])
        && prefix.chars().all(|c| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_system_are_told_from_what_only_looks_like_them() {
        for good in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
            assert!(is_time_zone(good), "{good}");
        }
        for bad in ["", "/etc/passwd", "../x", "Europe/", "Europe/..", "posix/UTC", "a b", "Europe//Berlin"] {
            assert!(!is_time_zone(bad), "{bad}");
        }
        for good in ["C.UTF-8", "en_GB.UTF-8", "de_DE.ISO-8859-15@euro", "eo.UTF-8"] {
            assert!(is_locale(good), "{good}");
        }
        for bad in ["", "en_GB", "en_gb.UTF-8", "english", "en_GB.UTF-8\nX=1", "en_GB.UTF-8;reboot"] {
            assert!(!is_locale(bad), "{bad}");
        }
        assert_eq!(keyboard_parts("de(nodeadkeys)"), Some(("de", "nodeadkeys")));
        assert_eq!(keyboard_parts("gb"), Some(("gb", "")));
        assert!(
            keyboard_parts("de(").is_none() && keyboard_parts("us,ru").is_none() && keyboard_parts("a\"b").is_none()
        );
    }

    #[test]
    fn unit_names_have_a_suffix_that_can_be_enabled() {
        for good in ["ssh.service", "getty@tty2.service", "getty@.service", "a\\x2db.mount", "fstrim.timer"] {
            assert!(is_unit_name(good), "{good}");
        }
        for bad in ["ssh", ".service", "@x.service", "a/b.service", "a b.service", "x.scope", "a.service\n"] {
            assert!(!is_unit_name(bad), "{bad}");
        }
    }
}
