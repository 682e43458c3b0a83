//! Unit files as `systemctl enable` reads them: where they are, and what their `[Install]` section says, with drop-ins.

use std::collections::BTreeMap;

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{SETTINGS_LIMIT, View};
use crate::printable::Printable;

/// Where unit files are, the first most (systemd.unit(5), "Unit File Load Path").
pub(crate) const DIRECTORIES: [&str; 4] =
    ["/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// What a unit's name leads to.
pub(crate) enum Found {
    /// No directory has it.
    Missing,
    /// A link to /dev/null, or an empty file.
    Masked,
    /// Another name of this unit.
    Alias(String),
    /// A unit file.
    File(UnitFile),
}

/// A unit file of the image.
pub(crate) struct UnitFile {
    /// Where it was found; links point here.
    pub path: ImagePath,
    /// Its text, with the drop-ins behind it.
    text: String,
}

/// What `[Install]` says. Names still hold their specifiers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Install {
    /// `WantedBy=`, `RequiredBy=`, `UpheldBy=`: the suffix of the directory, and the units.
    pub pulled_by: BTreeMap<&'static str, Vec<String>>,
    /// `Alias=`
    pub alias: Vec<String>,
    /// `Also=`
    pub also: Vec<String>,
    /// `DefaultInstance=`
    pub default_instance: Option<String>,
}

impl Install {
    /// Whether there is nothing that enabling could do.
    pub fn is_empty(&self) -> bool {
        self.pulled_by.values().all(Vec::is_empty) && self.alias.is_empty() && self.also.is_empty()
    }
}

/// Looks for a unit; for an instance `a@b.service` also for its template.
///
/// # Errors
/// Where the image cannot be read.
pub(crate) fn look(view: &View<'_>, name: &str) -> Result<Found, FsError> {
    let found = look_exactly(view, name)?;
    match (found, template_of(name)) {
        (Found::Missing, Some(template)) => look_exactly(view, &template),
        (found, _) => Ok(found),
    }
}

fn look_exactly(view: &View<'_>, name: &str) -> Result<Found, FsError> {
    let root = view.root();
    for directory in DIRECTORIES {
        let path = ImagePath::new(directory)?.join(name)?;
        let Some(stat) = root.stat(&path)? else { continue };
        let real = root.resolve(&path)?;
        if real.as_bytes() == b"/dev/null" {
            return Ok(Found::Masked);
        }
        let real_name = Printable::of(real.name().unwrap_or_default()).to_string();
        if stat.kind == FileKind::Symlink && real_name != name && template_of(name).as_deref() != Some(&real_name) {
            return Ok(Found::Alias(real_name));
        }
        // A link that leads nowhere: systemd looks on in the next directory.
        if root.stat(&real)?.is_none_or(|stat| stat.kind != FileKind::File) {
            continue;
        }
        let mut text = root.text(&real, SETTINGS_LIMIT)?.unwrap_or_default();
        if text.is_empty() {
            return Ok(Found::Masked);
        }
        for drop_in in drop_ins(view, name)? {
            text.push('\n');
            text.push_str(&root.text(&root.resolve(&drop_in)?, SETTINGS_LIMIT)?.unwrap_or_default());
        }
        return Ok(Found::File(UnitFile { path, text }));
    }
    Ok(Found::Missing)
}

/// Drop-ins in the order of their names; of those with one name the first directory's counts.
fn drop_ins(view: &View<'_>, name: &str) -> Result<Vec<ImagePath>, FsError> {
    let root = view.root();
    let mut found: BTreeMap<Vec<u8>, ImagePath> = BTreeMap::new();
    for directory in DIRECTORIES {
        let directory = root.resolve(&ImagePath::new(directory)?.join(format!("{name}.d"))?)?;
        if root.stat(&directory)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
            continue;
        }
        for entry in root.list(&directory)? {
            if entry.name.ends_with(b".conf") && !found.contains_key(&entry.name) {
                let path = directory.join(&entry.name)?;
                if root.stat(&root.resolve(&path)?)?.is_some_and(|stat| stat.kind == FileKind::File) {
                    found.insert(entry.name, path);
                }
            }
        }
    }
    Ok(found.into_values().collect())
}

impl UnitFile {
    /// Its `[Install]` section.
    pub fn install(&self) -> Install {
        let mut install = Install::default();
        let mut in_install = false;
        let mut line = String::new();
        for part in self.text.lines() {
            if line.is_empty() && part.trim_start().starts_with(['#', ';']) {
                continue;
            }
            // A backslash at the end joins lines, with a blank in between.
            if let Some(begun) = part.strip_suffix('\\') {
                line.push_str(begun);
                line.push(' ');
                continue;
            }
            line.push_str(part);
            let whole = std::mem::take(&mut line);
            let bare = whole.trim();
            if bare.starts_with('[') {
                in_install = bare == "[Install]";
            } else if in_install && let Some((key, value)) = bare.split_once('=') {
                install.set(key.trim(), value.trim());
            }
        }
        install
    }
}

impl Install {
    fn set(&mut self, key: &str, value: &str) {
        let list = match key {
            "WantedBy" => self.pulled_by.entry("wants").or_default(),
            "RequiredBy" => self.pulled_by.entry("requires").or_default(),
            "UpheldBy" => self.pulled_by.entry("upholds").or_default(),
            "Alias" => &mut self.alias,
            "Also" => &mut self.also,
            "DefaultInstance" => {
                self.default_instance = (!value.is_empty()).then(|| value.to_owned());
                return;
            }
            _ => return,
        };
        // An empty value takes back what was said before.
        if value.is_empty() {
            list.clear();
        }
        list.extend(value.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned()));
    }
}

/// `getty@.service` of `getty@tty1.service`.
pub(crate) fn template_of(name: &str) -> Option<String> {
    let (prefix, instance, suffix) = parts(name);
    instance.filter(|instance| !instance.is_empty()).map(|_| format!("{prefix}@.{suffix}"))
}

/// Prefix, instance (empty for a template) and suffix.
fn parts(name: &str) -> (&str, Option<&str>, &str) {
    let (stem, suffix) = name.rsplit_once('.').unwrap_or((name, ""));
    match stem.split_once('@') {
        Some((prefix, instance)) => (prefix, Some(instance), suffix),
        None => (stem, None, suffix),
    }
}

/// A template with its default instance put in; other names as they are. `None` for a template without one.
pub(crate) fn instantiated(name: &str, install: &Install) -> Option<String> {
    let (prefix, instance, suffix) = parts(name);
    match (instance, &install.default_instance) {
        (Some(""), Some(default)) => Some(format!("{prefix}@{default}.{suffix}")),
        (Some(""), None) => None,
        _ => Some(name.to_owned()),
    }
}

/// `text` with the specifiers that `[Install]` may hold put in (systemd.unit(5), "Specifiers").
pub(crate) fn expanded(text: &str, name: &str) -> String {
    let (prefix, instance, _) = parts(name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => out.push_str(name),
            Some('N') => out.push_str(stem),
            Some('p') => out.push_str(prefix),
            Some('i') => out.push_str(instance.unwrap_or_default()),
            Some('j') => out.push_str(prefix.rsplit('-').next().unwrap_or_default()),
            Some('%') => out.push('%'),
            Some(other) => out.extend(['%', other]),
            None => out.push('%'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn install_sections_are_read_with_continuations_resets_and_comments() {
        let text = "[Unit]\nWantedBy=no.target\n[Install]\n# WantedBy=no.target\nWantedBy=a.target \\\n  b.target\nRequiredBy=x.target\nRequiredBy=\nAlias=one.service\nAlso=y.socket z.socket\nDefaultInstance=tty1\n";
        let file = UnitFile { path: ImagePath::root(), text: text.to_owned() };
        let install = file.install();
        assert_eq!(install.pulled_by["wants"], ["a.target", "b.target"]);
        assert!(install.pulled_by["requires"].is_empty());
        assert_eq!(
            (install.alias, install.also),
            (vec!["one.service".into()], vec!["y.socket".into(), "z.socket".into()])
        );
        assert_eq!(install.default_instance.as_deref(), Some("tty1"));
    }

    #[test]
    fn templates_instances_and_specifiers() {
        assert_eq!(template_of("getty@tty1.service").as_deref(), Some("getty@.service"));
        assert_eq!(template_of("getty@.service"), None);
        assert_eq!(template_of("ssh.service"), None);
        assert_eq!(expanded("%p-%i.%%.%n", "a-b@c.service"), "a-b-c.%.a-b@c.service");
        assert_eq!(expanded("%j", "a-b@c.service"), "b");
    }
}
