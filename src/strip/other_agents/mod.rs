//! Identities of other agents and services, each with how it comes back. What a program makes anew by itself, and nobody
//! misses, goes; what a person would have to enrol again stays and is named.

pub mod clusters;
pub mod device_management;
pub mod home;
pub mod media;
pub mod monitoring;
pub mod remote_access;
pub mod runners;
pub mod services;
