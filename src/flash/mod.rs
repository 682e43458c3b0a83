//! Cards: listing devices, the safety gate, the writer, the verifier, a batch of cards and its receipts.
//! Nothing is written to a device that did not pass the gate, and no card is bootable before all of it was verified.
//! It knows image bytes and the ledger, but neither recipes' steps nor file systems.

mod buffer;
mod capacity;
mod cleared;
pub mod devices;
mod direct;
pub mod failure;
pub mod gate;
mod ioctl;
pub mod medium;
pub mod obstacle;
mod pipeline;
pub mod region;
pub mod usage;
pub mod writer;

pub use cleared::{ClearedDevice, ClearedFile};
pub use devices::{Device, Host};
pub use failure::{CardFailure, FailureKind, LeftOnCard, Stage};
pub use gate::{GateError, GateOptions};
pub use medium::{Medium, MediumRecord, ReadBack};
pub use obstacle::Obstacle;
pub use region::{CardImage, DigestedRange};
pub use writer::{Blank, BlankReport, Guard, WriteReport, write_card};
