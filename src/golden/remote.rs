//! Golden images that are somewhere else: opened from the manifest that CI left on a server.

use std::path::{Path, PathBuf};

use super::Golden;
use super::error::GoldenError;
use super::manifest::{MANIFEST_LIMIT, Manifest};
use crate::image::source::{self, SourceSpec};
use crate::image::{ImageError, Location};
use crate::progress::Progress;

impl Manifest {
    /// The bytes of a manifest, wherever it is; nothing in them is believed yet. Not over plain http: nothing else says
    /// what a manifest has to be.
    ///
    /// # Errors
    /// [`GoldenError::Source`].
    pub fn fetch(place: &Location) -> Result<Vec<u8>, GoldenError> {
        if !place.is_protected() {
            return Err(ImageError::NotHttps { url: place.to_string() }.into());
        }
        Ok(place.read_small(MANIFEST_LIMIT)?)
    }
}

impl Golden {
    /// Opens the golden image that a manifest describes, wherever both are: see [`Golden::open`]. What a server has is
    /// fetched whole, compared with the manifest's digest of the file, and kept in the cache.
    ///
    /// # Errors
    /// [`GoldenError`]; nothing is in the cache then that was not there before.
    pub fn open_at(place: &Location, cache_dir: &Path, progress: &dyn Progress) -> Result<Golden, GoldenError> {
        match place {
            Location::File(path) => Golden::open(path, cache_dir, progress),
            remote => Golden::open_fetched(&Manifest::fetch(remote)?, remote, cache_dir, progress),
        }
    }

    /// The same for a manifest on a server whose bytes are here already, because their signature was checked.
    ///
    /// # Errors
    /// As [`Golden::open_at`].
    pub fn open_fetched(
        manifest: &[u8],
        place: &Location,
        cache_dir: &Path,
        progress: &dyn Progress,
    ) -> Result<Golden, GoldenError> {
        let shown = PathBuf::from(place.to_string());
        let manifest = Manifest::parse(manifest, &shown)?;
        let not = |image: PathBuf, what: String| GoldenError::NotTheImage { image, manifest: shown.clone(), what };
        let name = manifest.image.file.as_ref().and_then(|name| name.to_str());
        let (Some(name), Some(digest)) = (name, manifest.image.file_sha256) else {
            return Err(not(shown.clone(), "it names no image file, or no digest of it".to_owned()));
        };
        let place = place.beside(name)?;
        let image = source::open_spec(&SourceSpec::remote(place.clone(), Some(digest))?, cache_dir, progress)?.image;
        if image.size() != manifest.image.size {
            let what = format!("it has {} bytes, not {}", image.size().0, manifest.image.size.0);
            return Err(not(PathBuf::from(place.to_string()), what));
        }
        Ok(Golden::new(image, manifest, None))
    }
}
