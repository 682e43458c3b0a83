//! What looking through the files of an image for secrets found: two rules tell of it, and it is looked for once.

/// What was found, and what was not looked at.
#[derive(Debug, Default)]
pub struct LookedThrough {
    /// Path, kind, and whether it is a private key.
    pub secrets: Vec<(Vec<u8>, &'static str, bool)>,
    /// How many files were looked through.
    pub files: usize,
    /// How many bytes of them.
    pub bytes: u64,
    /// How many files were left out, because there was no more room.
    pub left_out: usize,
    /// How many files were so large that only their beginning was looked through.
    pub beginnings: usize,
    /// How many folders were so deep that they were not gone into.
    pub too_deep: usize,
}
