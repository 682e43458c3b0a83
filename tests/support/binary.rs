//! The binary under test, run the way a person or a program runs it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// What one run of the binary gave.
pub struct Run {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// stdout, as text.
    pub out: String,
    /// stderr, as text.
    pub err: String,
}

/// The binary, with its state and cache in `home` instead of the tester's own.
pub fn command(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardsmith"));
    command
        .env("HOME", home)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env_remove("NO_COLOR")
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

/// Runs the binary in `home`.
pub fn cardsmith<A: AsRef<OsStr>>(home: &Path, args: impl IntoIterator<Item = A>) -> Run {
    let output = command(home).args(args).output().expect("the binary runs");
    Run {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Run {
    /// Asserts on the exit code, showing everything where it is another.
    #[track_caller]
    pub fn exits(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// stdout as NDJSON; every line must be an object with a version.
    #[track_caller]
    pub fn events(&self) -> Vec<serde_json::Value> {
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let events: Vec<serde_json::Value> = self.out.lines().map(line).collect();
        assert!(events.iter().all(|event| event["v"] == 1 && event["event"].is_string()), "{}", self.out);
        events
    }

    /// The events of one name.
    #[track_caller]
    pub fn named(&self, name: &str) -> Vec<serde_json::Value> {
        self.events().into_iter().filter(|event| event["event"] == name).collect()
    }
}
