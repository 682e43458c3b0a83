//! Two trees, walked side by side in the order of their names. What is held in memory are the names of the directories
//! on the way down, never a whole tree.

use std::collections::HashSet;
use std::iter::Peekable;
use std::vec::IntoIter;

use super::DiffError;
use super::content::{Side, same};
use super::report::{Aspect, Difference, Seen};
use crate::fs::FsError;
use crate::fs::node::{Node, NodeKind, Spot, Walk};
use crate::progress::{Progress, Task};

/// A path of more bytes than this cannot be used by any kernel (`PATH_MAX` is 4096), and would only cost memory.
const LONGEST_PATH: usize = 64 << 10;

/// What to look at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// A file that differs only in its modification time counts, too.
    pub times: bool,
}

/// One of two trees, and the size of its partition in bytes.
pub type Sized<'a> = (&'a str, &'a dyn Walk, u64);

type Names = Peekable<IntoIter<(Vec<u8>, u32)>>;

/// A directory that is being compared: where it is on each side, and the names that are left.
struct Level {
    here: [Option<Spot>; 2],
    names: [Names; 2],
}

struct Walker<'a, 's> {
    sides: [Side<'a>; 2],
    seen: [HashSet<u32>; 2],
    options: Options,
    task: Box<dyn Task>,
    done: u64,
    see: &'s mut dyn FnMut(Difference),
}

/// Compares two trees, given with their image's name and their partition's size; `see` hears of each difference in the
/// order of paths.
///
/// # Errors
/// [`DiffError`]; what was found before it has been told.
pub fn compare_trees(
    before: Sized<'_>,
    after: Sized<'_>,
    options: Options,
    progress: &dyn Progress,
    see: &mut dyn FnMut(Difference),
) -> Result<(), DiffError> {
    let task = progress.task(&format!("compare {}", before.1.volume()), None);
    let tops = [before.1.top(), after.1.top()];
    let sides = [Side::new(before.0, before.1, before.2), Side::new(after.0, after.1, after.2)];
    let mut walker = Walker { sides, seen: Default::default(), options, task, done: 0, see };
    let result = walker.walk(tops);
    match &result {
        Ok(()) => walker.task.done("compared"),
        Err(_) => walker.task.failed("not compared to the end"),
    }
    result
}

impl Walker<'_, '_> {
    fn walk(&mut self, [before, after]: [Spot; 2]) -> Result<(), DiffError> {
        // A stack of its own, not recursion: how deep a hostile tree goes is not ours to choose.
        let mut levels = vec![self.enter(Some(before), Some(after))?];
        while let Some(level) = levels.last_mut() {
            let [left, right] = &mut level.names;
            let name = match (left.peek(), right.peek()) {
                (None, None) => {
                    levels.pop();
                    continue;
                }
                (Some((name, _)), None) | (None, Some((name, _))) => name.clone(),
                // The smaller name is next, and the side that does not have it waits.
                (Some((a, _)), Some((b, _))) => a.min(b).clone(),
            };
            let mut spots = [None, None];
            // Each side goes on only where it has this name.
            for ((names, here), (side, spot)) in
                level.names.iter_mut().zip(&level.here).zip(self.sides.iter().zip(&mut spots))
            {
                if let (Some((_, inode)), Some(here)) = (names.next_if(|(next, _)| *next == name), here) {
                    // A name that cannot be in a path is that side's damage.
                    let path = here.path.join(&name).map_err(|bad| side.failed(bad.into()))?;
                    *spot = Some(Spot { path, inode });
                }
            }
            let [before, after] = spots;
            if let Some(below) = self.compare(before, after)? {
                levels.push(below);
            }
        }
        Ok(())
    }

    /// Begins with a directory. A side where no directory is has no names.
    fn enter(&mut self, before: Option<Spot>, after: Option<Spot>) -> Result<Level, DiffError> {
        let mut names: [Names; 2] = [Vec::new().into_iter().peekable(), Vec::new().into_iter().peekable()];
        let here = [before, after];
        for (((spot, names), side), seen) in here.iter().zip(&mut names).zip(&self.sides).zip(&mut self.seen) {
            let Some(spot) = spot else { continue };
            let damaged = |what: String| side.failed(FsError::Corrupt { volume: side.tree.volume(), what });
            if spot.path.as_bytes().len() > LONGEST_PATH {
                return Err(damaged("its directories nest deeper than any path can be long".to_owned()));
            }
            // FAT has no inodes; its directories were shown to be a tree when it was opened.
            if spot.inode != 0 && !seen.insert(spot.inode) {
                return Err(damaged(format!("the directory {} has two names", spot.path)));
            }
            *names = side.tree.names(spot).map_err(|source| side.failed(source))?.into_iter().peekable();
        }
        Ok(Level { here, names })
    }

    /// Compares one name; a directory is to be gone into, and is returned.
    fn compare(&mut self, before: Option<Spot>, after: Option<Spot>) -> Result<Option<Level>, DiffError> {
        let [a, b] = &mut self.sides;
        let look = |side: &Side<'_>, spot: &Option<Spot>| {
            spot.as_ref().map(|spot| side.tree.node(spot)).transpose().map_err(|source| side.failed(source))
        };
        let nodes = [look(a, &before)?, look(b, &after)?];
        let mut changed = Vec::new();
        if let [Some(old), Some(new)] = &nodes {
            changed = aspects(old, new, self.options);
            let both_files = old.kind == NodeKind::File && new.kind == NodeKind::File;
            // Files of different sizes need not be read.
            if both_files
                && let (Some(at_a), Some(at_b)) = (&before, &after)
                && (old.size != new.size || !same((a, at_a), (b, at_b), self.task.as_mut(), &mut self.done)?)
            {
                changed.push(Aspect::Content);
            }
        }
        let [old, new] = nodes;
        let is_directory = |node: &Option<Node>| node.as_ref().is_some_and(|node| node.kind == NodeKind::Directory);
        // A directory is gone into whether it differs or not.
        let below = [before.clone().filter(|_| is_directory(&old)), after.clone().filter(|_| is_directory(&new))];
        if old.is_none() || new.is_none() || !changed.is_empty() {
            let difference = Difference {
                volume: a.tree.volume(),
                path: before
                    .as_ref()
                    .or(after.as_ref())
                    .map_or_else(crate::fs::ImagePath::root, |spot| spot.path.clone()),
                // Only of what is told: files that are the same were read once, and not hashed.
                before: seen(a, &before, old)?,
                after: seen(b, &after, new)?,
                changed,
            };
            (self.see)(difference);
        }
        match below {
            [None, None] => Ok(None),
            [before, after] => self.enter(before, after).map(Some),
        }
    }
}

fn seen(side: &mut Side<'_>, spot: &Option<Spot>, node: Option<Node>) -> Result<Option<Seen>, DiffError> {
    let (Some(spot), Some(node)) = (spot, node) else { return Ok(None) };
    let sha256 = if node.kind == NodeKind::File { Some(side.digest(spot)?) } else { None };
    Ok(Some(Seen { node, sha256 }))
}

/// What differs without reading the contents.
fn aspects(old: &Node, new: &Node, options: Options) -> Vec<Aspect> {
    let attributes = (old.attributes, new.attributes);
    let differs = [
        (Aspect::Kind, (old.kind, old.device) != (new.kind, new.device)),
        (Aspect::Mode, attributes.0.mode != attributes.1.mode),
        (Aspect::Owner, (attributes.0.uid, attributes.0.gid) != (attributes.1.uid, attributes.1.gid)),
        (Aspect::Target, old.target != new.target),
        (Aspect::Xattrs, old.xattrs != new.xattrs),
        (Aspect::Flags, old.flags != new.flags),
        (Aspect::Links, old.links != new.links),
        // Every boot changes times, so they count only where somebody asks.
        (Aspect::Modified, options.times && old.modified != new.modified),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(aspect, _)| aspect).collect()
}
