//! From a recipe to a golden image: open the base image, plan, apply into the overlay, prove, write the outputs.
//! It wires the steps together and is the only room that applies a plan. It knows no devices and no AWS.

pub mod apply;
mod build;
mod card;
mod edited;
mod error;
mod imager;
pub mod layout;
pub mod manifest;
mod map;
pub mod needles;
mod output;
mod owner;
mod prove;
mod provenance;
mod remote;
pub mod signature;
mod steps;
mod trusted;
mod upload;

pub use build::{Prepared, Settings, prepare};
pub use card::CardImage;
pub use error::GoldenError;
pub use manifest::Manifest;
pub use output::{Extras, Outputs, check_output};
pub use provenance::BUILDER;
pub use signature::{SignatureError, Signer, TrustedKeys};
pub use steps::{places, plan, steps};
pub use upload::Destination;

use std::sync::{Arc, OnceLock};

use crate::image::ReadAt;
use crate::image::verified::VerifiedImage;
use crate::source::StreamingImage;

/// A golden image: no secret, no identity; the same inputs give the same bytes.
pub struct Golden {
    /// Its bytes, in an overlay or in a file.
    pub image: Arc<dyn ReadAt>,
    /// What it is and how it came about.
    pub manifest: Manifest,
    /// The same bytes, where they are still being decoded.
    pub streaming: Option<Arc<StreamingImage>>,
    /// The same bytes, each range compared with its digest when it is read: once for all cards.
    verified: OnceLock<Arc<VerifiedImage>>,
}

impl Golden {
    fn new(image: Arc<dyn ReadAt>, manifest: Manifest, streaming: Option<Arc<StreamingImage>>) -> Golden {
        Golden { image, manifest, streaming, verified: OnceLock::new() }
    }

    fn verified(&self) -> Arc<VerifiedImage> {
        let verified = || Arc::new(VerifiedImage::new(self.image.clone(), self.manifest.map.clone()));
        self.verified.get_or_init(verified).clone()
    }
}
