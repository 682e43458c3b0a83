//! One file per command: its arguments and its wiring, with no logic that a library user would miss.
//! People's text goes to stderr, answers to stdout. Exit codes are in [`exit`].

mod activations;
mod audit;
pub mod bars;
mod completions;
mod demo;
mod devices;
mod diff;
pub mod error;
pub mod events;
pub mod exit;
mod flash;
mod fleet;
mod golden;
mod inspect;
pub mod lines;
mod man;
mod passphrase;
mod plan;
mod reads;
mod recipe;
pub mod screen;
pub mod table;
pub mod ui;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

pub use bars::Bars;
pub use error::Error;
pub use events::Events;
pub use exit::Exit;
pub use lines::Lines;
pub use screen::Screen;
pub use ui::Ui;

/// Prepare SD cards for Raspberry Pi fleets that AWS Systems Manager manages.
///
/// cardsmith turns a Raspberry Pi OS image and a recipe into cards: it strips what identified the machine the image came
/// from, hardens sudo, gives every card its own activation, writes the cards and proves what it wrote.
#[derive(Parser)]
#[command(
    name = "cardsmith",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 110,
    after_help = "Begin with `cardsmith demo`: the whole way on a small built-in image, without root, network or AWS.\n\n\
                  Exit codes: 0 done, 1 failed, 2 wrong usage or recipe, 3 audit findings, 4 some cards of a batch failed, \
                  5 verification failed."
)]
struct Cli {
    #[command(flatten)]
    global: ui::Global,
    #[command(subcommand)]
    command: Command,
}

/// One line per command here, one arm in `run`, one file beside this one.
#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Inspect(inspect::Args),
    Diff(diff::Args),
    Plan(plan::Args),
    Golden(golden::Args),
    Flash(flash::Args),
    Verify(verify::Args),
    Devices(devices::Args),
    Recipe(recipe::Args),
    Activations(activations::Args),
    Fleet(fleet::Args),
    Audit(audit::Args),
    Completions(completions::Args),
    Man(man::Args),
}

fn run(command: Command, ui: &Ui) -> Result<Exit, Error> {
    match command {
        Command::Demo(args) => demo::run(&args, ui),
        Command::Inspect(args) => inspect::run(&args, ui),
        Command::Diff(args) => diff::run(&args, ui),
        Command::Plan(args) => plan::run(&args, ui),
        Command::Golden(args) => golden::run(&args, ui),
        Command::Flash(args) => flash::run(&args, ui),
        Command::Verify(args) => verify::run(&args, ui),
        Command::Devices(args) => devices::run(&args, ui),
        Command::Recipe(args) => recipe::run(args, ui),
        Command::Activations(args) => activations::run(args, ui),
        Command::Fleet(args) => fleet::run(args, ui),
        Command::Audit(args) => audit::run(&args, ui),
        Command::Completions(args) => completions::run(&args, self::command(), ui),
        Command::Man(args) => man::run(&args, self::command(), ui),
    }
}

/// The whole command line as clap knows it: completions and manual pages are made from it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Activation codes, passwords and keys of images are in this process's memory: a crash writes no core file of it, and no
/// other program of the same user reads it (prctl(2), PR_SET_DUMPABLE).
fn keep_memory_private(ui: &Ui) {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        ui.progress().warn(&format!("a crash could leave secrets in a core file: {error}; `ulimit -c 0` prevents it"));
    }
}

/// Parses the arguments, runs the command and reports its one error.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(help) => {
            // clap's own: 0 for --help and --version, 2 for wrong usage. A closed pipe is fine.
            let _ = help.print();
            return ExitCode::from(u8::try_from(help.exit_code()).unwrap_or(Exit::Usage as u8));
        }
    };
    let ui = Ui::new(cli.global);
    keep_memory_private(&ui);
    // Only these have something to bring in order, once they say so. The others end where they are: what they make has no
    // name before it is whole.
    let has_order = matches!(cli.command, Command::Flash(_) | Command::Verify(_) | Command::Fleet(_));
    let caught = if has_order { ui.catch_interrupts() } else { Ok(()) };
    let result = caught.and_then(|()| run(cli.command, &ui));
    // An answer that nobody got is a failure, however well the work went.
    let result = result.and_then(|exit| ui.finish().map(|()| exit));
    match result {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => {
            ui.event("error", &error.fields());
            ui.report(&error);
            ExitCode::from(error.exit as u8)
        }
    }
}
