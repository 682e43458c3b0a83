//! `cardsmith` prepares SD cards for Raspberry Pi fleets that AWS Systems Manager (SSM) manages.
//!
//! The rooms, from the ground up: [`image`] (bytes), [`fs`] (files inside an image), [`recipe`], [`activation`],
//! [`secrets`] and [`ledger`], [`prepare`] (steps that read an image and propose edits), [`golden`] (plan, apply, prove, output),
//! [`flash`] (cards), [`inspect`], [`diff`], [`audit`] and [`fleet`]. Dependencies point downward only.

pub mod activation;
pub mod audit;
mod aws;
mod causes;
pub mod cli;
pub mod diff;
pub mod flash;
pub mod fleet;
pub mod fs;
pub mod golden;
pub mod image;
pub mod inspect;
pub mod ledger;
pub mod prepare;
pub mod progress;
pub mod recipe;
pub mod secrets;
pub mod sudoers;
