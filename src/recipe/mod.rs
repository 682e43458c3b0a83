//! The recipe: what to make of which image, as a TOML file kept in git. This room loads and checks it with messages
//! that point at line and column, and prints its JSON schema. It reads no image and never holds a secret.

pub mod schema;

pub use schema::{ActivationFrom, Recipe};
