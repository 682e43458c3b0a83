//! Golden images that are somewhere else: opened from the manifest that CI left on a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::error::GoldenError;
use super::image::{Golden, GoldenImage};
use super::manifest::{MANIFEST_LIMIT, Manifest};
use crate::progress::Progress;
use crate::source;
use crate::source::streaming::fetch_streaming;
use crate::source::{LargestImage, SourceSpec};
use crate::source::{Location, SourceError};

impl Manifest {
    /// The bytes of a manifest, wherever it is; nothing in them is believed yet. Not over plain http: nothing else says
    /// what a manifest has to be.
    ///
    /// # Errors
    /// [`GoldenError::Source`].
    pub fn fetch(place: &Location) -> Result<Vec<u8>, GoldenError> {
        if !place.is_protected() {
            return Err(SourceError::NotHttps { url: place.to_string() }.into());
        }
        Ok(place.read_small(MANIFEST_LIMIT)?)
    }
}

impl Golden {
    /// Opens the golden image of a manifest from a server, which was read and checked already. Its image, beside it there, is
    /// fetched whole and compared with the manifest's digest of the file; then it can be read as it is decoded, see
    /// [`Golden::streaming`], and in the end it is in the cache. Decoding ends early when `cancel` is set.
    ///
    /// # Errors
    /// [`GoldenError`]; nothing is in the cache then that was not there before. What decoding finds comes later.
    pub fn open_fetched(
        manifest: Manifest,
        place: &Location,
        cache_dir: &Path,
        cancel: Arc<AtomicBool>,
        progress: &dyn Progress,
    ) -> Result<Golden, GoldenError> {
        let shown = PathBuf::from(place.to_string());
        let not = |image: PathBuf, what: String| GoldenError::NotTheImage { image, manifest: shown.clone(), what };
        let name = manifest.image.file.as_ref().and_then(|name| name.to_str());
        // The name to find it by, and the digest because the server is not believed.
        let (Some(name), Some(digest)) = (name, manifest.image.file_sha256) else {
            return Err(not(shown.clone(), "it names no image file, or no digest of it".to_owned()));
        };
        let place = place.beside(name)?;
        if let Some(streaming) = fetch_streaming(&place, digest, manifest.image.size, cache_dir, cancel, progress)? {
            return Ok(Golden::decoded_meanwhile(streaming, &place.to_string(), manifest, progress));
        }
        let image = source::open_spec(
            &SourceSpec::remote(place.clone(), Some(digest))?.at_most(LargestImage::of_manifest(manifest.image.size)),
            cache_dir,
            progress,
        )?
        .image;
        // The file has its digest, so it is the manifest that is wrong about the size.
        if image.size() != manifest.image.size {
            let what = format!("it has {} bytes, not {}", image.size().0, manifest.image.size.0);
            return Err(not(PathBuf::from(place.to_string()), what));
        }
        Ok(Golden::new(GoldenImage::Whole(image), manifest))
    }
}
