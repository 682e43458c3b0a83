//! Manifests that are only used where the manifest's signature holds. The bytes that were checked are
//! the bytes that are parsed: nothing is read a second time in between.

use std::path::{Path, PathBuf};

use super::error::GoldenError;
use super::manifest::Manifest;
use super::signature::{FILE_LIMIT, SignatureError, TrustedKeys};
use crate::source::{Location, SourceError};

impl Manifest {
    /// Reads a manifest whose signature, beside it, is by one of `trusted`.
    ///
    /// # Errors
    /// [`GoldenError::Signature`] and [`GoldenError::Manifest`].
    pub fn read_trusted(path: &Path, trusted: &TrustedKeys) -> Result<Manifest, GoldenError> {
        let text = Manifest::read_text(path)?;
        trusted.check_beside(path, &text)?;
        // Parsed only now: bytes of unknown origin get no further than the check.
        Ok(Manifest::parse(&text, path)?)
    }

    /// The bytes of a manifest on a server, whose signature beside it there is by one of `trusted`.
    ///
    /// # Errors
    /// [`GoldenError::Source`] and [`GoldenError::Signature`].
    pub fn fetch_trusted(place: &Location, trusted: &TrustedKeys) -> Result<Vec<u8>, GoldenError> {
        let text = Manifest::fetch(place)?;
        let (manifest, beside) = (PathBuf::from(place.to_string()), place.with_suffix(".sig"));
        let signature = match beside.read_small(FILE_LIMIT) {
            Ok(signature) => signature,
            Err(SourceError::NotThere { .. }) => {
                let signature = PathBuf::from(beside.to_string());
                return Err(SignatureError::Missing { manifest, signature }.into());
            }
            Err(error) => return Err(error.into()),
        };
        trusted.check(&manifest, &text, &signature)?;
        Ok(text)
    }
}
