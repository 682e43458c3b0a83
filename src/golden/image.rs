//! A golden image: its bytes and its manifest.

use std::sync::{Arc, OnceLock};

use super::manifest::Manifest;
use crate::image::ReadAt;
use crate::image::verified::VerifiedImage;
use crate::source::StreamingImage;

/// The bytes of a golden image.
pub enum GoldenImage {
    /// All of them are there: in an overlay, in a file or in the cache.
    Whole(Arc<dyn ReadAt>),
    /// They are still being decoded. Who reads what is not there yet waits for it.
    Streaming(Arc<StreamingImage>),
}

/// A golden image: no secret, no identity; the same inputs give the same bytes.
pub struct Golden {
    bytes: GoldenImage,
    /// What it is and how it came about.
    pub manifest: Manifest,
    /// The same bytes, each range compared with its digest when it is read: once for all cards.
    verified: OnceLock<Arc<VerifiedImage>>,
}

impl Golden {
    pub(super) fn new(bytes: GoldenImage, manifest: Manifest) -> Golden {
        Golden { bytes, manifest, verified: OnceLock::new() }
    }

    /// Its bytes, whether they are all there or still come.
    pub fn image(&self) -> Arc<dyn ReadAt> {
        match &self.bytes {
            GoldenImage::Whole(image) => image.clone(),
            GoldenImage::Streaming(image) => image.clone(),
        }
    }

    /// The image, where it is still being decoded: who makes something of it must [wait](StreamingImage::wait) before it
    /// counts.
    pub fn streaming(&self) -> Option<&StreamingImage> {
        match &self.bytes {
            GoldenImage::Whole(_) => None,
            GoldenImage::Streaming(image) => Some(image),
        }
    }

    pub(super) fn verified(&self) -> Arc<VerifiedImage> {
        // At first use: an image that is only written to a file never needs it.
        let verified = || Arc::new(VerifiedImage::new(self.image(), self.manifest.map.clone()));
        self.verified.get_or_init(verified).clone()
    }
}
