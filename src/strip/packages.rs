//! Which files packages brought (dpkg-query(1), `.list` files).

use std::collections::HashSet;

use crate::fs::{FileKind, FsError, ImagePath, Tree};

/// The files and directories of packages that are `wanted`: there are hundreds of thousands.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn of_packages(root: &dyn Tree, wanted: impl Fn(&[u8]) -> bool) -> Result<HashSet<Vec<u8>>, FsError> {
    const LIMIT: u64 = 16 << 20;
    let directory = root.resolve(&ImagePath::new("/var/lib/dpkg/info")?)?;
    let mut owned = HashSet::new();
    if root.stat(&directory)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
        return Ok(owned);
    }
    for entry in root.list(&directory)?.into_iter().filter(|entry| entry.name.ends_with(b".list")) {
        let path = directory.join(&entry.name)?;
        if root.stat(&path)?.is_none_or(|stat| stat.kind != FileKind::File || stat.size > LIMIT) {
            continue;
        }
        let list = root.read(&path, LIMIT)?;
        owned.extend(list.split(|&b| b == b'\n').filter(|path| wanted(path)).map(<[u8]>::to_vec));
    }
    Ok(owned)
}
