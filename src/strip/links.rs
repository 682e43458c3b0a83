//! The step for what names hide: a rule means the bytes. Where a name that goes is a symlink, what it leads to goes as
//! well; where a file that goes or loses its content has other names (hard links), these go or lose it, too. What the
//! system needs stays, and is said.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};

use super::behind::{Behind, Looker, Needed};
use super::choices::{Choice, Strip};
use super::proposal::found;
use super::rule::Fate;
use super::subjects::rules;
use crate::fs::{FileKind, FsError, HardLinks, ImagePath, Tree};
use crate::prepare::{Change, Class, Content, Reason, Severity, Step, StepError, View, Volume, pattern};

/// Follows the links of everything that the steps before proposed to strip.
pub struct StripLinks<'r> {
    strip: &'r Strip,
}

impl<'r> StripLinks<'r> {
    /// The step, with what the recipe keeps.
    pub fn new(strip: &'r Strip) -> StripLinks<'r> {
        StripLinks { strip }
    }
}

impl Step for StripLinks<'_> {
    fn name(&self) -> &'static str {
        "links"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        say_where_rules_are_led_astray(view, self.strip)?;
        let mut pass = Pass { strip: self.strip.clone(), named: named_by_rules(view)?, ..Pass::default() };
        let mut next = 0;
        loop {
            // What is behind a link may hold links itself: edits that are proposed here are looked at, too.
            while let Some(edit) = view.plan().edits.get(next) {
                next += 1;
                if edit.volume != Volume::Root {
                    continue;
                }
                let stripped = Stripped { path: edit.path.clone(), reason: edit.reason.clone() };
                match &edit.change {
                    Change::Remove => pass.removed(view, &stripped)?,
                    Change::Write { content: Content::Bytes(_) | Content::Secret(_), .. } => {
                        pass.rewritten(view, &stripped, next - 1)?
                    }
                    _ => {}
                }
            }
            if !pass.other_names(view)? {
                break;
            }
        }
        pass.say_what_stays(view);
        Ok(())
    }
}

/// A path that goes or is written anew, and why.
#[derive(Clone)]
struct Stripped {
    path: ImagePath,
    reason: Reason,
}

impl Stripped {
    /// Whether it is the machine's own. Caches and the like are of no use on another card, and no secret: what a link among
    /// them leads to, or a package manager linked out of them, stays. What a rule names by itself is followed all the same.
    fn is_own(&self) -> bool {
        is_own(self.reason.class)
    }

    /// Whether the recipe names the path itself.
    fn is_recipes(&self) -> bool {
        self.reason.step == "remove"
    }
}

fn is_own(class: Class) -> bool {
    // What runs on its own brings its passwords along.
    matches!(class, Class::Secret | Class::Identity | Class::Log | Class::Code)
}

/// A file with several names, of which one is stripped.
struct Several {
    by: Stripped,
    /// The name that is stripped.
    name: ImagePath,
    /// The edit that writes it anew; `None` where it goes.
    written: Option<usize>,
}

#[derive(Default)]
struct Pass {
    strip: Strip,
    looker: Looker,
    /// What rules name by itself, of what is not the machine's own.
    named: HashSet<ImagePath>,
    kept: OnceCell<HashSet<(Volume, ImagePath)>>,
    names: OnceCell<HardLinks>,
    several: BTreeMap<u32, Several>,
    /// What stays that a link leads to, by why and how serious that is.
    left: BTreeMap<(Severity, &'static str), Vec<String>>,
}

impl Pass {
    /// Goes through the image's own tree at a path that goes.
    fn removed(&mut self, view: &mut View<'_>, stripped: &Stripped) -> Result<(), FsError> {
        let root = view.original(Volume::Root);
        let (mut ahead, mut seen) = (vec![stripped.path.clone()], HashSet::new());
        let goes_in = stripped.is_own();
        if !goes_in && !self.named.contains(&stripped.path) {
            return Ok(());
        }
        while let Some(at) = ahead.pop() {
            let Some(stat) = root.stat(&at)? else { continue };
            match stat.kind {
                // A damaged tree may be a circle.
                FileKind::Directory if goes_in && (stat.inode == 0 || seen.insert(stat.inode)) => {
                    for entry in root.list(&at)? {
                        ahead.push(at.join(&entry.name)?);
                    }
                }
                FileKind::Symlink => self.follow(view, stripped, &at)?,
                FileKind::File if stat.links > 1 => {
                    let by = stripped.clone();
                    self.several.entry(stat.inode).or_insert(Several { by, name: at, written: None });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A file that is written anew is another file: what was there stays under its other names, or behind the link that
    /// the new file replaces.
    fn rewritten(&mut self, view: &mut View<'_>, stripped: &Stripped, edit: usize) -> Result<(), FsError> {
        match view.original(Volume::Root).stat(&stripped.path)? {
            Some(stat) if stat.kind == FileKind::Symlink && stripped.is_own() => {
                let link = stripped.path.clone();
                self.follow(view, stripped, &link)
            }
            Some(stat) if stat.kind == FileKind::File && stat.links > 1 => {
                let (by, name) = (stripped.clone(), stripped.path.clone());
                self.several.entry(stat.inode).or_insert(Several { by, name, written: Some(edit) });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Proposes that what a link leads to goes with it.
    fn follow(&mut self, view: &mut View<'_>, stripped: &Stripped, link: &ImagePath) -> Result<(), FsError> {
        match self.looker.behind(view, link)? {
            Behind::Nothing => {}
            Behind::Elsewhere(at, device) => {
                let why = "it is on another device, which is not stripped";
                self.stays(Severity::Warning, format!("{link} (to {at} on {device})"), why);
            }
            Behind::Needed(volume, at, why) => self.needed(view, stripped, link, volume, &at, why),
            Behind::Own(volume, at) => {
                let shown = format!("{link} (to {})", volume.place(&at));
                if volume == Volume::Root && stripped.path.is_within(&at) {
                    self.stays(Severity::Note, shown, "it is a folder above the link");
                } else if self.is_kept(view, volume, &at)? {
                    self.stays(Severity::Note, shown, "the recipe keeps it");
                } else {
                    let text = format!("what {link} leads to: {}", stripped.reason.text);
                    view.remove(volume, &at, Reason { text: text.into(), ..stripped.reason.clone() })?;
                }
            }
        }
        Ok(())
    }

    fn needed(
        &mut self,
        view: &mut View<'_>,
        stripped: &Stripped,
        link: &ImagePath,
        volume: Volume,
        at: &ImagePath,
        why: Needed,
    ) {
        // As with the machine's id: another rule takes care of it.
        if is_in_plan(view, volume, at) {
            return;
        }
        let place = volume.place(at);
        // The name itself, and not one of many in a folder: whoever made this link keeps such bytes there.
        if *link == stripped.path && !why.is_public() {
            view.block(format!(
                "{link} is a link to {place}, and {}: cardsmith does not strip it, and what it holds would be on every card. Take \
                 the link out of the base image",
                why.words()
            ));
        } else {
            let severity = if why.is_public() { Severity::Note } else { Severity::Warning };
            self.stays(severity, format!("{link} (to {place})"), why.words());
        }
    }

    /// Proposes that the other names of files go, or hold what is written. Returns whether there were any.
    fn other_names(&mut self, view: &mut View<'_>) -> Result<bool, FsError> {
        let several = std::mem::take(&mut self.several);
        let mut proposed = false;
        for (inode, Several { by, name, written }) in several {
            let others: Vec<ImagePath> = self.names(view)?.get(&inode).cloned().unwrap_or_default();
            for other in others {
                if is_in_plan(view, Volume::Root, &other) {
                    continue;
                }
                let needed = self.looker.needed(view, Volume::Root, &other, FileKind::File)?;
                if needed == Some(Needed::Package) || needed == Some(Needed::System) {
                    self.stays(Severity::Note, format!("{name} (also {other})"), Needed::Package.words());
                } else if needed.is_some() || by.is_recipes() || self.is_kept(view, Volume::Root, &other)? {
                    let next = match by.is_recipes() {
                        true => "name it in the recipe, too, or take one of the two out of the base image",
                        false => "take one of the two out of the base image",
                    };
                    view.block(format!(
                        "{other} is another name of {name} (a hard link), which is stripped: under it, the bytes would be on every \
                         card; {next}"
                    ));
                } else {
                    proposed |= strip_other(view, &by, &name, &other, written)?;
                }
            }
        }
        Ok(proposed)
    }

    fn names(&self, view: &View<'_>) -> Result<&HardLinks, FsError> {
        match self.names.get() {
            Some(known) => Ok(known),
            None => {
                let read = view.original(Volume::Root).hard_links()?;
                Ok(self.names.get_or_init(|| read))
            }
        }
    }

    /// Whether the recipe keeps what is at a path, or something in it, or a folder above it.
    fn is_kept(&self, view: &View<'_>, volume: Volume, path: &ImagePath) -> Result<bool, FsError> {
        let kept = match self.kept.get() {
            Some(known) => known,
            None => {
                let read = kept(view, &self.strip)?;
                self.kept.get_or_init(|| read)
            }
        };
        Ok(kept.iter().any(|(of, kept)| *of == volume && (kept.is_within(path) || path.is_within(kept))))
    }

    fn stays(&mut self, severity: Severity, place: String, why: &'static str) {
        self.left.entry((severity, why)).or_default().push(place);
    }

    fn say_what_stays(&mut self, view: &mut View<'_>) {
        for ((severity, why), places) in std::mem::take(&mut self.left) {
            let goes = if places.len() == 1 { "goes" } else { "go" };
            let text = format!("{goes} by name only, and what is behind it stays: {why}");
            view.leave_places(severity, places, &text);
        }
    }
}

fn strip_other(
    view: &mut View<'_>,
    by: &Stripped,
    name: &ImagePath,
    other: &ImagePath,
    written: Option<usize>,
) -> Result<bool, FsError> {
    let text = format!("another name of {name} (a hard link): {}", by.reason.text);
    let reason = Reason { text: text.into(), ..by.reason.clone() };
    let edit = written.and_then(|edit| view.plan().edits.get(edit)).map(|edit| &edit.change);
    match edit {
        Some(Change::Write { content: Content::Bytes(bytes), attributes }) => {
            let (content, attributes) = (Content::Bytes(bytes.clone()), *attributes);
            view.write(Volume::Root, other, content, attributes, reason)
        }
        Some(Change::Write { content: Content::Secret(bytes), attributes }) => {
            let (content, attributes) = (Content::Secret(bytes.clone()), *attributes);
            view.write(Volume::Root, other, content, attributes, reason)
        }
        _ => view.remove(Volume::Root, other, reason),
    }
}

/// Whether an edit says what becomes of a path.
fn is_in_plan(view: &View<'_>, volume: Volume, path: &ImagePath) -> bool {
    view.plan().edits.iter().filter(|edit| edit.volume == volume).any(|edit| match edit.change {
        Change::Remove => path.is_within(&edit.path),
        Change::Write { .. } | Change::Symlink { .. } => *path == edit.path,
        Change::Directory { .. } | Change::Attributes { .. } => false,
    })
}

/// What rules name by itself that is no machine's own: caches, units.
fn named_by_rules(view: &View<'_>) -> Result<HashSet<ImagePath>, FsError> {
    let root = view.original(Volume::Root);
    // As it was before any edit: what the steps before took out would not be found any more.
    let before = View::new(root, view.original(Volume::Boot));
    let mut named = HashSet::new();
    for rule in rules().filter(|rule| matches!(rule.fate, Fate::Removed | Fate::Stays) && !is_own(rule.class)) {
        for (volume, path) in found(rule, &before)? {
            if let (Volume::Root, Some(folder), Some(name)) = (volume, path.parent(), path.name()) {
                named.insert(root.resolve(&folder)?.join(name)?);
            }
        }
    }
    Ok(named)
}

/// What the recipe keeps: the places of rules, and where links there lead.
fn kept(view: &View<'_>, strip: &Strip) -> Result<HashSet<(Volume, ImagePath)>, FsError> {
    let mut kept = HashSet::new();
    for rule in rules().filter(|rule| strip.choice(rule) == Some(Choice::Keep)) {
        for (volume, path) in found(rule, view)? {
            match view.tree(volume).resolve(&path) {
                Ok(file) => kept.extend([(volume, path), (volume, file)]),
                Err(FsError::LinkLoop { .. }) => kept.extend([(volume, path)]),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(kept)
}

/// Where a folder of a rule is a link to the root or to one of the folders that make up the system, a star in the rule
/// would mean the whole system: nothing is stripped there, and that is said.
fn say_where_rules_are_led_astray(view: &mut View<'_>, strip: &Strip) -> Result<(), FsError> {
    let mut astray = BTreeMap::new();
    for rule in rules().filter(|rule| strip.choice(rule) != Some(Choice::Keep)) {
        for place in rule.places.iter().filter(|place| pattern::volume_of(place) == Volume::Root) {
            for (folder, leads_to) in view.led_astray(place)? {
                astray.insert(folder, leads_to);
            }
        }
    }
    let places: Vec<String> = astray.iter().map(|(folder, leads_to)| format!("{folder} (to {leads_to})")).collect();
    if !places.is_empty() {
        let text = "leads to a part of the system by a link: what rules strip in such a folder cannot be told from what is there, \
                    and stays. Take the link out of the base image";
        view.leave_places(Severity::Warning, places, text);
    }
    Ok(())
}
