//! The binary under test, run the way a person or a program runs it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A home directory that no other test sees: caches, ledger and temporary files of the runs in it.
pub struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// An empty one.
    pub fn new() -> Home {
        Home { dir: tempfile::Builder::new().prefix("cardsmith-home-").tempdir().unwrap() }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where decoded images are kept.
    pub fn cache(&self) -> PathBuf {
        self.path("cache/cardsmith")
    }

    /// A command that is ready to be run: for tests that set more, or that kill it.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = command(self.dir.path());
        command.args(args);
        command
    }

    /// Runs the binary to its end.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        cardsmith(self.dir.path(), args)
    }
}

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
        .env("XDG_CONFIG_HOME", home.join("config"))
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
    /// Exit code 0.
    #[track_caller]
    pub fn succeeds(self) -> Run {
        self.exits(0)
    }

    /// This exit code, and something on stderr that a person can read.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> Run {
        let run = self.exits(code);
        assert!(!run.err.trim().is_empty(), "failed without a word");
        assert!(!run.err.contains("panicked"), "panicked:\n{}", run.err);
        run
    }

    /// The text is somewhere in stderr, however it was wrapped.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Run {
        let flat = |s: &str| s.split_whitespace().filter(|w| *w != "│").collect::<Vec<_>>().join(" ");
        assert!(flat(&self.err).contains(&flat(text)), "{text:?} is not in:\n{}", self.err);
        self
    }

    /// Nothing of this was printed.
    #[track_caller]
    pub fn never_says(&self, secret: &str) -> &Run {
        assert!(!self.out.contains(secret) && !self.err.contains(secret), "{secret:?} was printed");
        self
    }

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

/// The names in a directory, sorted: what a run left behind.
pub fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = match std::fs::read_dir(dir) {
        Ok(entries) => entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect(),
        Err(_) => Vec::new(),
    };
    names.sort();
    names
}
