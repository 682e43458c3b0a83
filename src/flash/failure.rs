//! A card that failed: a small letter to the person at the bench.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// What was being done with a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Its name and activation were got, its own edits made.
    Prepare,
    /// What makes it bootable was wiped.
    Erase,
    /// Samples were written to find out whether it is as large as it says.
    Probe,
    /// What the image does not use was discarded.
    #[serde(rename = "blank")]
    UnusedSpace,
    /// What it holds already was compared with the image.
    Compare,
    /// Everything but the first MiB was written.
    Write,
    /// It was read back.
    Verify,
    /// The first MiB was written and read back.
    Seal,
    /// It was let go of.
    Finish,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Prepare => "prepare",
            Stage::Erase => "erase",
            Stage::Probe => "probe",
            Stage::UnusedSpace => "blank",
            Stage::Compare => "compare",
            Stage::Write => "write",
            Stage::Verify => "verify",
            Stage::Seal => "seal",
            Stage::Finish => "finish",
        })
    }
}

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// A person or a program stopped it.
    Cancelled,
    /// The card reads back different from what was written.
    Verification,
    /// The card seems to be smaller than it says.
    Suspect,
    /// The device reported an error.
    Device,
    /// The device did not answer in time. The kernel may still wait for it.
    Hung,
    /// Another card is in the reader, or none.
    Exchanged,
    /// What should be written could not be read, or is not what the manifest says.
    Source,
    /// Name, activation or the card's own edits could not be got, or the ledger not be written.
    Preparation,
}

/// What is on the medium of a card that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOnCard {
    /// Nothing was written to it.
    Untouched,
    /// Its first MiB reads as zeros.
    NotBootable,
    /// It does not take writes: what it held before is still there, nothing of this run.
    OldContent,
    /// What makes it boot is on it although it was not verified.
    MayBoot,
    /// It cannot be read any more, or another one is in its place.
    Unknown,
    /// It was to be a file, and there is none.
    NoFile,
}

impl FailureKind {
    /// Whether the card itself did not give back what was written to it.
    pub fn is_verification(self) -> bool {
        matches!(self, FailureKind::Verification | FailureKind::Suspect)
    }
}

impl fmt::Display for LeftOnCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LeftOnCard::Untouched => "nothing was written to it",
            LeftOnCard::NotBootable => "the card has no partition table: no Pi will boot it",
            LeftOnCard::OldContent => "the card still holds what it held before, and may boot that",
            LeftOnCard::MayBoot => "the card may boot although it was not verified: do not use it",
            LeftOnCard::Unknown => "what is on the card now is not known: do not use it",
            LeftOnCard::NoFile => "no file was made",
        })
    }
}

/// A card that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}")]
pub struct CardFailure {
    /// What was being done.
    pub stage: Stage,
    /// What kind of thing went wrong.
    pub kind: FailureKind,
    /// What went wrong, as the end of a sentence that begins with the medium: "does not keep what is written".
    pub what: String,
    /// More of it: how much, where first, what the system said.
    pub detail: String,
    /// What is on the medium now.
    pub left_on_card: LeftOnCard,
    /// What became of its name and activation; empty where it had none yet.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub activation: String,
    /// The next step.
    pub next: String,
}

/// What went wrong before it is known what that leaves on the card.
#[derive(Debug)]
pub(super) enum CardError {
    Cancelled,
    Read { what: String, source: io::Error },
    Write { what: String, source: io::Error },
    Differs { what: String },
    Suspect { what: String },
    KeepsOld { what: String },
    Exchanged { what: String },
    Source { what: String },
    Prepare { what: String },
    Record { what: String },
    Machine(io::Error),
}

impl From<io::Error> for CardError {
    fn from(error: io::Error) -> CardError {
        CardError::Machine(error)
    }
}

impl CardError {
    pub(super) fn into_failure(self, stage: Stage, left_on_card: LeftOnCard) -> CardFailure {
        let again = "put in another card; the number is free again";
        let (kind, what, detail, next) = match self {
            CardError::Read { what, source } | CardError::Write { what, source }
                if source.kind() == io::ErrorKind::TimedOut =>
            {
                (
                    FailureKind::Hung,
                    "does not answer any more",
                    join(what, source),
                    "pull it out: until then the kernel waits for it, and this command cannot end. Try it once more in \
                     another reader; if it stops again, throw it away",
                )
            }
            CardError::Cancelled => (
                FailureKind::Cancelled,
                "was stopped",
                "cancelled before it was finished".to_owned(),
                "run the command again to write it from the beginning",
            ),
            CardError::Read { what, source } => {
                (FailureKind::Verification, "cannot be read back", join(what, source), again)
            }
            CardError::Write { what, source } => (
                FailureKind::Device,
                "does not take what is written",
                join(what, source),
                "push the card in again and run the command once more; if it fails again, throw the card away",
            ),
            CardError::Differs { what } => {
                (FailureKind::Verification, "does not keep what is written", what, "throw the card away")
            }
            CardError::Suspect { what } => (
                FailureKind::Suspect,
                "is suspect: it seems to be smaller than it says",
                what,
                "do not trust this card with anything; cards that lie about their size are sold as bargains. Where you \
                 know better, `--no-probe` leaves the question out",
            ),
            CardError::KeepsOld { what } => (
                FailureKind::Verification,
                "does not keep what is written",
                what,
                "throw the card away: a card that is worn out accepts writes and keeps its old data; destroy it if that \
                 matters",
            ),
            CardError::Exchanged { what } => (
                FailureKind::Exchanged,
                "is not the one that was there at the start",
                what,
                "leave the card in its reader and run the command again",
            ),
            CardError::Source { what } => (
                FailureKind::Source,
                "was not finished, because the golden image cannot be used",
                what,
                "make the golden image again with `cardsmith golden`",
            ),
            CardError::Prepare { what } => (
                FailureKind::Preparation,
                "could not be prepared",
                what,
                "see to what is said above, then run the command again",
            ),
            CardError::Record { what } => (
                FailureKind::Preparation,
                "was not finished, because the ledger cannot be written",
                what,
                "see to the ledger, then run the command again",
            ),
            CardError::Machine(source) => (
                FailureKind::Preparation,
                "was not finished, because this machine is short of something",
                source.to_string(),
                "see to this machine, then run the command again",
            ),
        };
        CardFailure {
            stage,
            kind,
            what: what.to_owned(),
            detail,
            left_on_card,
            activation: String::new(),
            next: next.to_owned(),
        }
    }
}

fn join(what: String, source: io::Error) -> String {
    format!("{what}: {source}")
}
