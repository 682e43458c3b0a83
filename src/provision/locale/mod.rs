//! The step that carries out `[locale]`: time zone, keyboard and language, each checked against what the image holds.

mod archive;

use super::cloud_config;
use super::units::{links, report_failure};
use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, Step, StepError, View, Volume};
use crate::recipe::keyboard_parts;
use crate::recipe::schema::Locale;

const LIMIT: u64 = 4 << 20;
const SOURCE: &str = "the recipe, [locale]";
const ZONES: &str = "/usr/share/zoneinfo";
const GENERATE_UNIT: &str = "cardsmith-locale.service";
const GENERATE_UNIT_TEXT: &str = include_str!("cardsmith-locale.service");
const GENERATE_FLAG: &str = "/var/lib/cardsmith/locale";

/// Sets time zone, keyboard and language.
pub struct SetLocale<'r> {
    locale: &'r Locale,
}

impl<'r> SetLocale<'r> {
    /// As `[locale]` says.
    pub fn new(locale: &'r Locale) -> SetLocale<'r> {
        SetLocale { locale }
    }
}

impl Step for SetLocale<'_> {
    fn name(&self) -> &'static str {
        "locale"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        let mut keys = Vec::new();
        if let Some(zone) = &self.locale.time_zone {
            time_zone(view, zone)?;
            keys.push("timezone");
        }
        if let Some(keyboard) = &self.locale.keyboard {
            set_keyboard(view, keyboard)?;
            keys.push("keyboard");
        }
        if let Some(locale) = &self.locale.locale {
            language(view, locale)?;
            keys.extend(["locale", "locale_configfile"]);
        }
        if cloud_config::is_active(view)? {
            cloud_config::remove_from_user_data(view, &keys, "[locale]")?;
        }
        Ok(())
    }
}

/// The file that a path leads to, where it is a regular one.
fn file(view: &View<'_>, path: &str) -> Result<Option<ImagePath>, FsError> {
    let path = view.root().resolve(&ImagePath::new(path)?)?;
    Ok(view.root().stat(&path)?.filter(|stat| stat.kind == FileKind::File).map(|_| path))
}

fn is_directory(view: &View<'_>, path: &str) -> Result<bool, FsError> {
    let path = view.root().resolve(&ImagePath::new(path)?)?;
    Ok(view.root().stat(&path)?.is_some_and(|stat| stat.kind == FileKind::Directory))
}

/// Writes a text file where it really is, with the mode that it has.
fn put(view: &mut View<'_>, path: &str, text: String, why: &'static str) -> Result<(), FsError> {
    let path = view.root().resolve(&ImagePath::new(path)?)?;
    let attributes = match view.root().stat(&path)? {
        Some(stat) if stat.kind == FileKind::File => stat.attributes,
        _ => Attributes::root(0o644),
    };
    let content = Content::Bytes(text.into_bytes());
    view.write(Volume::Root, &path, content, attributes, Class::Configuration.because(why, SOURCE))?;
    Ok(())
}

/// What `timedatectl set-timezone` and Debian's tzdata write.
fn time_zone(view: &mut View<'_>, zone: &str) -> Result<(), FsError> {
    let place = format!("{ZONES}/{zone}");
    let mut magic = [0; 4];
    let is_zone = match file(view, &place)? {
        Some(path) => view.root().read_part(&path, 0, &mut magic)? == magic.len() && &magic == b"TZif",
        None => false,
    };
    if !is_zone {
        view.block(format!("the image does not know the time zone {zone} (no such file in {ZONES})"));
        return Ok(());
    }
    let localtime = ImagePath::new("/etc/localtime")?;
    view.symlink(&localtime, &place, Class::Configuration.because("the card's time zone", "localtime(5)"))?;
    // Debian until bookworm; trixie's tzdata has no such file any more.
    if file(view, "/etc/timezone")?.is_some() {
        put(view, "/etc/timezone", format!("{zone}\n"), "the card's time zone, as Debian's tzdata notes it")?;
    }
    Ok(())
}

/// keyboard(5): console and desktop read /etc/default/keyboard.
fn set_keyboard(view: &mut View<'_>, keyboard: &str) -> Result<(), FsError> {
    const FILE: &str = "/etc/default/keyboard";
    let Some((layout, variant)) = keyboard_parts(keyboard) else { return Ok(()) };
    let setupcon = file(view, "/usr/bin/setupcon")?.or(file(view, "/bin/setupcon")?);
    if setupcon.is_none() && file(view, FILE)?.is_none() {
        view.block("the keyboard cannot be set: the image has neither setupcon nor /etc/default/keyboard");
        return Ok(());
    }
    let folders = ["/usr/share/X11/xkb/symbols", "/usr/share/xkeyboard-config-2/symbols"];
    let mut symbols = None;
    let mut any = false;
    for folder in folders {
        any |= is_directory(view, folder)?;
        symbols = symbols.or(file(view, &format!("{folder}/{layout}"))?);
    }
    let Some(symbols) = symbols else {
        view.block(if any {
            format!("the image does not know the keyboard layout {layout} (no such file in {})", folders[0])
        } else {
            format!("whether the image knows the keyboard layout {layout} cannot be told: it has no {}", folders[0])
        });
        return Ok(());
    };
    let text = view.root().text(&symbols, LIMIT)?.unwrap_or_default();
    if !variant.is_empty() && !text.contains(&format!("\"{variant}\"")) {
        view.block(format!("the keyboard layout {layout} of the image has no variant {variant}"));
        return Ok(());
    }
    let old = match file(view, FILE)? {
        Some(path) => view.root().text(&path, LIMIT)?.unwrap_or_default(),
        None => "XKBMODEL=\"pc105\"\nXKBOPTIONS=\"\"\nBACKSPACE=\"guess\"\n".to_owned(),
    };
    let new = with_setting(&with_setting(&old, "XKBLAYOUT", layout), "XKBVARIANT", variant);
    put(view, FILE, new, "the card's keyboard")?;
    // setupcon compiles them anew; the old ones would be loaded at boot instead.
    for path in ["/etc/console-setup/cached_setup_keyboard.sh", "/etc/console-setup/cached_UTF-8_del.kmap.gz"] {
        let why = "a compiled copy of the old keyboard, which would be used at boot";
        view.remove(Volume::Root, path, Class::Transient.because(why, "setupcon(1), --save"))?;
    }
    Ok(())
}

/// A file of shell assignments in which `key` has this value, once.
fn with_setting(text: &str, key: &str, value: &str) -> String {
    let mut done = false;
    let mut new = String::new();
    for line in text.lines() {
        let is_it = line.trim_start().strip_prefix(key).is_some_and(|rest| rest.starts_with('='));
        if !is_it {
            new.push_str(line);
            new.push('\n');
        } else if !done {
            done = true;
            new.push_str(&format!("{key}=\"{value}\"\n"));
        }
    }
    if !done {
        new.push_str(&format!("{key}=\"{value}\"\n"));
    }
    new
}

/// locale(5), locale.gen(5), update-locale(8).
fn language(view: &mut View<'_>, locale: &str) -> Result<(), StepError> {
    if !archive::has(view, locale)? && !generate(view, locale)? {
        view.block(format!(
            "the image neither has the locale {locale} nor can it generate it at the first boot (locale-gen, and {locale} in \
             /usr/share/i18n/SUPPORTED, are needed)"
        ));
        return Ok(());
    }
    // In trixie /etc/default/locale leads to /etc/locale.conf; both are read somewhere.
    let mut places = vec!["/etc/default/locale"];
    if file(view, "/etc/locale.conf")?.is_some() {
        places.push("/etc/locale.conf");
    }
    for place in places {
        let old = match file(view, place)? {
            Some(path) => view.root().text(&path, LIMIT)?.unwrap_or_default(),
            None => String::new(),
        };
        // What a person set for single categories, or for all at once, would win over LANG.
        let kept: String = old
            .lines()
            .filter(|line| !line.trim_start().starts_with("LC_ALL=") && !line.trim_start().starts_with("LANGUAGE="))
            .map(|line| format!("{line}\n"))
            .collect();
        let new = with_setting(&kept, "LANG", locale).replace(&format!("LANG=\"{locale}\""), &format!("LANG={locale}"));
        put(view, place, new, "the card's language")?;
    }
    Ok(())
}

/// Has the locale made at the first boot. Returns whether the image can do that.
fn generate(view: &mut View<'_>, locale: &str) -> Result<bool, StepError> {
    const LIST: &str = "/etc/locale.gen";
    let supported = match file(view, "/usr/share/i18n/SUPPORTED")? {
        Some(path) => view.root().text(&path, LIMIT)?.unwrap_or_default(),
        None => return Ok(false),
    };
    let Some(entry) = supported.lines().find(|line| line.split_whitespace().next() == Some(locale)) else {
        return Ok(false);
    };
    if file(view, "/usr/sbin/locale-gen")?.is_none() {
        return Ok(false);
    }
    let entry = entry.trim().to_owned();
    let old = match file(view, LIST)? {
        Some(path) => view.root().text(&path, LIMIT)?.unwrap_or_default(),
        None => String::new(),
    };
    if !old.lines().any(|line| line.trim() == entry) {
        let mut done = false;
        let mut new: String = old
            .lines()
            .map(|line| {
                let is_it = !done && line.trim_start().strip_prefix('#').is_some_and(|line| line.trim() == entry);
                done |= is_it;
                format!("{}\n", if is_it { &entry } else { line })
            })
            .collect();
        if !done {
            new.push_str(&format!("{entry}\n"));
        }
        put(view, LIST, new, "the locale is generated at the first boot")?;
    }
    let flag = ImagePath::new(GENERATE_FLAG).map_err(FsError::from)?;
    if let Some(folder) = flag.parent() {
        let why = "what cards do once, at their first boot";
        view.directory(Volume::Root, &folder, Attributes::root(0o700), Class::Configuration.because(why, SOURCE))?;
    }
    put(view, GENERATE_FLAG, format!("{locale}\n"), "says that a locale is to be generated; goes when it is")?;
    put(view, &format!("/etc/systemd/system/{GENERATE_UNIT}"), GENERATE_UNIT_TEXT.to_owned(), "generates the locale")?;
    let done = links::enable(view, GENERATE_UNIT, SOURCE);
    report_failure(view, done)?;
    view.note(format!(
        "the image does not have the locale {locale}: it is generated at the first boot, which takes about a minute in the \
         background"
    ));
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_replaced_once_and_added_where_they_lack() {
        assert_eq!(with_setting("A=\"1\"\n# B\nA=2\n", "A", "x"), "A=\"x\"\n# B\n");
        assert_eq!(with_setting("AB=1\n", "A", "x"), "AB=1\nA=\"x\"\n");
    }
}
