//! What the audit knows of a path without reading what is there.

use ext4_view::FileType;

/// What is known of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathStat {
    /// Regular file, directory, symlink, …
    pub kind: FileType,
    /// Permission bits.
    pub mode: u16,
    /// Numeric user.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
}

impl From<&ext4_view::Metadata> for PathStat {
    fn from(m: &ext4_view::Metadata) -> PathStat {
        PathStat { kind: m.file_type(), mode: m.mode() & 0o7777, uid: m.uid(), gid: m.gid(), size: m.len() }
    }
}
