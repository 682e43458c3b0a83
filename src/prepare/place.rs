//! Tables of places: what is stripped from an image is data, one line per path, and the table is the documentation.

use serde::Serialize;

use super::content::Content;
use super::plan::{Class, Volume};
use super::view::View;
use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::recipe::schema::Keep;

/// What happens to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The file, or the directory with all that is in it, goes.
    Remove,
    /// What is in the directory goes; the directory stays with its mode and owner.
    Clear,
    /// The file stays with its mode and owner, and loses what it holds.
    Empty,
    /// It stays. In the table so that nobody has to wonder.
    Keep,
    /// It stays, but a person should know: every card will have it.
    Warn,
    /// A part of it goes; the step's own code says which.
    Part,
}

/// One line of a table.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Place {
    /// Where: a path in the root file system in which `*` stands for any part of one name. `~/` means every home
    /// directory; `boot:/` the root of the boot file system.
    pub path: &'static str,
    /// What it is, as a sentence for a person.
    pub what: &'static str,
    /// What sort of thing it is.
    pub class: Class,
    /// What happens to it.
    pub action: Action,
    /// The name in `[strip] keep` that saves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_by: Option<Keep>,
    /// Where the fact comes from.
    pub source: &'static str,
}

impl Place {
    /// A line of a table.
    pub const fn new(
        path: &'static str,
        what: &'static str,
        class: Class,
        action: Action,
        source: &'static str,
    ) -> Place {
        Place { path, what, class, action, kept_by: None, source }
    }

    /// The same, saved by this name in `[strip] keep`.
    pub const fn unless(self, keep: Keep) -> Place {
        Place { kept_by: Some(keep), ..self }
    }

    /// Which file system it is in.
    pub fn volume(&self) -> Volume {
        if self.path.starts_with("boot:") { Volume::Boot } else { Volume::Root }
    }

    /// What is there now that this line means, sorted.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub fn find(&self, view: &View<'_>) -> Result<Vec<ImagePath>, FsError> {
        let tree = view.tree(self.volume());
        let (starts, pattern) = match self.path.strip_prefix("~/") {
            Some(pattern) => (homes(&view.root())?, pattern),
            None => (vec![ImagePath::root()], self.path.strip_prefix("boot:").unwrap_or(self.path)),
        };
        let mut found = starts;
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            let mut next = Vec::new();
            for directory in &found {
                next.extend(step_down(&tree, directory, part)?);
            }
            found = next;
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Proposes what this line says. Returns what it was proposed for; nothing for lines that stay.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub fn propose(&self, view: &mut View<'_>) -> Result<Vec<ImagePath>, FsError> {
        let found = self.find(view)?;
        let volume = self.volume();
        let mut edited = Vec::new();
        for path in found {
            let done = match self.action {
                Action::Remove => view.remove(volume, &path, self.class, self.what, self.source)?,
                Action::Clear => view.remove_contents(volume, &path, self.class, self.what, self.source)? > 0,
                Action::Empty => empty(view, volume, &path, self.class, self.what, self.source)?,
                // The public half of a key is no secret, and one line for both is enough.
                Action::Warn if path.as_bytes().ends_with(b".pub") => false,
                Action::Warn => {
                    view.warn(format!("{path} stays and will be on every card: {}", self.what));
                    false
                }
                Action::Keep | Action::Part => false,
            };
            if done {
                edited.push(path);
            }
        }
        Ok(edited)
    }
}

/// Proposes that a regular file loses what it holds; mode and owner stay. Returns whether it held anything.
///
/// # Errors
/// Where the image cannot be read.
pub fn empty(
    view: &mut View<'_>,
    volume: Volume,
    path: &ImagePath,
    class: Class,
    why: &'static str,
    source: &'static str,
) -> Result<bool, FsError> {
    match view.tree(volume).stat(path)? {
        Some(stat) if stat.kind == FileKind::File && stat.size > 0 => {
            view.write(volume, path, Content::Bytes(Vec::new()), stat.attributes, class, why, source)
        }
        _ => Ok(false),
    }
}

/// The entries of `directory` whose name is like `part`. A directory that is not there has none.
fn step_down(tree: &dyn Tree, directory: &ImagePath, part: &str) -> Result<Vec<ImagePath>, FsError> {
    if !part.contains('*') {
        let path = directory.join(part)?;
        return Ok(tree.stat(&path)?.map(|_| path).into_iter().collect());
    }
    let directory = tree.resolve(directory)?;
    if tree.stat(&directory)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in tree.list(&directory)? {
        if is_like(&entry.name, part.as_bytes()) {
            found.push(directory.join(&entry.name)?);
        }
    }
    Ok(found)
}

/// Whether `name` matches a pattern in which `*` stands for any run of bytes.
fn is_like(name: &[u8], pattern: &[u8]) -> bool {
    // Greedy with one point to come back to: linear in practice, and never exponential whatever a name holds.
    let (mut n, mut p) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p, n));
                p += 1;
            }
            Some(byte) if name.get(n) == Some(byte) => {
                p += 1;
                n += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    p = star + 1;
                    n = from + 1;
                    back = Some((star, n));
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|&byte| byte == b'*')
}

/// Every home directory there is: root's, those in `/etc/passwd`, and whatever lies in `/home`.
///
/// # Errors
/// Where the image cannot be read.
pub fn homes(root: &dyn Tree) -> Result<Vec<ImagePath>, FsError> {
    const PASSWD_LIMIT: u64 = 4 << 20;
    let mut named = vec![ImagePath::new("/root")?];
    let passwd = root.text(&root.resolve(&ImagePath::new("/etc/passwd")?)?, PASSWD_LIMIT)?.unwrap_or_default();
    let fields = passwd.lines().filter_map(|line| line.split(':').nth(5));
    named.extend(fields.filter_map(|home| ImagePath::new(home).ok()).filter(|home| *home != ImagePath::root()));
    named.extend(step_down(root, &ImagePath::new("/home")?, "*")?);
    let mut homes = Vec::new();
    for home in named {
        let home = root.resolve(&home)?;
        if root.stat(&home)?.is_some_and(|stat| stat.kind == FileKind::Directory) {
            homes.push(home);
        }
    }
    homes.sort();
    homes.dedup();
    Ok(homes)
}

#[cfg(test)]
mod tests {
    use super::super::mem_tree::MemTree;
    use super::*;

    fn found(root: &MemTree, path: &'static str) -> Vec<String> {
        let boot = MemTree::with(&[("/ssh", ""), ("/user-data", "")]);
        let view = View::new(root, &boot);
        let place = Place::new(path, "", Class::Log, Action::Remove, "");
        place.find(&view).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn patterns_stay_within_one_name() {
        let root = MemTree::with(&[("/d/mi-1/x", ""), ("/d/mi-2", ""), ("/d/other/mi-3", ""), ("/link", "-> d")]);
        assert_eq!(found(&root, "/d/mi-*"), ["/d/mi-1", "/d/mi-2"]);
        assert_eq!(found(&root, "/link/mi-*"), ["/d/mi-1", "/d/mi-2"]);
        assert_eq!(found(&root, "/d/*/mi-*"), ["/d/other/mi-3"]);
        assert_eq!(found(&root, "/none/*"), [""; 0]);
        assert_eq!(found(&root, "boot:/user-*"), ["/user-data"]);
        assert!(is_like(b"ssh_host_rsa_key.pub", b"ssh_host_*_key*"));
        assert!(!is_like(b"ssh_host_key", b"ssh_host_*_key"));
        assert!(!is_like(&[b'a'; 255], b"*a*a*a*a*a*a*b"));
    }

    #[test]
    fn every_home_is_found_once() {
        let root = MemTree::with(&[
            (
                "/etc/passwd",
                "root:x:0:0:root:/root:/bin/sh\npi:x:1:1::/home/pi:/bin/sh\nd:x:2:2::/:/x\nw:x:3:3::/srv/w:\nbad",
            ),
            ("/root/.bash_history", "1"),
            ("/home/pi/.bash_history", "1"),
            ("/home/left-behind/.bash_history", "1"),
            ("/srv/w/.bash_history", "1"),
            ("/.bash_history", "1"),
        ]);
        let histories = [
            "/home/left-behind/.bash_history",
            "/home/pi/.bash_history",
            "/root/.bash_history",
            "/srv/w/.bash_history",
        ];
        assert_eq!(found(&root, "~/.bash_history"), histories);
    }
}
