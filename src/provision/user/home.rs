//! Home directories: made from /etc/skel, or moved with what is in them.

use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, View, Volume};

const SOURCE: &str = "useradd(8), -m; usermod(8), -m";
/// A fresh home has half a dozen small files; more than this is somebody's life, and stays where it is.
const MOST_FILES: usize = 2_000;
const MOST_BYTES: u64 = 64 << 20;

/// The mode of a new home: that of the image's other homes, else Debian's HOME_MODE.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn mode(view: &View<'_>) -> Result<u16, FsError> {
    let homes = ImagePath::new("/home")?;
    let root = view.root();
    if root.stat(&homes)?.is_some_and(|stat| stat.kind == FileKind::Directory) {
        for entry in root.list(&homes)? {
            if let Some(stat) = root.stat(&homes.join(&entry.name)?)?
                && stat.kind == FileKind::Directory
                && stat.attributes.uid >= 1000
            {
                return Ok(stat.attributes.mode & 0o777);
            }
        }
    }
    Ok(0o700)
}

/// Proposes a home with what /etc/skel holds. One that is there stays as it is, but belongs to the user.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn made(view: &mut View<'_>, home: &ImagePath, attributes: Attributes) -> Result<(), FsError> {
    if view.root().stat(home)?.is_some() {
        view.warn(format!("{home} is in the image already: what is in it keeps its owners"));
    }
    let why = "the user's home";
    view.directory(Volume::Root, home, attributes, Class::Configuration.because(why, SOURCE))?;
    let skeleton = view.root().resolve(&ImagePath::new("/etc/skel")?)?;
    let Some(files) = below(view, &skeleton)? else { return Ok(()) };
    for path in files {
        let place = rebased(&path, &skeleton, home)?;
        if view.root().stat(&place)?.is_none() {
            copy(view, &path, &place, Some(attributes), "from /etc/skel, as for every new user")?;
        }
    }
    Ok(())
}

/// Proposes that a home moves, and returns where it is then: at the old place where it cannot be moved.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn moved(view: &mut View<'_>, old: &ImagePath, new: &ImagePath) -> Result<ImagePath, FsError> {
    let Some(stat) = view.root().stat(old)? else { return Ok(new.clone()) };
    if view.root().stat(new)?.is_some() || stat.kind != FileKind::Directory || *old == ImagePath::root() {
        view.warn(format!("the home stays at {old}: {new} is there already"));
        return Ok(old.clone());
    }
    let Some(files) = below(view, old)? else {
        view.warn(format!("the home stays at {old}: it holds too much, or more than files, to be moved in the image"));
        return Ok(old.clone());
    };
    let why = "the home of the first user, under its new name";
    view.directory(Volume::Root, new, stat.attributes, Class::Configuration.because(why, SOURCE))?;
    for path in files {
        copy(view, &path, &rebased(&path, old, new)?, None, why)?;
    }
    view.remove(Volume::Root, old, Class::Configuration.because(format!("it has become {new}"), SOURCE))?;
    Ok(new.clone())
}

fn rebased(path: &ImagePath, from: &ImagePath, to: &ImagePath) -> Result<ImagePath, FsError> {
    let rest = path.as_bytes().strip_prefix(from.as_bytes()).unwrap_or_default();
    Ok(ImagePath::new([to.as_bytes(), rest].concat())?)
}

fn copy(
    view: &mut View<'_>,
    from: &ImagePath,
    to: &ImagePath,
    owner: Option<Attributes>,
    why: &'static str,
) -> Result<(), FsError> {
    let Some(stat) = view.root().stat(from)? else { return Ok(()) };
    let attributes = match owner {
        Some(owner) => Attributes { mode: stat.attributes.mode, ..owner },
        None => stat.attributes,
    };
    match stat.kind {
        FileKind::Directory => {
            view.directory(Volume::Root, to, attributes, Class::Configuration.because(why, SOURCE))?;
        }
        FileKind::File => {
            let content = Content::Bytes(view.root().read(from, MOST_BYTES)?);
            view.write(Volume::Root, to, content, attributes, Class::Configuration.because(why, SOURCE))?;
        }
        FileKind::Symlink => {
            let target = view.root().read_link(from)?;
            view.symlink(to, target, Class::Configuration.because(why, SOURCE))?;
        }
        FileKind::Special => {}
    }
    Ok(())
}

/// Everything below a directory, directories before what is in them; `None` where it cannot be copied.
fn below(view: &View<'_>, directory: &ImagePath) -> Result<Option<Vec<ImagePath>>, FsError> {
    let root = view.root();
    if root.stat(directory)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
        return Ok(Some(Vec::new()));
    }
    let (mut found, mut ahead, mut bytes) = (Vec::new(), vec![directory.clone()], 0_u64);
    while let Some(at) = ahead.pop() {
        for entry in root.list(&at)? {
            let path = at.join(&entry.name)?;
            let Some(stat) = root.stat(&path)? else { continue };
            match stat.kind {
                FileKind::Special => return Ok(None),
                FileKind::Directory => ahead.push(path.clone()),
                FileKind::File => bytes = bytes.saturating_add(stat.size),
                FileKind::Symlink => {}
            }
            found.push(path);
            if found.len() > MOST_FILES || bytes > MOST_BYTES {
                return Ok(None);
            }
        }
    }
    found.sort();
    Ok(Some(found))
}
