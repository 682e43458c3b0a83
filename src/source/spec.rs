//! Which image is meant: its place and its digest.

use std::path::{Path, PathBuf};

use super::error::SourceError;
use super::largest::LargestImage;
use super::location::Location;
use crate::digest::Sha256Digest;

/// Which image, and what it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpec {
    /// Where its file is.
    pub(super) place: Location,
    /// What the file must hash to.
    pub(super) sha256: Option<Sha256Digest>,
    /// How large it may come out.
    pub(super) largest: LargestImage,
}

impl SourceSpec {
    /// An image in a file or on a block device.
    pub fn file(path: impl Into<PathBuf>, sha256: Option<Sha256Digest>) -> SourceSpec {
        SourceSpec { place: Location::File(path.into()), sha256, largest: LargestImage::default() }
    }

    /// What a recipe's `[image]` says: an https:// or s3:// address, or a path from the recipe's directory.
    ///
    /// # Errors
    /// [`SourceError::DigestRequired`] for an address without a digest; see also [`Location::parse`].
    pub fn from_recipe(source: &str, beside: &Path, sha256: Option<Sha256Digest>) -> Result<SourceSpec, SourceError> {
        match Location::parse(source)? {
            // `join` leaves an absolute path as it is.
            Location::File(path) => Ok(SourceSpec::file(beside.join(path), sha256)),
            remote => SourceSpec::remote(remote, sha256),
        }
    }

    /// An image on a server.
    ///
    /// # Errors
    /// [`SourceError::DigestRequired`] without a digest.
    pub fn remote(place: Location, sha256: Option<Sha256Digest>) -> Result<SourceSpec, SourceError> {
        match sha256 {
            None => Err(SourceError::DigestRequired { url: place.to_string() }),
            some => Ok(SourceSpec { place, sha256: some, largest: LargestImage::default() }),
        }
    }

    /// The same, where somebody knows how large the image can be.
    #[must_use]
    pub fn at_most(self, largest: LargestImage) -> SourceSpec {
        SourceSpec { largest, ..self }
    }

    /// The last part of its path or address.
    pub(super) fn name(&self) -> String {
        self.place.name()
    }

    /// For messages: the whole path or address.
    pub(super) fn full_name(&self) -> String {
        self.place.to_string()
    }

    /// Whether a file with the digest `found` is the one that is meant; any is, where none is named.
    ///
    /// # Errors
    /// [`SourceError::Checksum`].
    pub(super) fn check(&self, found: Sha256Digest) -> Result<(), SourceError> {
        match self.sha256 {
            Some(expected) if expected != found => {
                Err(SourceError::Checksum { name: self.full_name(), expected, found })
            }
            _ => Ok(()),
        }
    }
}
