//! Directories of one person alone. What lies in them is believed later, so nobody else may ever have put it there, and it
//! may hold what nobody else may read.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// For its owner alone.
const PRIVATE: u32 = 0o700;
/// Others may make, rename and remove names in it.
const WRITABLE_BY_OTHERS: u32 = 0o022;
const WRITABLE_BY_ALL: u32 = 0o002;
/// ... but only their own (`/tmp`).
const STICKY: u32 = 0o1000;

/// Why a directory is not private and cannot be made so.
#[derive(Debug, thiserror::Error)]
pub enum NotPrivate {
    /// In words, with the directory's name.
    #[error("{0}")]
    Refused(String),
    /// The system's reason.
    #[error("could not look at, make or close {path}", path = path.display())]
    Io {
        /// Which directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What was mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// The directory, and what was wrong, in words.
    pub what: String,
    /// Others could put things into it: nothing in it can be believed.
    pub was_writable: bool,
}

/// Makes `path` a directory of its owner alone, whatever the umask: mode 0700. One that was open to others is closed, and
/// what was wrong is told. Its parents are made where they are missing, and else are left as they are.
///
/// # Errors
/// [`NotPrivate`] where it is a link or no directory, belongs to somebody else, or lies where anybody can exchange it.
pub fn make_private(path: &Path) -> Result<Option<Mended>, NotPrivate> {
    let io = |source| NotPrivate::Io { path: path.to_owned(), source };
    if let Err(error) = path.symlink_metadata()
        && error.kind() == ErrorKind::NotFound
    {
        DirBuilder::new().recursive(true).mode(PRIVATE).create(path).map_err(io)?;
    }
    let about = look_at(path)?;
    in_a_safe_place(path)?;
    let mode = about.mode() & 0o7777;
    if mode == PRIVATE {
        return Ok(None);
    }
    fs::set_permissions(path, Permissions::from_mode(PRIVATE)).map_err(io)?;
    // Only narrower, as a tight umask made it: nothing was wrong.
    if mode & !PRIVATE == 0 {
        return Ok(None);
    }
    let what = format!("{} was open to others (mode {mode:04o}), and is closed to them now (0700)", path.display());
    Ok(Some(Mended { what, was_writable: mode & WRITABLE_BY_OTHERS != 0 }))
}

/// What `path` is, where it is a directory of the person who runs this.
fn look_at(path: &Path) -> Result<Metadata, NotPrivate> {
    let about = path.symlink_metadata().map_err(|source| NotPrivate::Io { path: path.to_owned(), source })?;
    let refused = |what: &str| Err(NotPrivate::Refused(format!("{} {what}", path.display())));
    // A link is not followed: who made it chose where our files go.
    if about.is_symlink() {
        return refused("is a symbolic link");
    }
    if !about.is_dir() {
        return refused("is no directory");
    }
    // Root, too: a directory of somebody else's is not made root's by writing to it.
    let (owner, own) = (about.uid(), rustix::process::geteuid().as_raw());
    if owner != own {
        return refused(&format!("belongs to user {owner}, and this runs as user {own}"));
    }
    Ok(about)
}

/// Whether nobody else can put another directory in this one's place.
fn in_a_safe_place(path: &Path) -> Result<(), NotPrivate> {
    let io = |source| NotPrivate::Io { path: path.to_owned(), source };
    let real = path.canonicalize().map_err(io)?;
    for above in real.ancestors().skip(1) {
        let mode = above.metadata().map_err(io)?.mode();
        if mode & WRITABLE_BY_ALL != 0 && mode & STICKY == 0 {
            let what = format!("{} lies in {}, which anybody may write to", path.display(), above.display());
            return Err(NotPrivate::Refused(what));
        }
    }
    Ok(())
}

/// Refuses a directory that exists and is a link, or belongs to somebody else.
///
/// # Errors
/// [`NotPrivate`].
pub fn check_owner(path: &Path) -> Result<(), NotPrivate> {
    match look_at(path) {
        Err(NotPrivate::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(()),
        looked => looked.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o7777
    }

    #[test]
    fn a_directory_becomes_its_owner_s_alone_and_what_was_open_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert_eq!(make_private(&path).unwrap(), None);
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));
        for (open, writable) in [(0o755, false), (0o770, true), (0o777, true), (0o705, false)] {
            fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
            assert_eq!(make_private(&path).unwrap().map(|mended| mended.was_writable), Some(writable), "{open:o}");
            assert_eq!(mode(&path), 0o700);
            assert_eq!(make_private(&path).unwrap(), None);
        }
    }

    #[test]
    fn a_link_a_file_and_a_place_that_anybody_may_write_to_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link, file) = (dir.path().join("real"), dir.path().join("link"), dir.path().join("file"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        fs::write(&file, "").unwrap();
        let refused = |path: &Path| match make_private(path) {
            Err(NotPrivate::Refused(what)) => what,
            other => panic!("{other:?}"),
        };
        assert!(refused(&link).contains("symbolic link") && refused(&file).contains("no directory"));
        // A link that leads nowhere is one, too.
        fs::remove_dir(&real).unwrap();
        assert!(refused(&link).contains("symbolic link"));
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        assert!(refused(&open.join("cache")).contains("anybody may write to"));
        fs::set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(make_private(&open.join("cache")).unwrap(), None);
    }
}
