//! What one rule finds in an image, and what it proposes.

use std::collections::HashSet;

use super::behind::{Behind, Looker};
use super::choices::{Choice, Strip};
use super::expressions::{any_matches, compiled};
use super::names;
use super::rule::{Counts, Fate, Rule, Severity};
use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{self, Reason, SETTINGS_LIMIT, View, Volume, pattern};

/// What rules found so far. A file belongs to the first rule that names it, so that what is kept by the rule for one program
/// is neither removed nor named by one that catches what is left.
pub(super) type Owned = HashSet<(Volume, ImagePath)>;

/// What a rule names and no earlier one does; it is the rule's from now on. What stands *in* a file may concern several.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn own(rule: &Rule, view: &View<'_>, owned: &mut Owned) -> Result<Vec<(Volume, ImagePath)>, FsError> {
    let by_place = matches!(rule.counts, Counts::There | Counts::Filled);
    let found = found(rule, view)?;
    let own = found.into_iter().filter(|place| !by_place || !owned.contains(place)).collect::<Vec<_>>();
    owned.extend(own.iter().cloned());
    Ok(own)
}

/// Proposes what one rule says.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn propose(
    rule: &Rule,
    view: &mut View<'_>,
    strip: &Strip,
    found: Vec<(Volume, ImagePath)>,
) -> Result<(), FsError> {
    let choice = strip.choice(rule);
    let fate = match (rule.fate, choice) {
        (Fate::Wanted | Fate::Part, _) | (_, Some(Choice::Keep)) => return Ok(()),
        (Fate::Named, Some(Choice::Strip)) => {
            block(rule, view, &found);
            return Ok(());
        }
        (Fate::Stays, Some(Choice::Strip)) => Fate::Removed,
        (fate, _) => fate,
    };
    let mut named = Vec::new();
    for (volume, path) in found {
        let why = || rule.class.because(rule.what, rule.source);
        match fate {
            Fate::Removed => {
                view.remove(volume, &path, why())?;
            }
            Fate::Cleared => {
                view.remove_contents(volume, &path, why())?;
            }
            Fate::Emptied => {
                empty(view, volume, &path, why())?;
            }
            Fate::Part | Fate::Stays | Fate::Named | Fate::Wanted => named.push((volume, path)),
        }
    }
    name(rule, view, &named)
}

/// The recipe wants it gone, and only a person can take it out of the settings around it.
fn block(rule: &Rule, view: &mut View<'_>, found: &[(Volume, ImagePath)]) {
    if !found.is_empty() {
        let own = rule.names.first().copied().unwrap_or_default();
        view.block(format!(
            "{}: {}. The recipe wants none left, and it stands among settings that the system needs: take it out of the base \
             image, or say keep = [\"{own}\"]",
            found.iter().map(|(volume, path)| volume.place(path)).collect::<Vec<_>>().join(", "),
            rule.what
        ));
    }
}

/// What there is that a rule means and that counts.
///
/// # Errors
/// Where the image cannot be read.
pub fn found(rule: &Rule, view: &View<'_>) -> Result<Vec<(Volume, ImagePath)>, FsError> {
    let mut found = Vec::new();
    for place in rule.places {
        let volume = pattern::volume_of(place);
        for path in view.find(place)? {
            let known = found.iter().any(|(at, there)| *at == volume && *there == path);
            if !known && counts(rule, view, volume, &path)? {
                found.push((volume, path));
            }
        }
    }
    Ok(found)
}

fn counts(rule: &Rule, view: &View<'_>, volume: Volume, path: &ImagePath) -> Result<bool, FsError> {
    let tree = view.tree(volume);
    let named = path;
    // What a link leads to counts: the bytes are what a rule means.
    let path = &behind(&tree, path)?;
    // What goes, goes whatever it holds: an empty file of an old life is no use to anybody.
    let goes = matches!(rule.fate, Fate::Removed | Fate::Cleared);
    Ok(match (rule.counts, tree.stat(path)?) {
        // The name is there, whatever is behind it.
        (Counts::There, _) => tree.stat(named)?.is_some(),
        (Counts::Filled, None) if goes => tree.stat(named)?.is_some(),
        (_, None) => false,
        (Counts::Filled, Some(stat)) if goes && stat.kind != FileKind::Directory => true,
        (Counts::Filled, Some(stat)) => match stat.kind {
            FileKind::File => stat.size > 0,
            FileKind::Directory => !tree.list(path)?.is_empty(),
            FileKind::Symlink | FileKind::Special => false,
        },
        // A file of settings that is so large is none; it counts, rather than be passed over.
        (Counts::Text(_) | Counts::HostName, Some(stat))
            if stat.kind == FileKind::File && stat.size > SETTINGS_LIMIT =>
        {
            true
        }
        (Counts::Text(expressions), Some(stat)) if stat.kind == FileKind::File => {
            tree.text(path, SETTINGS_LIMIT)?.is_some_and(|text| any_matches(expressions, &text))
        }
        (Counts::HostName, Some(stat)) if stat.kind == FileKind::File => match names::host_name(&view.root())? {
            Some(name) => tree.text(path, SETTINGS_LIMIT)?.is_some_and(|text| names::has_word(&text, &name)),
            None => false,
        },
        (Counts::Text(_) | Counts::HostName, Some(_)) => false,
    })
}

/// Where a name leads; a circle of links, to itself.
pub(super) fn behind(tree: &dyn Tree, path: &ImagePath) -> Result<ImagePath, FsError> {
    match tree.resolve(path) {
        Err(FsError::LinkLoop { .. }) => Ok(path.clone()),
        resolved => resolved,
    }
}

/// Proposes that a file loses what it holds; where the name is a link, the file that it leads to.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn empty(view: &mut View<'_>, volume: Volume, path: &ImagePath, reason: Reason) -> Result<(), FsError> {
    let is_link = view.tree(volume).stat(path)?.is_some_and(|stat| stat.kind == FileKind::Symlink);
    if !is_link {
        return view.empty(volume, path, reason).map(drop);
    }
    match Looker::default().behind(view, path)? {
        Behind::Nothing => Ok(()),
        Behind::Own(volume, file) => view.empty(volume, file, reason).map(drop),
        Behind::Needed(volume, file, why) => {
            let severity = if why.is_public() { prepare::Severity::Note } else { prepare::Severity::Warning };
            let text = format!("is a link to {}, which is not emptied: {}", volume.place(&file), why.words());
            view.leave_places(severity, vec![path.to_string()], &text);
            Ok(())
        }
        Behind::Elsewhere(file, device) => {
            let text = format!("is a link to {file} on {device}, which is not emptied");
            view.leave_places(prepare::Severity::Warning, vec![path.to_string()], &text);
            Ok(())
        }
    }
}

/// One line for what a rule leaves, which ends with the lines of recipe that would change it.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn name(rule: &Rule, view: &mut View<'_>, paths: &[(Volume, ImagePath)]) -> Result<(), FsError> {
    let (Some(own), false) = (rule.names.first(), paths.is_empty()) else { return Ok(()) };
    let severity = match rule.severity {
        Some(Severity::Note) | None => prepare::Severity::Note,
        Some(_) => prepare::Severity::Warning,
    };
    let stay = if paths.len() == 1 { "stays" } else { "stay" };
    let also = match rule.fate {
        Fate::Named => "take it out of the base image,".to_owned(),
        _ => format!("[strip] also = [\"{own}\"] removes it,"),
    };
    let text =
        format!("{stay} and will be on every card: {}; {also} keep = [\"{own}\"] says that it is meant", rule.what);
    let mut places = Vec::new();
    for (volume, path) in paths {
        let place = volume.place(path);
        places.push(match line_of(rule, view, *volume, path)? {
            Some(line) => format!("{place}:{line}"),
            None => place,
        });
    }
    view.leave(rule.id, severity, places, &text);
    Ok(())
}

/// The line in which a rule about texts finds something first. What stands there is never told.
fn line_of(rule: &Rule, view: &View<'_>, volume: Volume, path: &ImagePath) -> Result<Option<usize>, FsError> {
    let Counts::Text(expressions) = rule.counts else { return Ok(None) };
    let tree = view.tree(volume);
    let path = &behind(&tree, path)?;
    if tree.stat(path)?.is_none_or(|stat| stat.kind != FileKind::File || stat.size > SETTINGS_LIMIT) {
        return Ok(None);
    }
    let text = tree.text(path, SETTINGS_LIMIT)?.unwrap_or_default();
    let starts = expressions.iter().filter_map(|expression| Some(compiled(expression)?.find(&text)?.start()));
    Ok(starts.min().and_then(|start| Some(text.get(..start)?.matches('\n').count() + 1)))
}
