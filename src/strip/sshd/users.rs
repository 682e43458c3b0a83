//! Who may log in, and where their homes are (passwd(5)). Names are bytes: an image may hold any.

use crate::fs::{FileKind, FsError, ImagePath, Tree};

/// So much of `/etc/passwd` is read; a larger one is an error.
const LIMIT: u64 = 4 << 20;

/// One user.
#[derive(Debug, Clone)]
pub struct User {
    /// Login name.
    pub name: Vec<u8>,
    /// Number, as it is written.
    pub uid: Vec<u8>,
    /// Home, as it is written.
    pub home: Vec<u8>,
}

/// Every user of `/etc/passwd`.
///
/// # Errors
/// Where the image cannot be read.
pub fn users(root: &dyn Tree) -> Result<Vec<User>, FsError> {
    let passwd = root.resolve(&ImagePath::new("/etc/passwd")?)?;
    if root.stat(&passwd)?.is_none_or(|stat| stat.kind != FileKind::File) {
        return Ok(Vec::new());
    }
    let content = root.read(&passwd, LIMIT)?;
    let user = |line: &[u8]| {
        let mut fields = line.split(|&byte| byte == b':').map(<[u8]>::to_vec);
        Some(User { name: fields.next()?, uid: fields.nth(1)?, home: fields.nth(2)? })
    };
    Ok(content.split(|&byte| byte == b'\n').filter_map(user).collect())
}
