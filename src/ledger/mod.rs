//! The record of every card (SQLite): name, serial, activation id (never the code), digests, medium, outcome.
//! Intent is written before an act and the outcome after it, so that a crash leaves nothing unaccounted for.
//! It talks to no device and to no service.

mod activations;
mod cards;
mod error;
mod rows;
mod run_lock;
mod runs;
mod schema;
mod state;
mod store;

pub use activations::ActivationRecord;
pub use cards::{CardRecord, CardReservation};
pub use error::LedgerError;
pub use rows::{FileRow, FileRowRecord};
pub use run_lock::Run;
pub use runs::Crashed;
pub use state::{ActivationKey, ActivationState, Bootability, CardKey, CardState, Source};
pub use store::{Ledger, default_path, now};
