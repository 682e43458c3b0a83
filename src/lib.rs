//! `cardsmith` prepares SD cards for Raspberry Pi fleets that AWS Systems Manager (SSM) manages.
//!
//! The rooms, from the ground up: [`units`], [`digest`], [`printable`], [`xdg`], [`progress`] and [`atomic_file`] (the ground), [`image`] (bytes),
//! [`fs`] (files inside an image), [`aws`] (every call to AWS), [`source`] (where base images come from), [`recipe`],
//! [`ledger`], [`activation`], [`secrets`], [`prepare`] (the plan and the view that steps share), [`provision`] and
//! [`harden`] (the steps), [`golden`] (plan, apply, prove, output), [`flash`] (cards), [`inspect`], [`diff`], [`audit`] and
//! [`fleet`]. Which room may import which stands in `rooms.txt` beside this file, and a test holds it.

pub mod activation;
pub mod atomic_file;
pub mod audit;
pub mod aws;
mod causes;
pub mod cli;
pub mod diff;
pub mod digest;
mod fault;
pub mod flash;
pub mod fleet;
pub mod fs;
pub mod golden;
pub mod harden;
pub mod image;
pub mod inspect;
pub mod ledger;
pub mod prepare;
pub mod printable;
pub mod progress;
pub mod provision;
pub mod recipe;
pub mod secrets;
pub mod source;
pub mod sudoers;
pub mod units;
pub mod xdg;
