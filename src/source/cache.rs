//! Decoded images, kept under the digest of the file that they came from.
//!
//! A cache can give a false pass, so an entry counts only when its image is, by inode, size and both times, the very file
//! that was written here, or else when it still has the fingerprint that it had then. Deleting the directory is
//! always safe.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::SourceError;
use super::fingerprint::{Fingerprint, fingerprint_of};
use super::stamp::Stamp;
use crate::atomic_file::{AtomicFile, write_atomically};
use crate::digest::Sha256Digest;
use crate::image::bytes::ReadAt;
use crate::image::file::ImageFile;
use crate::progress::Task;
use crate::units::ByteSize;

/// The decoded images in one directory.
pub(super) struct Cache {
    images: PathBuf,
}

/// What is written beside an image when it is complete.
#[derive(Serialize, Deserialize)]
struct Marker {
    version: u32,
    /// Bytes of the file as published: lets a lookup see without hashing that nothing can match.
    published_size: u64,
    image_size: u64,
    image_fingerprint: Fingerprint,
    stamp: Stamp,
}

const VERSION: u32 = 2;

/// The directories of the cache under `directory`: whatever is in them is read.
pub fn cache_directories(directory: &Path) -> [PathBuf; 2] {
    [directory.join(IMAGES), directory.join(DIGESTS)]
}

const IMAGES: &str = "images";
/// Of raw images: see `known_digests.rs`.
pub(super) const DIGESTS: &str = "digests";

impl Cache {
    /// The cache under `directory`, made where it is not there.
    ///
    /// # Errors
    /// [`SourceError::Cache`].
    pub(super) fn at(directory: &Path) -> Result<Cache, SourceError> {
        let images = directory.join(IMAGES);
        fs::create_dir_all(&images).map_err(|source| SourceError::Cache {
            doing: "make the directory",
            directory: directory.to_owned(),
            source,
        })?;
        Ok(Cache { images })
    }

    /// What to say when the system refuses something in the cache.
    pub(super) fn unusable(&self, doing: &'static str) -> impl Fn(io::Error) -> SourceError + use<> {
        let directory = self.images.clone();
        move |source| SourceError::Cache { doing, directory: directory.clone(), source }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.images
    }

    /// Whether any entry came from a file of this size. Where none did, hashing the file first would be for nothing.
    pub(super) fn may_hold(&self, published_size: ByteSize) -> bool {
        // A cache that cannot be listed only costs a decoding.
        let Ok(entries) = fs::read_dir(&self.images) else { return false };
        entries
            .flatten()
            // Only the small markers are read, never an image.
            .filter(|entry| entry.path().extension().is_some_and(|e| e == "json"))
            .filter_map(|entry| read_marker(&entry.path()))
            .any(|marker| marker.published_size == published_size.0)
    }

    /// Whether there is an entry of the file with this digest, sound or not.
    pub(super) fn has(&self, published: &Sha256Digest) -> bool {
        read_marker(&self.marker_path(published)).is_some()
    }

    /// The image that came from the file with this digest. What is not sound is removed and not an error.
    pub(super) fn get(&self, published: &Sha256Digest, task: &mut dyn Task) -> Option<ImageFile> {
        let marker = read_marker(&self.marker_path(published))?;
        let sound = self.sound(published, &marker, task);
        if sound.is_none() {
            // The marker first: an image without one is never used.
            let _ = fs::remove_file(self.marker_path(published));
            // Where this fails, some space is lost and nothing else.
            let _ = fs::remove_file(self.image_path(published));
        }
        sound
    }

    fn sound(&self, published: &Sha256Digest, marker: &Marker, task: &mut dyn Task) -> Option<ImageFile> {
        let file = File::open(self.image_path(published)).ok()?;
        // Of the open file: a rename in between cannot change which one it is.
        let stamp = Stamp::of(&file)?;
        let image = ImageFile::from_file(file).ok()?;
        // The cheapest question first. Whoever cut it off gets it decoded again.
        if image.size().0 != marker.image_size {
            return None;
        }
        if stamp == marker.stamp {
            return Some(image);
        }
        // Copied from elsewhere, restored from a backup, or edited: only the bytes can tell.
        task.stage("check cache", Some(image.size()));
        if fingerprint_of(&image, &mut |done| task.at(done)).ok()? != marker.image_fingerprint {
            return None;
        }
        // With the new stamp the next lookup is quick again. Where it cannot be kept, it is only slow again.
        let _ = self.mark(published, &Marker { stamp, image_fingerprint: marker.image_fingerprint.clone(), ..*marker });
        Some(image)
    }

    /// A place for an image that is being decoded.
    pub(super) fn begin(&self) -> io::Result<AtomicFile> {
        AtomicFile::create_in(&self.images)
    }

    /// The decoded image is complete: it gets its name.
    pub(super) fn put(
        &self,
        file: AtomicFile,
        published: &Sha256Digest,
        published_size: ByteSize,
        image_fingerprint: Fingerprint,
    ) -> io::Result<ImageFile> {
        // Nobody edits it by accident, not even by mounting it.
        file.file().set_permissions(Permissions::from_mode(0o444))?;
        let path = self.image_path(published);
        // The image first and its marker last: a power cut between leaves an image that nobody takes for one.
        file.commit(&path)?;
        // By its name, after the rename, which changes the change time: a stamp from before would never match.
        let kept = File::open(&path)?;
        let stamp = Stamp::of(&kept).ok_or(io::ErrorKind::InvalidInput)?;
        let image = ImageFile::from_file(kept)?;
        let image_size = image.size().0;
        let marker =
            Marker { version: VERSION, published_size: published_size.0, image_size, image_fingerprint, stamp };
        self.mark(published, &marker)?;
        Ok(image)
    }

    fn mark(&self, published: &Sha256Digest, marker: &Marker) -> io::Result<()> {
        write_atomically(&self.marker_path(published), serde_json::to_string(marker)?.as_bytes())
    }

    fn image_path(&self, published: &Sha256Digest) -> PathBuf {
        self.images.join(format!("{published}.img"))
    }

    fn marker_path(&self, published: &Sha256Digest) -> PathBuf {
        self.images.join(format!("{published}.json"))
    }
}

fn read_marker(path: &Path) -> Option<Marker> {
    const LARGEST: u64 = 4096;
    // The size first: a marker is small, and what is large is none.
    let size = fs::metadata(path).ok()?.len();
    let bytes = if size <= LARGEST { fs::read(path).ok()? } else { return None };
    serde_json::from_slice::<Marker>(&bytes).ok().filter(|marker| marker.version == VERSION)
}
