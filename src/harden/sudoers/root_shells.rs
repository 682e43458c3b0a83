//! What somebody must be allowed to run to be as good as root.

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::View;
use crate::sudoers::{Command, TreeFiles};

/// The commands that are as good as being root, as far as the image has them.
pub(super) fn root_shells(view: &View<'_>) -> Result<Vec<Command>, FsError> {
    let mut shells = Vec::new();
    for path in ["/bin/bash", "/bin/sh", "/usr/bin/bash", "/usr/bin/sh", "/usr/bin/su", "/bin/su"] {
        let settled = view.root().resolve(&ImagePath::new(path)?)?;
        if view.root().stat(&settled)?.is_some_and(|stat| stat.kind == FileKind::File) {
            shells.push(Command::find(&TreeFiles(&view.root()), path, None)?);
        }
    }
    if shells.is_empty() {
        shells.push(Command::find(&TreeFiles(&view.root()), "/bin/sh", None)?);
    }
    Ok(shells)
}
