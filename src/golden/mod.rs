//! From a recipe to a golden image: open the base image, plan, apply into the overlay, prove, write the outputs.
//! It wires the steps together and is the only room that applies a plan. It knows no devices and no AWS.

pub mod apply;
pub mod manifest;
pub mod needles;
