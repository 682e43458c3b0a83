//! Bars on a terminal: one line per task with its stage, bytes of the medium, rate and time left.

use std::io::Write as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printable::Printable;
use crate::progress::{Progress, Task};
use crate::units::ByteSize;

// Fits 80 columns, and gives what is more to the bar.
const WITH_TOTAL: &str =
    "{prefix:<20!} {msg:<8!} {wide_bar} {percent:>3}% {bytes:>10}/{total_bytes:<10} {bytes_per_sec:>12} {eta:>4}";
const WITHOUT_TOTAL: &str = "{prefix:<20!} {msg:<8!} {spinner} {elapsed}";

/// Progress bars on stderr.
#[derive(Clone)]
pub struct Bars {
    all: MultiProgress,
}

impl Default for Bars {
    fn default() -> Bars {
        Bars::new()
    }
}

impl Bars {
    /// Bars on stderr, ten times a second at most: a serial console must not be the slowest part of a card.
    pub fn new() -> Bars {
        Bars { all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)) }
    }

    /// Does `act`, which writes to the terminal, with the bars out of its way.
    pub fn apart(&self, act: impl FnOnce()) {
        self.all.suspend(act);
    }
}

/// Puts a line above the bars of `all`, which are drawn again below it.
fn line(all: &MultiProgress, text: &str) {
    all.suspend(|| {
        // A terminal that is gone is no reason to stop writing cards.
        let _ = writeln!(anstream::stderr(), "{text}");
    });
}

impl Progress for Bars {
    fn task(&self, label: &str, total: Option<ByteSize>) -> Box<dyn Task> {
        // With its style before it is shown: a bar is drawn the moment it is added.
        let bar = self
            .all
            .add(ProgressBar::no_length().with_style(style(total)).with_prefix(Printable::of(label).to_string()));
        let mut task = BarTask { bar, label: Printable::of(label).to_string(), all: self.all.clone(), total: None };
        task.shape(total);
        Box::new(task)
    }

    fn note(&self, text: &str) {
        line(&self.all, &Printable::of(text).to_string());
    }

    fn warn(&self, text: &str) {
        let style = anstyle::AnsiColor::Yellow.on_default().bold();
        line(&self.all, &format!("{style}warning:{style:#} {}", Printable::of(text)));
    }
}

fn style(total: Option<ByteSize>) -> ProgressStyle {
    let template = if total.is_some() { WITH_TOTAL } else { WITHOUT_TOTAL };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

struct BarTask {
    bar: ProgressBar,
    label: String,
    all: MultiProgress,
    total: Option<ByteSize>,
}

impl BarTask {
    fn shape(&mut self, total: Option<ByteSize>) {
        self.total = total;
        self.bar.set_style(style(total));
        match total {
            Some(total) => self.bar.set_length(total.0),
            None => self.bar.unset_length(),
        }
        // It ticks by itself: where a card hangs, time must be seen to pass.
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    fn end(&self, mark: &str, summary: &str) {
        self.bar.finish_and_clear();
        self.all.remove(&self.bar);
        // The bar goes and a line stays: what one scrolls back to is outcomes.
        line(&self.all, &format!("{mark} {}: {}", self.label, Printable::of(summary)));
    }
}

impl Task for BarTask {
    fn stage(&mut self, stage: &str, total: Option<ByteSize>) {
        self.bar.set_message(Printable::of(stage).to_string());
        self.bar.set_position(0);
        self.shape(total);
        // Rate and time left are those of this stage: writing says nothing about reading back.
        self.bar.reset();
    }

    fn at(&mut self, done: ByteSize) {
        // A retry counts beyond the total, and no bar should say 104 %.
        let most = self.total.map_or(u64::MAX, |total| total.0);
        self.bar.set_position(done.0.min(most));
    }

    fn done(self: Box<Self>, summary: &str) {
        let style = anstyle::AnsiColor::Green.on_default();
        self.end(&format!("{style}✓{style:#}"), summary);
    }

    fn failed(self: Box<Self>, summary: &str) {
        let style = anstyle::AnsiColor::Red.on_default();
        self.end(&format!("{style}✗{style:#}"), summary);
    }
}

impl Drop for BarTask {
    fn drop(&mut self) {
        // After an error or a panic: what is said next must not be drawn over.
        if !self.bar.is_finished() {
            self.bar.finish_and_clear();
            self.all.remove(&self.bar);
        }
    }
}
