//! Logins that people and services left: passwords, tokens and keys, by what they are for.

pub mod backups;
pub mod clouds;
pub mod databases;
pub mod keys;
pub mod mail_and_desktops;
pub mod packages;
pub mod servers;
pub mod sessions;
pub mod system;
pub mod tools;
