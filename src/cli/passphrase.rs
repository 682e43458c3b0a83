//! The passphrase of a key: from the environment, or asked for at the terminal without showing what is typed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::printable::Printable;

/// The passphrase of `key`.
///
/// # Errors
/// Where neither the environment has it nor a terminal is there to ask at.
pub(super) fn ask(key: &Path) -> io::Result<SecretString> {
    if let Ok(secret) = std::env::var("CARDSMITH_SIGN_PASSPHRASE") {
        return Ok(SecretString::from(secret));
    }
    let none = |_| io::Error::other("it has a passphrase, and there is no terminal to ask for it at");
    // Not stdin, which may be a pipe with something else in it.
    let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(none)?;
    let before = tcgetattr(&terminal)?;
    let mut quiet = before.clone();
    // Ctrl-C would end the program with the terminal still silent: it comes as a character instead.
    quiet.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
    tcsetattr(&terminal, OptionalActions::Flush, &quiet)?;
    // From here on every way out gives the terminal back.
    let restore = Restore { terminal: &terminal, before };
    write!(&terminal, "Passphrase of {}: ", Printable::path(key))?;
    let mut line = Zeroizing::new(String::new());
    let read = BufReader::new(&terminal).read_line(&mut line);
    drop(restore);
    writeln!(&terminal)?;
    read?;
    // Ctrl-C, which comes as a character here.
    match line.contains('\u{3}') || line.is_empty() {
        true => Err(io::Error::other("no passphrase was given")),
        false => Ok(SecretString::from(line.trim_end_matches(['\r', '\n']).to_owned())),
    }
}

/// Shows again what is typed, whatever happens.
struct Restore<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}
