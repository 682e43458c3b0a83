//! Day two: what SSM says of the cards in the ledger, and what operators need to reach them.
//! It reads the ledger and asks AWS; the only things it changes are the ones that `retire` is asked to.
//! It touches no image and no device, and never sees an activation's code.

pub mod policy;
pub mod retire;
pub mod role;
pub mod ssh;
pub mod status;
mod survey;

pub use survey::{CardAtAws, Survey, survey};

use crate::activation::ActivationError;
use crate::aws::AwsError;
use crate::ledger::LedgerError;

/// What can go wrong in this room.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// AWS refused, or was not reached.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// Activations.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
}
