//! The steps that give a golden image what the recipe asks for: user, files, SSH, network, Wi-Fi, locale, boot settings,
//! units, proxy, the agent and the registration; and the edits that make one card of it.
//! Each reads a [`View`](crate::prepare::View) and proposes edits; nothing here writes, and nothing here takes away what
//! the base image brought.

pub mod agent;
pub mod boot_settings;
pub mod card;
mod cloud_config;
pub mod files;
pub mod locale;
pub mod network;
pub mod proxy;
pub mod register;
pub mod ssh;
pub mod stored_secret;
pub mod units;
pub mod user;
pub mod wifi;
