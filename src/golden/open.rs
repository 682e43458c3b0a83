//! Opens a golden image that lies on this machine, from its manifest.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::error::GoldenError;
use super::image::{Golden, GoldenImage};
use super::manifest::Manifest;
use crate::digest::Sha256Digest;
use crate::image::output::OutputFormat;
use crate::progress::Progress;
use crate::source::streaming::{StreamingImage, open_streaming};
use crate::source::{self, LargestImage, SourceSpec};

impl Golden {
    /// Opens the golden image that a manifest describes, from the file beside it. The file's content is compared with
    /// the manifest's digests while it is read, range by range; a compressed one as a whole.
    ///
    /// # Errors
    /// [`GoldenError`] where manifest or image are not what they should be.
    pub fn open(manifest_path: &Path, cache_dir: &Path, progress: &dyn Progress) -> Result<Golden, GoldenError> {
        Golden::open_described(Manifest::read(manifest_path)?, manifest_path, cache_dir, progress)
    }

    /// The same for a manifest that was read already.
    fn open_described(
        manifest: Manifest,
        manifest_path: &Path,
        cache_dir: &Path,
        progress: &dyn Progress,
    ) -> Result<Golden, GoldenError> {
        let path = image_of(&manifest, manifest_path)?;
        // A raw image is not read as a whole before the cards: its ranges are compared while they are written.
        let image = match packed_digest(&manifest, &path) {
            expected @ Some(_) => {
                let largest = LargestImage::of_manifest(manifest.image.size);
                let spec = SourceSpec::file(&path, expected).at_most(largest);
                source::open_spec(&spec, cache_dir, progress)?.image
            }
            None => source::open_to_inspect(&path, cache_dir, progress)?.0,
        };
        // Ranges beyond the end would only be missed when a card is half written.
        if image.size() != manifest.image.size {
            let what = format!("it has {} bytes, not {}", image.size().0, manifest.image.size.0);
            return Err(GoldenError::NotTheImage { image: path, manifest: manifest_path.to_owned(), what });
        }
        Ok(Golden::new(GoldenImage::Whole(image), manifest))
    }

    /// As [`Golden::open`], but does not wait for a compressed image to be decoded: its bytes can be read as they come,
    /// see [`Golden::streaming`]. Decoding ends early when `cancel` is set.
    ///
    /// # Errors
    /// As [`Golden::open`]; what decoding finds comes later.
    pub fn open_streaming(
        manifest_path: &Path,
        cache_dir: &Path,
        cancel: Arc<AtomicBool>,
        progress: &dyn Progress,
    ) -> Result<Golden, GoldenError> {
        Golden::open_streaming_described(Manifest::read(manifest_path)?, manifest_path, cache_dir, cancel, progress)
    }

    /// The same for a manifest that was read already, because its signature was checked: it is not read again.
    ///
    /// # Errors
    /// As [`Golden::open_streaming`].
    pub fn open_streaming_described(
        manifest: Manifest,
        manifest_path: &Path,
        cache_dir: &Path,
        cancel: Arc<AtomicBool>,
        progress: &dyn Progress,
    ) -> Result<Golden, GoldenError> {
        let path = image_of(&manifest, manifest_path)?;
        let Some(expected) = packed_digest(&manifest, &path) else {
            return Golden::open_described(manifest, manifest_path, cache_dir, progress);
        };
        match open_streaming(&path, expected, manifest.image.size, cache_dir, cancel)? {
            // Nothing to wait for: it is in the cache already, or is not packed.
            None => Golden::open_described(manifest, manifest_path, cache_dir, progress),
            Some(streaming) => {
                Ok(Golden::decoded_meanwhile(streaming, &path.display().to_string(), manifest, progress))
            }
        }
    }

    pub(super) fn decoded_meanwhile(
        streaming: StreamingImage,
        name: &str,
        manifest: Manifest,
        progress: &dyn Progress,
    ) -> Golden {
        progress.note(&format!("{name} is decoded while cards are written"));
        Golden::new(GoldenImage::Streaming(Arc::new(streaming)), manifest)
    }
}

/// Where the image of a manifest must be.
fn image_of(manifest: &Manifest, manifest_path: &Path) -> Result<PathBuf, GoldenError> {
    match &manifest.image.file {
        Some(name) => Ok(manifest_path.with_file_name(name)),
        None => Err(GoldenError::NotTheImage {
            image: manifest_path.to_owned(),
            manifest: manifest_path.to_owned(),
            what: "it names no image file".to_owned(),
        }),
    }
}

/// The digest that the file must have, where it is compressed.
fn packed_digest(manifest: &Manifest, image: &Path) -> Option<Sha256Digest> {
    manifest.image.file_sha256.filter(|_| OutputFormat::from_name(image) != Some(OutputFormat::Raw))
}
