//! The step that adds the recipe's own files, `[[file]]`: into root or boot partition, with mode and owner as the image
//! knows them. Paths are resolved inside the image only; content from this machine is read again, and must still be the
//! same, when the plan is applied.

use std::collections::BTreeSet;
use std::path::Path;

use crate::digest::Sha256Digest;
use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, SETTINGS_LIMIT, Step, StepError, View, Volume};
use crate::recipe::LoadedRecipe;
use crate::recipe::schema::{FileEntry, FileVolume};
use crate::sudoers::{Accounts, Policy, TreeFiles};
use crate::units::ByteSize;

const SOURCE: &str = "the recipe, [[file]]";

/// Adds the files of a recipe.
pub struct AddFiles<'r> {
    files: &'r [FileEntry],
    loaded: &'r LoadedRecipe,
}

impl<'r> AddFiles<'r> {
    /// The files that the recipe lists.
    pub fn new(loaded: &'r LoadedRecipe) -> AddFiles<'r> {
        AddFiles { files: &loaded.recipe.files, loaded }
    }
}

impl Step for AddFiles<'_> {
    fn name(&self) -> &'static str {
        "files"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        let accounts = Accounts::read(&TreeFiles(&view.root()))?;
        let mut places = BTreeSet::new();
        for entry in self.files {
            let place = self.add(view, entry, &accounts)?;
            if !places.insert(place.clone()) {
                return Err(refused(
                    entry,
                    format!("stands twice in the recipe ({} is the same place in the image)", place.1),
                    "keep one of the two [[file]] entries",
                ));
            }
        }
        Ok(())
    }
}

fn refused(entry: &FileEntry, what: impl std::fmt::Display, next: impl Into<String>) -> StepError {
    StepError::Refused { what: format!("[[file]] {:?} {what}", entry.path), next: next.into() }
}

impl AddFiles<'_> {
    fn add(
        &self,
        view: &mut View<'_>,
        entry: &FileEntry,
        accounts: &Accounts,
    ) -> Result<(Volume, ImagePath), StepError> {
        let volume = match entry.volume {
            FileVolume::Root => Volume::Root,
            FileVolume::Boot => Volume::Boot,
        };
        let path = ImagePath::new(&entry.path).map_err(|error| {
            refused(entry, format!("cannot be added: {error}"), "name an absolute path inside the image")
        })?;
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(refused(entry, "is the root directory", "name the file that is to be made"));
        };
        let place = view.tree(volume).resolve(&parent)?.join(name).map_err(FsError::from)?;
        let attributes = attributes(entry, accounts)?;
        self.check_place(view, entry, volume, &place)?;
        let content = self.content(entry)?;
        report_caveats(view, entry, volume, &place, attributes, &content)?;
        let why = match &entry.source {
            Some(source) => format!("from {} beside the recipe", source.display()),
            None => "its text is in the recipe".to_owned(),
        };
        view.write(volume, &place, content, attributes, Class::Configuration.because(why, SOURCE))?;
        Ok((volume, place))
    }

    /// What cannot be written over or beside.
    fn check_place(
        &self,
        view: &mut View<'_>,
        entry: &FileEntry,
        volume: Volume,
        place: &ImagePath,
    ) -> Result<(), StepError> {
        if volume == Volume::Root && place.as_bytes() == super::register::ACTIVATION_FILE.as_bytes() {
            return Err(refused(
                entry,
                "would put one activation on every card",
                "leave it out: [activation] in the recipe gives each card its own",
            ));
        }
        let bad_for_fat = |name: &[u8]| {
            std::str::from_utf8(name).map_or(true, |name| {
                name.ends_with(['.', ' ']) || name.chars().any(|c| c.is_control() || "\"*:<>?\\|".contains(c))
            })
        };
        if volume == Volume::Boot && place.components().any(bad_for_fat) {
            return Err(refused(
                entry,
                "has a name that FAT cannot hold",
                "use no control characters, none of \" * : < > ? \\ |, and no dot or blank at the end",
            ));
        }
        match view.tree(volume).stat(place)?.map(|stat| stat.kind) {
            Some(FileKind::Directory) => {
                Err(refused(entry, "is a directory in the image", "name the file in it that is to be made"))
            }
            Some(FileKind::Special) => {
                Err(refused(entry, "is a device, FIFO or socket in the image", "name another path"))
            }
            Some(FileKind::Symlink) => {
                view.note(format!("{place} is a symbolic link in the image; the file takes its place"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn content(&self, entry: &FileEntry) -> Result<Content, StepError> {
        match (&entry.source, &entry.text) {
            (Some(source), None) => host_file(&self.loaded.beside(source)),
            (None, Some(text)) => Ok(Content::Bytes(text.clone().into_bytes())),
            _ => Err(refused(
                entry,
                "needs its content from exactly one place",
                "give either source (a file beside the recipe) or text",
            )),
        }
    }
}

/// A file of this machine, with size and digest as they are now.
fn host_file(path: &Path) -> Result<Content, StepError> {
    let failed = |what: String, next: &str| StepError::HostFile { path: path.to_owned(), what, next: next.to_owned() };
    let unreadable = |error: std::io::Error| {
        failed(
            format!("cannot be read ({error})"),
            "put it beside the recipe, or correct the path; relative paths count from the recipe",
        )
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(failed("is a directory".to_owned(), "one [[file]] adds one file: list the files in it one by one"));
    }
    if !metadata.is_file() {
        return Err(failed("is no regular file".to_owned(), "name a regular file"));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let (sha256, size) = Sha256Digest::of_all(file).map_err(unreadable)?;
    Ok(Content::HostFile { path: path.to_owned(), size: ByteSize(size), sha256 })
}

fn attributes(entry: &FileEntry, accounts: &Accounts) -> Result<Attributes, StepError> {
    let digits = entry.mode.strip_prefix("0o").unwrap_or(&entry.mode);
    let is_octal = !digits.is_empty() && digits.bytes().all(|c| (b'0'..=b'7').contains(&c));
    let mode = u16::from_str_radix(digits, 8).ok().filter(|mode| is_octal && *mode <= 0o7777);
    let Some(mode) = mode else {
        return Err(refused(
            entry,
            format!("has the mode {:?}", entry.mode),
            "write the mode as octal digits, 0644 for a text or 0755 for a program",
        ));
    };
    let unknown = |what: &str, name: &str, file: &str| {
        refused(
            entry,
            format!("is to belong to {what} {name:?}, which the image's {file} does not have"),
            format!("use a number, or a name that {file} in the image has"),
        )
    };
    let number = |name: &str| name.parse::<u32>().ok().filter(|_| name.bytes().all(|c| c.is_ascii_digit()));
    let uid = number(&entry.owner)
        .or_else(|| accounts.user(entry.owner.as_bytes()).map(|user| user.uid))
        .or_else(|| (entry.owner == "root").then_some(0))
        .ok_or_else(|| unknown("user", &entry.owner, "/etc/passwd"))?;
    let gid = number(&entry.group)
        .or_else(|| accounts.group(entry.group.as_bytes()).map(|group| group.gid))
        .or_else(|| (entry.group == "root").then_some(0))
        .ok_or_else(|| unknown("group", &entry.group, "/etc/group"))?;
    Ok(Attributes { mode, uid, gid })
}

/// What a person may not have thought of.
fn report_caveats(
    view: &mut View<'_>,
    entry: &FileEntry,
    volume: Volume,
    place: &ImagePath,
    attributes: Attributes,
    content: &Content,
) -> Result<(), StepError> {
    if volume == Volume::Boot {
        if attributes != Attributes::root(0o644) {
            view.note(format!("{place} goes to the boot partition: FAT keeps neither mode nor owner"));
        }
        return Ok(());
    }
    if attributes.mode & 0o6000 != 0 {
        view.warn(format!(
            "{place} is setuid or setgid ({:04o}): whoever runs it runs it as its owner or group",
            attributes.mode
        ));
    }
    if attributes.mode & 0o002 != 0 {
        view.warn(format!("{place} can be changed by every user of the card ({:04o})", attributes.mode));
    }
    let in_sudoers_d = place.parent().is_some_and(|parent| parent.as_bytes() == b"/etc/sudoers.d");
    if in_sudoers_d || place.as_bytes() == b"/etc/sudoers" {
        report_sudoers_file(view, entry, place, attributes, content)?;
    }
    Ok(())
}

fn report_sudoers_file(
    view: &mut View<'_>,
    entry: &FileEntry,
    place: &ImagePath,
    attributes: Attributes,
    content: &Content,
) -> Result<(), StepError> {
    let name = place.name().unwrap_or_default();
    if place.as_bytes() != b"/etc/sudoers" && (name.contains(&b'.') || name.ends_with(b"~")) {
        view.warn(format!(
            "{place}: sudo does not read files of /etc/sudoers.d with a dot in the name or a ~ at its end"
        ));
    }
    if attributes.uid != 0 || attributes.mode & 0o002 != 0 || attributes.mode & 0o020 != 0 && attributes.gid != 0 {
        view.warn(format!("{place}: sudo refuses a file that others than root can change; use mode 0440, owner root"));
    }
    let text = match content {
        Content::Bytes(bytes) => bytes.clone(),
        Content::HostFile { path, size, .. } if size.0 <= SETTINGS_LIMIT => {
            std::fs::read(path).map_err(|error| StepError::HostFile {
                path: path.clone(),
                what: format!("cannot be read ({error})"),
                next: "try again".to_owned(),
            })?
        }
        Content::HostFile { size, .. } => {
            return Err(refused(
                entry,
                format!("has {size}, too many for a file of sudo rules: it could not be checked"),
                "name a file of less than 1 MiB",
            ));
        }
        Content::Secret(_) => return Ok(()),
    };
    if let Some(problem) = Policy::of_text(&entry.path, &text).problems.iter().find(|problem| problem.span.is_some()) {
        return Err(refused(
            entry,
            format!("is not a sudoers file that sudo understands: {}", problem.text),
            "correct it; visudo -cf FILE shows the place",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(mode: &str, owner: &str, group: &str) -> FileEntry {
        FileEntry {
            path: "/x".to_owned(),
            source: None,
            text: Some(String::new()),
            mode: mode.to_owned(),
            owner: owner.to_owned(),
            group: group.to_owned(),
            volume: FileVolume::Root,
        }
    }

    #[test]
    fn modes_are_octal_and_names_come_from_the_image() {
        let accounts = Accounts::parse(b"pi:x:1000:1000::/home/pi:/bin/bash\n", b"gpio:x:986:pi\n", b"");
        let of = |mode, owner, group| attributes(&entry(mode, owner, group), &accounts).ok();
        assert_eq!(of("0644", "root", "root"), Some(Attributes::root(0o644)));
        assert_eq!(of("4755", "pi", "gpio"), Some(Attributes { mode: 0o4755, uid: 1000, gid: 986 }));
        assert_eq!(of("0o600", "33", "0"), Some(Attributes { mode: 0o600, uid: 33, gid: 0 }));
        for bad in ["", "rw-r--r--", "0888", "77777", "-1", "+644", "0x1ff", "10000"] {
            assert!(of(bad, "root", "root").is_none(), "{bad}");
        }
        assert!(of("0644", "nobody-here", "root").is_none());
        assert!(of("0644", "root", "pi").is_none());
    }
}
