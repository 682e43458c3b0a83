//! Cards: listing devices, the safety gate, the writer, the verifier, a batch of cards and its receipts.
//! Nothing is written to a device that did not pass the gate, and no card is bootable before all of it was verified.
//! It knows image bytes and the ledger, but neither recipes' steps nor file systems.

pub mod batch;
pub mod bench;
pub mod buffer;
mod capacity;
mod deadline;
pub mod devices;
mod direct;
pub mod failure;
pub mod gate;
pub mod hotplug;
mod ioctl;
mod lanes;
mod limits;
pub mod medium;
mod nonce;
pub mod obstacle;
mod options;
pub mod receipt;
pub mod region;
pub mod shared;
pub mod slots;
pub mod usage;
pub mod verify;
mod vetted;
pub mod writer;

pub use batch::{BatchOutcome, CardMaker, FlashJob, MakeError, Verdict, flash};
pub use deadline::{IoTimeout, WithDeadlines};
pub use devices::{Device, Host};
pub use failure::{CardFailure, FailureKind, LeftOnCard, Stage};
pub use gate::{GateError, GateOptions};
pub use limits::RequestLimits;
pub use medium::{Medium, MediumRecord, ReadBack};
pub use obstacle::Obstacle;
pub use options::WriteOptions;
pub use receipt::{CardName, Outcome, Receipt};
pub use region::CardImage;
pub use shared::SharedPieces;
pub use vetted::{VettedDevice, VettedFile};
pub use writer::{
    Arriving, Blank, BlankReport, Guard, ProbeReport, WriteReport, write_card, write_card_arriving, write_card_of,
};
