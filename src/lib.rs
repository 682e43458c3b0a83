//! `cardsmith` prepares SD cards for Raspberry Pi fleets that AWS Systems Manager (SSM) manages.
//!
//! The ground: [`units`], [`digest`], [`progress`] and small things that every room may use; [`storage`] (what files and
//! devices lie on) and [`inputs`] (what a command reads and never writes). On it, from below: [`image`]
//! (bytes), [`fs`] (files inside an image), [`aws`] (every call to AWS), [`source`] (where base images come from),
//! [`prepare`] (the plan and the view that steps share), [`strip`] (the table of what an image carries of its life),
//! [`recipe`], [`ledger`], [`activation`], [`secrets`], [`sudoers`], [`provision`] and [`harden`] (the other steps),
//! [`golden`] (plan, apply, prove, output), [`flash`] (cards), [`inspect`], [`diff`], [`audit`], [`fleet`] and [`cli`].
//! Which room may import which stands in `rooms.txt` beside this file, and a test holds it.

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
pub mod inputs;
pub mod inspect;
pub mod ledger;
pub mod percent;
pub mod prepare;
pub mod printable;
pub mod private_directory;
pub mod progress;
pub mod provision;
pub mod read_limited;
pub mod recipe;
pub mod secrets;
pub mod source;
pub mod storage;
pub mod strip;
pub mod sudoers;
pub mod units;
pub mod xdg;
