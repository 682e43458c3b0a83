//! How writing a card went, as receipts carry it.

use serde::{Deserialize, Serialize};

use crate::flash::failure::Stage;
use crate::units::ByteSize;

/// How writing a card went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WriteReport {
    /// Bytes written for the image (without wiping, probing and repeating).
    pub written: ByteSize,
    /// Bytes that the card held already, so that they were not written: see `--changed-only`.
    #[serde(default)]
    pub held: ByteSize,
    /// Bytes read back from the medium and found right.
    pub verified: ByteSize,
    /// Pieces that had to be written again.
    pub repeated: u64,
    /// Whether it was asked if it is as large as it says.
    #[serde(default)]
    pub probe: ProbeReport,
    /// What became of the space that the image does not use.
    #[serde(rename = "blank")]
    pub unused_space: UnusedSpaceReport,
    /// How long each stage took.
    pub durations: Vec<StageDuration>,
}

/// How long a stage took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StageDuration {
    /// Which.
    pub stage: Stage,
    /// In milliseconds.
    pub milliseconds: u64,
}

/// Whether the card was asked if it is as large as it says. No answer proves a card genuine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum ProbeReport {
    /// Every sample came back. A card for which that is not so is a card that failed.
    NothingSuspect {
        /// How many samples there were.
        samples: u64,
    },
    /// It was not wanted.
    #[default]
    NotProbed,
    /// A new file: its file system answers for its size.
    New,
}

/// What became of the space that the image does not use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "blank", rename_all = "kebab-case")]
pub enum UnusedSpaceReport {
    /// The device was told that it need not keep it. What it reads as then is the device's business.
    Discarded,
    /// The device cannot discard: what was there is still there.
    NotDiscarded {
        /// What it said.
        why: String,
    },
    /// Zeros, read back.
    Zeroed {
        /// How many bytes.
        bytes: ByteSize,
    },
    /// As it was, apart from the first and last MiB and some samples.
    Left,
    /// A new file: it has holes there.
    New,
}
