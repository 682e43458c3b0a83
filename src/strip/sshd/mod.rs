//! sshd's configuration, as far as it names keys.

mod config;
mod glob;
mod options;

pub use config::{SshdConfig, from_root};
pub use glob::glob;
