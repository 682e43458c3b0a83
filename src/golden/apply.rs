//! Carries out a plan on the file systems of an overlay: the only place that turns edits into changes.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::{Hashing, Sha256Digest};
use crate::fs::{Attributes, FsError, ImagePath, TreeMut};
use crate::prepare::{Change, Content, Edit, Plan, Volume};

/// Why a plan could not be carried out. The overlay is then thrown away; nothing else was touched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// One edit failed.
    #[error("could not {doing} {path} in the image")]
    Edit {
        /// "remove", "write", "make", "change the mode of".
        doing: &'static str,
        /// Where.
        path: ImagePath,
        /// What the file system says.
        #[source]
        source: FsError,
    },
    /// A file of this machine changed between planning and applying.
    #[error("{path} changed while it was being put into the image: it had SHA-256 {planned} when the plan was made", path = path.display())]
    HostFileChanged {
        /// Which file.
        path: PathBuf,
        /// Its digest in the plan.
        planned: Sha256Digest,
    },
    /// A file of this machine cannot be read any more.
    #[error("could not read {path}", path = path.display())]
    HostFile {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The file systems could not be brought to rest.
    #[error("could not finish writing the image's file systems")]
    Sync(#[source] FsError),
}

/// Carries out all edits in order and brings both file systems to rest.
///
/// # Errors
/// [`ApplyError`] at the first edit that fails.
pub fn apply(plan: &Plan, root: &dyn TreeMut, boot: &dyn TreeMut) -> Result<(), ApplyError> {
    // In the plan's own order: a later step may replace or remove what an earlier one wrote.
    for edit in &plan.edits {
        let tree = match edit.volume {
            Volume::Root => root,
            Volume::Boot => boot,
        };
        apply_one(edit, tree)?;
    }
    // Checks and the writer of the image read the overlay past these two, so nothing may stay in their caches.
    root.sync().map_err(ApplyError::Sync)?;
    boot.sync().map_err(ApplyError::Sync)
}

fn apply_one(edit: &Edit, tree: &dyn TreeMut) -> Result<(), ApplyError> {
    let path = &edit.path;
    let failed = |doing| move |source| ApplyError::Edit { doing, path: path.clone(), source };
    match &edit.change {
        Change::Remove => tree.remove(path).map_err(failed("remove")),
        Change::Directory { attributes } => tree.make_directory(path, *attributes).map_err(failed("make")),
        Change::Symlink { target } => tree.make_symlink(path, target).map_err(failed("make")),
        Change::Attributes { attributes } => {
            tree.set_attributes(path, *attributes).map_err(failed("change the mode and owner of"))
        }
        Change::Write { content: Content::Bytes(bytes), attributes } => {
            tree.write_file(path, *attributes, &mut bytes.as_slice()).map_err(failed("write"))
        }
        // On the way in a secret is bytes like any other. Errors name its path and nothing of it.
        Change::Write { content: Content::Secret(bytes), attributes } => {
            tree.write_file(path, *attributes, &mut bytes.as_slice()).map_err(failed("write"))
        }
        Change::Write { content: Content::HostFile { path: host, sha256, .. }, attributes } => {
            copy_in(tree, path, host, sha256, *attributes)
        }
    }
}

fn copy_in(
    tree: &dyn TreeMut,
    path: &ImagePath,
    host: &Path,
    planned: &Sha256Digest,
    attributes: Attributes,
) -> Result<(), ApplyError> {
    let unreadable = |source| ApplyError::HostFile { path: host.to_owned(), source };
    let mut reader = Hashing::new(File::open(host).map_err(unreadable)?);
    tree.write_file(path, attributes, &mut reader).map_err(|source| ApplyError::Edit {
        doing: "write",
        path: path.clone(),
        source,
    })?;
    // Hashed on the way in: a file that is hashed first and then read again may change in between.
    if reader.into_parts().1 != *planned {
        return Err(ApplyError::HostFileChanged { path: host.to_owned(), planned: *planned });
    }
    Ok(())
}
