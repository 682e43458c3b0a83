//! `cardsmith man`: manual pages, made from the same definitions as the commands.

use std::path::PathBuf;

use super::{Error, Exit, Ui};

/// Write the manual pages
///
/// Without a directory the page of `cardsmith` itself goes to stdout; with one, a page per command is written there.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cardsmith man ~/.local/share/man/man1\n  cardsmith man | man -l -")]
pub(super) struct Args {
    /// Where the pages go, one per command
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args, command: clap::Command, ui: &Ui) -> Result<Exit, Error> {
    let Some(dir) = &args.dir else {
        // The one page of the program itself, for `man -l -`.
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .map_err(|error| Error::failed("cannot make the manual page").because(&error))?;
        ui.raw(&page);
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(command, dir))
        .map_err(|error| Error::failed(format!("cannot write manual pages to {}", dir.display())).because(&error))?;
    ui.say(&format!("manual pages are in {}", dir.display()));
    Ok(Exit::Done)
}
