//! From a recipe to a golden image: open the base image, plan, apply into the overlay, prove, write the outputs.
//! It wires the steps together and is the only room that applies a plan. It knows no devices and no AWS.

mod allowed;
pub mod apply;
mod build;
mod card;
pub mod editable;
mod error;
mod image;
mod imager;
pub mod manifest;
mod map;
mod open;
mod outputs;
mod owner;
mod prove;
mod provenance;
mod reads;
mod records;
mod remote;
pub mod signature;
mod startable;
mod steps;
pub mod traces;
mod trusted;
mod unproven;
mod upload;
mod write;

pub use allowed::{Allowed, Origin};
pub use build::{Prepared, Settings, prepare};
pub use card::CardImage;
pub use error::GoldenError;
pub use image::{Golden, GoldenImage};
pub use manifest::Manifest;
pub use outputs::{Extras, Outputs, check_outputs};
pub use provenance::BUILDER;
pub use reads::{reads_for, reads_for_manifest};
pub use records::{edit_records, finding_records};
pub use signature::{SignatureError, Signer, TrustedKeys};
pub use steps::{plan, steps};
pub use upload::Destination;
