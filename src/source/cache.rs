//! Decoded images, kept under the digest of the file that they came from.
//!
//! A cache can give a false pass, so an entry counts only when its image is, by inode, size and both times, the very file
//! that was written here, or else when it still has the fingerprint that it had then. Deleting the directory is
//! always safe.
//!
//! The images are those of people's cards, and go onto cards again: the directory is its owner's alone, and so is every
//! file in it.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::SourceError;
use super::fingerprint::{Fingerprint, fingerprint_of};
use super::stamp::Stamp;
use crate::atomic_file::{AtomicFile, PARTIAL, write_privately};
use crate::digest::Sha256Digest;
use crate::image::bytes::ReadAt;
use crate::image::file::ImageFile;
use crate::private_directory::{NotPrivate, check_owner, make_private};
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

/// Where decoded images are, and where digests of raw ones are.
const IMAGES: &str = "images";
pub(super) const DIGESTS: &str = "digests";

/// Closes what is there of the cache under `directory` to others, where an older cardsmith or somebody else left it open.
/// What could have been put there by others is removed. Returns what was mended, in words.
///
/// # Errors
/// [`SourceError::CacheNotPrivate`], [`SourceError::Cache`].
pub fn mend(directory: &Path) -> Result<Vec<String>, SourceError> {
    let mut mended = Vec::new();
    for part in [IMAGES, DIGESTS] {
        // What is not there yet is made when it is needed.
        if directory.join(part).symlink_metadata().is_ok() {
            mended.extend(private(directory, part)?);
        }
    }
    check_owner(directory).map_err(|error| not_private(directory, error))?;
    Ok(mended)
}

/// Makes one part of the cache, or closes it to others. The directory that a person named is left as it is: it may hold
/// other things.
pub(super) fn private(directory: &Path, part: &str) -> Result<Option<String>, SourceError> {
    check_owner(directory).map_err(|error| not_private(directory, error))?;
    let path = directory.join(part);
    let failed = |doing| {
        let directory = path.clone();
        move |source| SourceError::Cache { doing, directory, source }
    };
    // A directory of this name may be a person's own, where another cache directory was named: it is left as it is.
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>().map_err(failed("read"))?,
        Err(_) => Vec::new(),
    };
    if let Some(foreign) = entries.iter().find(|entry| !is_own_name(&entry.file_name())) {
        let what = format!("{} is no cache of cardsmith's: {:?} is in it", path.display(), foreign.file_name());
        return Err(SourceError::CacheNotPrivate { what });
    }
    let Some(mended) = make_private(&path).map_err(|error| not_private(directory, error))? else { return Ok(None) };
    if !mended.was_writable {
        return Ok(Some(mended.what));
    }
    // An entry vouches for itself: whoever could write here could have it say anything.
    for entry in &entries {
        match fs::remove_file(entry.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("empty what others could write to")(error));
            }
            _ => {}
        }
    }
    Ok(Some(format!("{}; others could write to it, so what was in it was removed", mended.what)))
}

/// Whether a name is one that the cache gives: a digest with an ending, or a file in the making.
fn is_own_name(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    let digest = name.strip_suffix(b".img").or_else(|| name.strip_suffix(b".json"));
    digest.is_some_and(|digest| digest.len() == 64 && digest.iter().all(u8::is_ascii_hexdigit))
        || name.starts_with(b".") && name.ends_with(PARTIAL.as_bytes())
}

fn not_private(directory: &Path, error: NotPrivate) -> SourceError {
    match error {
        NotPrivate::Refused(what) => SourceError::CacheNotPrivate { what },
        NotPrivate::Io { source, .. } => {
            SourceError::Cache { doing: "make the directory", directory: directory.to_owned(), source }
        }
    }
}

impl Cache {
    /// The cache under `directory`, made where it is not there, and closed to others where it was open. What was mended
    /// is told by [`mend`], which a program asks first.
    ///
    /// # Errors
    /// [`SourceError::Cache`], [`SourceError::CacheNotPrivate`].
    pub(super) fn at(directory: &Path) -> Result<Cache, SourceError> {
        private(directory, IMAGES)?;
        Ok(Cache { images: directory.join(IMAGES) })
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
        // An older cardsmith left images that everybody can read, should the directory ever be opened.
        let mode = file.metadata().ok()?.mode();
        if mode & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o400)).ok()?;
        }
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
        AtomicFile::create_private_in(&self.images)
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
        file.file().set_permissions(Permissions::from_mode(0o400))?;
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
        write_privately(&self.marker_path(published), serde_json::to_string(marker)?.as_bytes())
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
