//! What can go wrong with the ledger.

use std::path::PathBuf;

use super::state::{ActivationState, CardState};

/// What can go wrong with the ledger. In each case the change was not made.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file system refused.
    #[error("cannot {doing} the ledger {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The ledger, or a file beside it.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("the ledger {} refused ({doing}): {source}{}", path.display(), hint(source))]
    Sql {
        /// What was tried.
        doing: &'static str,
        /// The ledger.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },
    /// Some other program's database.
    #[error("{} is an SQLite database, but not a cardsmith ledger; give another --ledger", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer cardsmith.
    #[error("the ledger {} has version {found}, this cardsmith knows up to {known}; use the newer cardsmith",
        path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A card is not in a state in which this can happen to it.
    #[error("card {name}: {doing} is impossible, the ledger has it as {state}")]
    CardState {
        /// What was tried.
        doing: &'static str,
        /// The card.
        name: String,
        /// What it is.
        state: CardState,
    },
    /// An activation is not in a state in which this can happen to it.
    #[error("activation {id}: {doing} is impossible, the ledger has it as {state}")]
    ActivationState {
        /// What was tried.
        doing: &'static str,
        /// The activation's id, or its number in the ledger.
        id: String,
        /// What it is.
        state: ActivationState,
    },
    /// There is no such card or activation.
    #[error("the ledger has no {what}")]
    Unknown {
        /// What was looked for.
        what: String,
    },
    /// Every serial number is taken.
    #[error("recipe {recipe} has no serial number left")]
    NoSerial {
        /// The recipe.
        recipe: String,
    },
}

fn hint(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            "; another cardsmith is writing to it: try again when it is done"
        }
        Some(rusqlite::ErrorCode::DiskFull) => "; make room on that disk, nothing was recorded",
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            "; put a backup in its place or give another --ledger"
        }
        Some(rusqlite::ErrorCode::ReadOnly) => "; it must be writable",
        _ => "",
    }
}
