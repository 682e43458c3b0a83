//! Parse, run, print the one error, exit code. Everything else lives in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    cardsmith::cli::main()
}
