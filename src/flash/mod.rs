//! Cards: listing devices, the safety gate, the writer, the verifier, a batch of cards and its receipts.
//! Nothing is written to a device that did not pass the gate, and no card is bootable before all of it was verified.
//! It knows image bytes and the ledger, but neither recipes' steps nor file systems.

pub mod batch;
pub mod bench;
pub mod bench_file;
pub mod buffer;
mod capacity;
pub mod chunk_cache;
pub mod chunks;
mod deadline;
pub mod devices;
mod direct;
pub mod failure;
pub mod gate;
pub mod hotplug;
pub mod identity;
pub mod in_use;
pub mod medium;
mod options;
mod parallel;
pub mod receipt;
pub mod refusal;
mod request_limits;
pub mod slots;
pub mod verify;
mod vetted;
mod write_check;
pub mod write_report;
pub mod writer;

pub use batch::{BatchOutcome, CardMaker, FlashJob, MakeError, Verdict, flash};
pub use chunk_cache::ChunkCache;
pub use chunks::CardImage;
pub use deadline::IoTimeout;
pub use deadline::WithDeadlines;
pub use devices::Device;
pub use failure::{CardFailure, FailureKind, LeftOnCard, Stage};
pub use gate::{GateError, GateOptions, ShownTarget};
pub use identity::{Identity, MediumIdentity};
pub use medium::{Medium, MediumRecord, ReadBack};
pub use options::WriteOptions;
pub use receipt::{CardName, Outcome, Receipt};
pub use refusal::Refusal;
pub use request_limits::RequestLimits;
pub use vetted::{VettedDevice, VettedFile};
pub use write_report::{ProbeReport, StageDuration, UnusedSpaceReport, WriteReport};
pub use writer::{Guard, StreamingCard, write_card, write_card_sharing, write_card_streaming};

pub use crate::storage::Host;

/// What to do with space that the image does not use.
pub use crate::recipe::schema::UnusedSpace;
