//! Running other people's programs, loudly when they fail.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// `PATH` with the directories of the administrator's tools, which a plain user's lacks on Debian.
pub fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// Runs a command that has to succeed; returns what it printed.
pub fn run(command: &mut Command) -> Output {
    let out = command.env("PATH", path()).env("LC_ALL", "C").stdin(Stdio::null()).output();
    checked(command, out.unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

/// As [`run`], with `input` on its stdin.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    command.env("PATH", path()).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let out = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program may stop reading when it has seen enough; its exit code tells.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    });
    checked(command, out)
}

fn checked(command: &Command, out: Output) -> Output {
    assert!(
        out.status.success(),
        "{command:?}: {}\n{}{}",
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    out
}
