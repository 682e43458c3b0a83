//! The finder: no table is complete, so files that people and services made are looked through for what secrets look like.
//! It changes nothing, and tells of paths and kinds, never of what stands there.

use std::collections::{BTreeMap, HashSet};

use super::choices::Strip;
use super::forms::{self, FORMS, paths, scope};
use super::packages::of_packages;
use super::proposal::{behind, found};
use super::subjects::rules;
use crate::fs::{Entry, FileKind, FsError, ImagePath, Stat, Tree};
use crate::prepare::{Severity, Step, StepError, View, Volume};

/// The name under which a recipe accepts what the finder finds, and the audit tells of it.
pub const SECRETS_IN_FILES: &str = "secrets-in-files";

/// The step that looks, last of all: at the image as it will be.
pub struct FindSecrets<'r> {
    strip: &'r Strip,
}

impl<'r> FindSecrets<'r> {
    /// The step, with what the recipe accepts.
    pub fn new(strip: &'r Strip) -> FindSecrets<'r> {
        FindSecrets { strip }
    }
}

impl Step for FindSecrets<'_> {
    fn name(&self) -> &'static str {
        "secrets"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        if self.strip.keeps(SECRETS_IN_FILES) {
            return Ok(());
        }
        let looked_in = |path: &[u8]| paths::is_within(path, scope::LOOKED_IN);
        let mut walk =
            Walk { named: named_by_rules(view)?, owned: of_packages(&view.root(), looked_in)?, ..Walk::default() };
        for place in scope::LOOKED_IN {
            walk.directory(&view.root(), Volume::Root, &ImagePath::new(place)?, 0)?;
        }
        walk.directory(&view.boot(), Volume::Boot, &ImagePath::root(), 0)?;
        if !walk.secrets.is_empty() {
            let shown = walk.secrets.iter().map(|((volume, path), kind)| format!("{} ({kind})", volume.place(path)));
            let places: Vec<String> = shown.collect();
            let (hold, it) = if places.len() == 1 { ("holds", "it") } else { ("hold", "them") };
            let text = format!(
                "{hold} what looks like a secret and will be on every card. [strip] remove takes {it} out, keep = \
                 [\"{SECRETS_IN_FILES}\"] says that it is meant"
            );
            view.leave(SECRETS_IN_FILES, Severity::Warning, places, &text);
        }
        walk.say_what_was_not_looked_at(view);
        Ok(())
    }
}

/// What rules of the table name already: it is told of once.
fn named_by_rules(view: &View<'_>) -> Result<HashSet<(Volume, ImagePath)>, FsError> {
    let mut named = HashSet::new();
    for rule in rules() {
        for (volume, path) in found(rule, view)? {
            // What a link leads to is the rule's as well.
            let file = behind(&view.tree(volume), &path)?;
            named.extend([(volume, path), (volume, file)]);
        }
    }
    Ok(named)
}

#[derive(Default)]
struct Walk {
    named: HashSet<(Volume, ImagePath)>,
    owned: HashSet<Vec<u8>>,
    secrets: BTreeMap<(Volume, ImagePath), &'static str>,
    files: usize,
    bytes: u64,
    /// Files that were not looked through, because there was no more room.
    left_out: usize,
    /// Files of which only the beginning was looked through.
    beginnings: usize,
    /// Folders that were not gone into.
    too_deep: usize,
}

impl Walk {
    fn directory(&mut self, tree: &dyn Tree, volume: Volume, at: &ImagePath, depth: usize) -> Result<(), FsError> {
        let is_left_out = volume == Volume::Root && paths::is_within(at.as_bytes(), scope::NOT_IN);
        if is_left_out || self.named.contains(&(volume, at.clone())) {
            return Ok(());
        }
        if depth > scope::DEEPEST {
            self.too_deep += 1;
            return Ok(());
        }
        if tree.stat(at)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
            return Ok(());
        }
        for Entry { name, kind } in tree.list(at)? {
            let path = at.join(&name)?;
            match kind {
                FileKind::Directory if !scope::SKIPPED_NAMES.iter().any(|skipped| name == skipped.as_bytes()) => {
                    self.directory(tree, volume, &path, depth + 1)?;
                }
                FileKind::File => self.file(tree, volume, &path)?,
                // What a link leads to is found in its own place.
                _ => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, tree: &dyn Tree, volume: Volume, path: &ImagePath) -> Result<(), FsError> {
        let bytes = path.as_bytes();
        // Settings of packages are looked through: a person may have put a secret into them.
        let of_others = match volume {
            Volume::Root => {
                (self.owned.contains(bytes) && !bytes.starts_with(b"/etc/"))
                    || paths::is_within(bytes, scope::PUBLIC_FILES)
            }
            Volume::Boot => paths::is_firmware(bytes),
        };
        let key = (volume, path.clone());
        if of_others || self.named.contains(&key) {
            return Ok(());
        }
        let Some(stat) = tree.stat(path)?.filter(|stat| stat.size > 0) else { return Ok(()) };
        if self.files >= scope::MOST_FILES || self.bytes >= scope::MOST_BYTES {
            self.left_out += 1;
            return Ok(());
        }
        let size = stat.size.min(scope::MOST_OF_A_FILE);
        self.files += 1;
        self.bytes += size;
        self.beginnings += usize::from(!self.owned.contains(bytes) && stat.size > size);
        let content = tree.beginning(path, size)?;
        let examples = paths::has_directory(bytes, scope::EXAMPLE_NAMES) || paths::is_documentation(bytes);
        let kinds = forms::sightings(&content).into_iter().filter_map(|sighting| FORMS.get(sighting.form));
        if let Some(form) = kinds.into_iter().find(|form| !examples || form.is_key) {
            self.secrets.insert(key, form.kind);
        } else if volume == Volume::Root && !examples && self.is_for_root_alone(&stat, bytes, &content) {
            self.secrets.insert(key, "for root alone");
        }
        Ok(())
    }

    /// What nobody but root may read, and no package brought, is mostly worth a look.
    fn is_for_root_alone(&self, stat: &Stat, path: &[u8], content: &[u8]) -> bool {
        const SMALLEST: usize = 16;
        const LARGEST: usize = 64 << 10;
        stat.attributes.mode & 0o077 == 0
            && stat.attributes.uid == 0
            && (SMALLEST..=LARGEST).contains(&content.len())
            && !self.owned.contains(path)
            && !paths::is_within(path, scope::HARMLESS_ROOT_FILES)
            && paths::looks_secret(path, content)
    }

    /// No cap is silent.
    fn say_what_was_not_looked_at(&self, view: &mut View<'_>) {
        if self.left_out > 0 {
            view.warn(format!(
                "{} files were not looked through for secrets: the first {} were enough to fill the time",
                self.left_out, self.files
            ));
        }
        if self.too_deep > 0 {
            view.warn(format!(
                "{} folders are deeper than {}: they were not looked through for secrets",
                self.too_deep,
                scope::DEEPEST
            ));
        }
        if self.beginnings > 0 {
            let mib = scope::MOST_OF_A_FILE >> 20;
            let files = if self.beginnings == 1 { "1 file" } else { &format!("{} files", self.beginnings) };
            view.note(format!("of {files} larger than {mib} MiB only the beginning was looked through for secrets"));
        }
    }
}
