//! Cards: listing devices, the safety gate, the writer, the verifier, a batch of cards and its receipts.
//! Nothing is written to a device that did not pass the gate, and no card is bootable before all of it was verified.
//! It knows image bytes and the ledger, but neither recipes' steps nor file systems.

pub mod batch;
pub mod bench;
pub mod buffer;
mod capacity;
pub mod chunks;
pub mod devices;
mod direct;
pub mod failure;
pub mod gate;
pub mod hotplug;
pub mod in_use;
mod io_timeout;
mod ioctl;
mod limits;
pub mod medium;
mod nonce;
mod options;
mod parallel_requests;
pub mod receipt;
pub mod refusal;
pub mod shared_chunks;
pub mod slots;
pub mod sysfs;
pub mod verify;
mod vetted;
pub mod writer;

pub use batch::{BatchOutcome, CardMaker, FlashJob, MakeError, Verdict, flash};
pub use chunks::CardImage;
pub use devices::Device;
pub use failure::{CardFailure, FailureKind, LeftOnCard, Stage};
pub use gate::{GateError, GateOptions};
pub use io_timeout::{IoTimeout, TimedMedium};
pub use limits::RequestLimits;
pub use medium::{Medium, MediumRecord, ReadBack};
pub use options::WriteOptions;
pub use receipt::{CardName, Outcome, Receipt};
pub use refusal::Refusal;
pub use shared_chunks::SharedChunks;
pub use sysfs::Host;
pub use vetted::{VettedDevice, VettedFile};
pub use writer::{
    Guard, ProbeReport, StreamingSource, UnusedSpaceReport, WriteReport, write_card, write_card_of,
    write_card_streaming,
};
