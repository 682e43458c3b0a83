//! Plain lines where stderr is a file or a pipe: when something starts and ends, and every ten seconds in between.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::printable::Printable;
use crate::progress::{Progress, Task};
use crate::units::ByteSize;

/// How often a task that goes on says so.
const EVERY: Duration = Duration::from_secs(10);

/// Progress as lines on stderr.
pub struct Lines {
    quiet: bool,
}

impl Lines {
    /// Lines for tasks, notes and warnings.
    pub fn new() -> Lines {
        Lines { quiet: false }
    }

    /// Warnings only (`--quiet`).
    pub fn quiet() -> Lines {
        Lines { quiet: true }
    }
}

impl Default for Lines {
    fn default() -> Lines {
        Lines::new()
    }
}

fn say(text: &str) {
    // A log that is gone is no reason to stop writing cards.
    let _ = writeln!(anstream::stderr(), "{text}");
}

impl Progress for Lines {
    fn task(&self, label: &str, total: Option<ByteSize>) -> Box<dyn Task> {
        let task = LineTask {
            quiet: self.quiet,
            label: Printable::of(label).to_string(),
            stage: String::new(),
            total,
            since: Instant::now(),
        };
        Box::new(task)
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            say(&Printable::of(text).to_string());
        }
    }

    fn warn(&self, text: &str) {
        // With `--quiet` as well: that is for progress, not for what a person has to look at.
        let style = anstyle::AnsiColor::Yellow.on_default().bold();
        say(&format!("{style}warning:{style:#} {}", Printable::of(text)));
    }
}

struct LineTask {
    quiet: bool,
    label: String,
    stage: String,
    total: Option<ByteSize>,
    since: Instant,
}

impl LineTask {
    fn say(&self, text: &str) {
        if !self.quiet {
            say(&format!("{}: {text}", self.label));
        }
    }
}

impl Task for LineTask {
    fn stage(&mut self, stage: &str, total: Option<ByteSize>) {
        // Told now, so the ten seconds begin anew.
        self.stage = Printable::of(stage).to_string();
        self.total = total;
        self.since = Instant::now();
        match total {
            Some(total) => self.say(&format!("{} ({total})", self.stage)),
            None => self.say(&self.stage),
        }
    }

    fn at(&mut self, done: ByteSize) {
        if self.since.elapsed() < EVERY {
            return;
        }
        self.since = Instant::now();
        match self.total {
            Some(total) => {
                let done = done.min(total);
                // 128 bits: a product of two sizes, and no size is trusted to be small.
                let percent = done.percent_of(total);
                self.say(&format!("{} {done} of {total} ({percent} %)", self.stage));
            }
            None => self.say(&format!("{} {done}", self.stage)),
        }
    }

    fn done(self: Box<Self>, summary: &str) {
        self.say(&Printable::of(summary).to_string());
    }

    fn failed(self: Box<Self>, summary: &str) {
        self.say(&format!("failed: {}", Printable::of(summary)));
    }
}
