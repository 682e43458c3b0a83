//! `cardsmith completions`: completion scripts, made from the same definitions as the commands.

use clap_complete::Shell;

use super::{Error, Exit, Ui};

/// Print the completion script of a shell
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cardsmith completions bash > ~/.local/share/bash-completion/completions/cardsmith")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, mut command: clap::Command, ui: &Ui) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "cardsmith", &mut script);
    ui.raw(&script);
    Ok(Exit::Done)
}
