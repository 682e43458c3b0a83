//! Digests of raw images that were hashed before. To hash one takes longer than to plan for it, and people plan often.
//!
//! A cache can give a false pass. A digest counts only for the very file that was hashed, by device, inode, size and both
//! times, one of which nobody can set back; and it is only kept where a later change is sure to change these. Deleting the
//! directory is always safe.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cache::DIGESTS;
use super::stamp::Stamp;
use crate::atomic_file::write_atomically;
use crate::digest::Sha256Digest;
use crate::read_limited::read_limited;

const VERSION: u32 = 1;
const LARGEST: u64 = 4096;

/// Where the digest of one image is kept.
pub(super) struct KnownDigest {
    place: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    stamp: Stamp,
    sha256: Sha256Digest,
}

impl KnownDigest {
    /// The place for the image at `path` in the cache under `directory`: one for each path, so that they do not pile up.
    pub(super) fn of(path: &Path, directory: &Path) -> Option<KnownDigest> {
        // By its real path: two links to one image share a record.
        let path = fs::canonicalize(path).ok()?;
        // A digest of the path, which may be longer than a file name can be.
        let name = Sha256Digest::of(path.as_os_str().as_encoded_bytes());
        Some(KnownDigest { place: directory.join(DIGESTS).join(format!("{name}.json")) })
    }

    /// The digest, if it is that of the file with this stamp.
    pub(super) fn get(&self, stamp: &Stamp) -> Option<Sha256Digest> {
        let text = read_limited(File::open(&self.place).ok()?, LARGEST).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        (record.version == VERSION && record.stamp == *stamp).then_some(record.sha256)
    }

    /// Keeps it. What cannot be kept is computed again the next time.
    pub(super) fn keep(&self, stamp: Stamp, sha256: Sha256Digest) {
        let record = Record { version: VERSION, stamp, sha256 };
        if let (Some(directory), Ok(text)) = (self.place.parent(), serde_json::to_vec(&record)) {
            let _ = fs::create_dir_all(directory).and_then(|()| write_atomically(&self.place, &text));
        }
    }
}
