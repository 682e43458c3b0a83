//! What can go wrong before a card has its activation.

use std::path::PathBuf;

use crate::aws::AwsError;
use crate::ledger::LedgerError;

/// What can go wrong before a card has its activation. No variant ever holds a code.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// The recipe asks for something that no issuer can do.
    #[error("[activation] {0}")]
    Recipe(String),
    /// The file of pre-issued activations cannot be read.
    #[error("cannot read the activations {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A row of the file is wrong. `what` never repeats what stands in the row.
    #[error("activations {}, {place}: {what}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// `line 3`, `entry 3`.
        place: String,
        /// What is wrong, without the row's content.
        what: String,
    },
    /// The file has too few rows that can be used.
    #[error("{wanted} to make, but {} has only {usable} that can be used ({used} used, {expired} expired, {named} kept \
        for cards of other names); nothing was written: put new rows into the file, or make fewer cards",
        path.display())]
    TooFew {
        /// The file.
        path: PathBuf,
        /// How many cards are to be made, in words.
        wanted: String,
        /// How many of them can get a row.
        usable: usize,
        /// How many rows cards have already.
        used: usize,
        /// How many rows have expired.
        expired: usize,
        /// How many rows are for cards of other names.
        named: usize,
    },
    /// AWS refused, or was not reached.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// AWS made activations again and again, and none of the answers arrived.
    #[error(
        "AWS did not answer {tries} times when asked for an activation for {card}: {last}. What it may have made \
        is looked for and deleted by the next run or by `cardsmith activations sweep`"
    )]
    NoAnswer {
        /// The card.
        card: String,
        /// How often it was asked.
        tries: u32,
        /// The last failure.
        last: AwsError,
    },
    /// The ledger could not be written; without a record nothing is issued.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl ActivationError {
    /// Whether the person who wrote the recipe or the file must change it: exit code 2, not 1.
    pub fn is_usage(&self) -> bool {
        // AWS and the ledger are not among them: the same command may work a minute later.
        matches!(
            self,
            ActivationError::Recipe(_)
                | ActivationError::Row { .. }
                | ActivationError::TooFew { .. }
                | ActivationError::Read { .. }
        )
    }
}
