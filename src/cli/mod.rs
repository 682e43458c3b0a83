//! One file per command: its arguments and its wiring, with no logic that a library user would miss.
//! People's text goes to stderr, answers to stdout. Exit codes are in [`exit`].

pub mod exit;

use std::process::ExitCode;

use clap::Parser;

/// Prepare SD cards for Raspberry Pi fleets that AWS Systems Manager manages.
#[derive(Parser)]
#[command(name = "cardsmith", version)]
struct Cli {}

/// Parses the arguments, runs the command and reports its one error.
pub fn main() -> ExitCode {
    let Cli {} = Cli::parse();
    ExitCode::SUCCESS
}
