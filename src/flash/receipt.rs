//! The receipt: what became of one card, as JSON. It holds digests of what only this card has, never the contents.
//!
//! A block that holds an activation code cannot be guessed from its digest: the code has more than a hundred bits.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::failure::CardFailure;
use super::medium::MediumRecord;
use super::write_report::WriteReport;
use crate::digest::Sha256Digest;
use crate::image::MappedRange;
use crate::read_limited::read_limited;
use crate::units::ByteRange;

/// The version of the receipt's format that this cardsmith writes and reads.
pub const RECEIPT_VERSION: u32 = 1;

/// No receipt is larger; a larger file is refused before it is parsed.
const RECEIPT_LIMIT: u64 = 16 << 20;

/// What became of one card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// [`RECEIPT_VERSION`].
    pub receipt_version: u32,
    /// The cardsmith that wrote it.
    pub cardsmith: String,
    /// The run's UUID.
    pub run: String,
    /// The recipe's name.
    pub recipe: String,
    /// The card's name and number; absent where it did not come so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<CardName>,
    /// The public id of its activation, where it has one. Never the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_id: Option<String>,
    /// The golden image, by the digest over its map.
    pub golden: Sha256Digest,
    /// What it was written to.
    pub medium: MediumRecord,
    /// When it was begun, RFC 3339.
    pub began: String,
    /// When it ended, RFC 3339.
    pub ended: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A card's name and number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardName {
    /// Its name: host name and SSM default instance name.
    pub name: String,
    /// Its number.
    pub serial: u64,
}

/// How a card ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// All of it was read back as written.
    Verified {
        /// How writing went.
        report: WriteReport,
        /// What only this card has.
        own: Vec<MappedRange>,
        /// Which ranges of the golden image these stand for: they do not read as the manifest says.
        instead_of: Vec<ByteRange>,
    },
    /// It failed.
    Failed {
        /// Where, why, what is on it now.
        failure: CardFailure,
    },
}

/// Why a receipt cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The file cannot be read.
    #[error("could not read the receipt {path}", path = .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It is no receipt, or one of another version.
    #[error("{path} is not a receipt that this cardsmith reads (version {RECEIPT_VERSION})", path = .path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
}

impl Receipt {
    /// Reads a receipt.
    ///
    /// # Errors
    /// [`ReceiptError`]; a receipt is untrusted input.
    pub fn read(path: &Path) -> Result<Receipt, ReceiptError> {
        let unreadable = |source| ReceiptError::Read { path: path.to_owned(), source };
        let text = std::fs::File::open(path).and_then(|file| read_limited(file, RECEIPT_LIMIT)).map_err(unreadable)?;
        let unparsable = |source| ReceiptError::Parse { path: path.to_owned(), source };
        let receipt: Receipt = serde_json::from_slice(&text).map_err(unparsable)?;
        if receipt.receipt_version == RECEIPT_VERSION {
            Ok(receipt)
        } else {
            let found = receipt.receipt_version;
            Err(unparsable(serde::de::Error::custom(format!("it has version {found}"))))
        }
    }

    /// What went wrong, if anything did.
    pub fn failure(&self) -> Option<&CardFailure> {
        match &self.outcome {
            Outcome::Verified { .. } => None,
            Outcome::Failed { failure } => Some(failure),
        }
    }
}
