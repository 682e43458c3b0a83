//! sshd's configuration, as far as it names keys.

mod config;
mod glob;
mod options;
mod users;

pub use config::{SshdConfig, from_root};
pub use glob::glob;
pub use users::{User, users};
