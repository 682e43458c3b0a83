//! The links in /etc/systemd/system that make a unit enabled, disabled or masked, as `systemctl --root` sets them.

use std::collections::BTreeSet;

use super::install::{DIRECTORIES, Found, expanded, instantiated, look, template_of};
use super::presets;
use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, View, Volume};

const CONFIG: &str = "/etc/systemd/system";
const SOURCE: &str = "systemctl(1)";

/// Why a unit cannot become what is wanted.
#[derive(Debug)]
pub(crate) enum LinkError {
    /// The image cannot be read.
    Fs(FsError),
    /// A sentence for a person.
    Cannot(String),
}

impl<E: Into<FsError>> From<E> for LinkError {
    fn from(error: E) -> LinkError {
        LinkError::Fs(error.into())
    }
}

fn cannot(what: impl Into<String>) -> LinkError {
    LinkError::Cannot(what.into())
}

/// What a unit is called where it starts, so that it comes back at the first boot or does not.
pub(crate) fn enable(view: &mut View<'_>, name: &str, why: &'static str) -> Result<(), LinkError> {
    unmask(view, name, why)?;
    let mut ahead = vec![name.to_owned()];
    let mut done = BTreeSet::new();
    while let Some(unit) = ahead.pop() {
        if !done.insert(unit.clone()) {
            continue;
        }
        let file = match look(view, &unit)? {
            Found::File(file) => file,
            // Units that come along may be missing or masked; the one that was asked for may not.
            _ if unit != name => continue,
            Found::Missing => {
                return Err(cannot(format!("{name} is to be enabled, and the image has no such unit")));
            }
            Found::Masked => {
                return Err(cannot(format!("{name} is to be enabled, and its own package masks it")));
            }
            Found::Alias(other) => {
                return Err(cannot(format!("{name} is another name of {other}: write {other} in the recipe")));
            }
        };
        let install = file.install();
        if install.is_empty() {
            if unit != name {
                continue;
            }
            return Err(cannot(format!(
                "{name} cannot be enabled: {} has no [Install] section, other units start it",
                file.path
            )));
        }
        let Some(unit) = instantiated(&unit, &install) else {
            return Err(cannot(format!(
                "{name} is a template without a default instance: name one, as in \"x@y.service\""
            )));
        };
        for alias in install.alias.iter().map(|alias| expanded(alias, &unit)).filter(|alias| *alias != unit) {
            link(view, &ImagePath::new(CONFIG)?.join(&alias)?, &file.path, why)?;
        }
        for (kind, targets) in &install.pulled_by {
            for target in targets {
                let directory = ImagePath::new(CONFIG)?.join(format!("{}.{kind}", expanded(target, &unit)))?;
                link(view, &directory.join(&unit)?, &file.path, why)?;
            }
        }
        ahead.extend(install.also.iter().map(|also| expanded(also, &unit)));
        presets::report(view, &unit, true)?;
    }
    Ok(())
}

/// A link to /dev/null keeps a unit from being enabled; who says "enabled" wants it gone.
fn unmask(view: &mut View<'_>, name: &str, why: &'static str) -> Result<(), LinkError> {
    let path = ImagePath::new(CONFIG)?.join(name)?;
    if leads_to_null(view, &path)? {
        view.remove(
            Volume::Root,
            &path,
            Class::Configuration.because(format!("it masks {name}, which is to start"), why),
        )?;
    }
    Ok(())
}

fn leads_to_null(view: &View<'_>, path: &ImagePath) -> Result<bool, FsError> {
    let is_link = view.root().stat(path)?.is_some_and(|stat| stat.kind == FileKind::Symlink);
    Ok(is_link && view.root().resolve(path)?.as_bytes() == b"/dev/null")
}

fn link(view: &mut View<'_>, at: &ImagePath, to: &ImagePath, why: &'static str) -> Result<(), LinkError> {
    let there = view.root().stat(at)?;
    if there.is_some_and(|stat| stat.kind != FileKind::Symlink) {
        return Err(cannot(format!("{at} is in the way of the link that would enable {to}")));
    }
    if there.is_some() && view.root().resolve(at)? == view.root().resolve(to)? {
        return Ok(());
    }
    view.symlink(at, to, Class::Configuration.because(format!("enables it ({why})"), SOURCE))?;
    Ok(())
}

/// Removes every link in /etc that would start the unit because of its `[Install]` section.
pub(crate) fn disable(view: &mut View<'_>, name: &str, why: &'static str) -> Result<(), LinkError> {
    let mut names = BTreeSet::new();
    let mut ahead = vec![name.to_owned()];
    while let Some(unit) = ahead.pop() {
        match look(view, &unit)? {
            Found::File(file) if !names.contains(&unit) => {
                ahead.extend(file.install().also.iter().map(|also| expanded(also, &unit)));
            }
            Found::Alias(other) if unit == name => {
                return Err(cannot(format!("{name} is another name of {other}: write {other} in the recipe")));
            }
            Found::Missing if unit == name => {
                return Err(cannot(format!("{name} is to be disabled, and the image has no such unit")));
            }
            _ => {}
        }
        names.insert(unit);
    }
    for path in links_of(view, &names)? {
        view.remove(Volume::Root, &path, Class::Configuration.because(format!("it starts {name} ({why})"), SOURCE))?;
    }
    presets::report(view, name, false)?;
    report_other_starters(view, name)
}

/// The links in /etc/systemd/system and its `*.wants`, `*.requires` and `*.upholds` that mean one of `names`.
fn links_of(view: &View<'_>, names: &BTreeSet<String>) -> Result<Vec<ImagePath>, FsError> {
    let root = view.root();
    let config = root.resolve(&ImagePath::new(CONFIG)?)?;
    if root.stat(&config)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut directories = vec![config.clone()];
    for entry in root.list(&config)? {
        if entry.kind == FileKind::Directory
            && [&b".wants"[..], b".requires", b".upholds"].iter().any(|end| entry.name.ends_with(end))
        {
            directories.push(config.join(&entry.name)?);
        }
    }
    // A template stands for all of its instances.
    let means =
        |name: &str| names.contains(name) || template_of(name).is_some_and(|template| names.contains(&template));
    for directory in directories {
        for entry in root.list(&directory)? {
            let path = directory.join(&entry.name)?;
            if entry.kind != FileKind::Symlink || leads_to_null(view, &path)? {
                continue;
            }
            let target = root.resolve(&path)?;
            // A recipe's names are UTF-8: one that is not is none of them.
            let target = std::str::from_utf8(target.name().unwrap_or_default()).ok();
            let name = std::str::from_utf8(&entry.name).ok();
            // An instance's link leads to the template, which other instances share.
            let is_instance = name.is_some_and(|name| template_of(name).is_some());
            let by_target = !is_instance && target.is_some_and(|target| names.contains(target));
            if name.is_some_and(means) || by_target {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// What starts a unit although it is disabled.
fn report_other_starters(view: &mut View<'_>, name: &str) -> Result<(), LinkError> {
    let root = view.root();
    let mut by = BTreeSet::new();
    for directory in DIRECTORIES.iter().skip(1) {
        let directory = root.resolve(&ImagePath::new(directory)?)?;
        if root.stat(&directory)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
            continue;
        }
        for entry in root.list(&directory)? {
            let pulls = entry.kind == FileKind::Directory
                && (entry.name.ends_with(b".wants") || entry.name.ends_with(b".requires"));
            if pulls && root.stat(&directory.join(&entry.name)?.join(name)?)?.is_some() {
                by.insert(directory.join(&entry.name)?.to_string());
            }
        }
    }
    if !by.is_empty() {
        let by: Vec<String> = by.into_iter().collect();
        return Err(cannot(format!(
            "{name} starts although it is disabled, because of {}: state = \"masked\" stops it",
            by.join(", ")
        )));
    }
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    for suffix in ["socket", "timer", "path"] {
        let trigger = format!("{stem}.{suffix}");
        if trigger != name && is_enabled(view, &trigger)? {
            view.warn(format!("{name} is disabled, and {trigger} is enabled and can still start it"));
        }
    }
    Ok(())
}

/// Whether a link in /etc starts this unit.
///
/// # Errors
/// Where the image cannot be read.
pub(crate) fn is_enabled(view: &View<'_>, name: &str) -> Result<bool, FsError> {
    let links = links_of(view, &BTreeSet::from([name.to_owned()]))?;
    Ok(links.iter().any(|link| link.parent().is_some_and(|parent| parent.as_bytes() != CONFIG.as_bytes())))
}

/// Whether a unit file of this name is in the image and not masked.
///
/// # Errors
/// Where the image cannot be read.
pub(crate) fn is_there(view: &View<'_>, name: &str) -> Result<bool, FsError> {
    Ok(matches!(look(view, name)?, Found::File(_)))
}

/// Links the unit to /dev/null.
pub(crate) fn mask(view: &mut View<'_>, name: &str, why: &'static str) -> Result<(), LinkError> {
    let path = ImagePath::new(CONFIG)?.join(name)?;
    match view.root().stat(&path)? {
        Some(_) if leads_to_null(view, &path)? => return Ok(()),
        Some(stat) if stat.kind == FileKind::Symlink => {
            let target = view.root().resolve(&path)?;
            return Err(cannot(format!("{name} cannot be masked: {path} is a link to {target}; name that unit")));
        }
        Some(_) => {
            return Err(cannot(format!(
                "{name} cannot be masked: its file is {path} itself; state = \"disabled\", or [strip] remove takes it away"
            )));
        }
        None => {}
    }
    if matches!(look(view, name)?, Found::Missing) {
        view.warn(format!("{name} is masked as the recipe says, but the image has no such unit"));
    }
    view.symlink(&path, "/dev/null", Class::Configuration.because(format!("masks it ({why})"), SOURCE))?;
    Ok(())
}
