//! What every command has at hand: where answers and news go, what the global options say, and whether to stop.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::error::Error;
use crate::cli::{Bars, Events, Exit, Lines, screen};
use crate::golden::{GoldenError, Settings};
use crate::printable::json_text;
use crate::progress::Progress;
use crate::recipe::{self, LoadedRecipe, RecipeError};
use crate::source::cache;
use crate::xdg;

/// Options that every command takes.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Answer for programs: one JSON object per line on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Say only what goes wrong
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Where the record of all cards is kept [default: cardsmith/ledger.sqlite3 in the XDG state directory]
    #[arg(long, global = true, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Where decoded images are kept [default: cardsmith in the XDG cache directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
}

/// The person, or the program, at the other end.
pub struct Ui {
    /// The global options.
    pub global: Global,
    progress: Box<dyn Progress>,
    bars: Option<Bars>,
    out: Arc<Answers>,
    cancel: Arc<AtomicBool>,
    /// Whether there is something to bring in order before the end.
    in_order: Arc<AtomicBool>,
}

/// stdout, with the first thing that went wrong on it.
#[derive(Default)]
struct Answers {
    broken: Mutex<Option<std::io::Error>>,
}

impl Answers {
    fn write(&self, bytes: &[u8]) {
        let Ok(mut broken) = self.broken.lock() else { return };
        // After the first failure there is nobody to write to; `finish` tells.
        if broken.is_none() {
            let mut stdout = std::io::stdout().lock();
            *broken = stdout.write_all(bytes).and_then(|()| stdout.flush()).err();
        }
    }
}

impl Ui {
    /// Bars on a terminal, lines elsewhere, events with `--json`.
    pub fn new(global: Global) -> Ui {
        let out = Arc::new(Answers::default());
        let mut bars = None;
        // `--json` goes before `--quiet`: programs need the events.
        let progress: Box<dyn Progress> = if global.json {
            let sink = out.clone();
            Box::new(Events::new(Arc::new(move |event: &Value| {
                sink.write(format!("{}\n", json_text(&event.to_string())).as_bytes())
            })))
        } else if global.quiet {
            Box::new(Lines::quiet())
        } else if std::io::stderr().is_terminal() {
            let shown = Bars::new();
            bars = Some(shown.clone());
            Box::new(shown)
        } else {
            Box::new(Lines::new())
        };
        Ui { global, progress, bars, out, cancel: Arc::default(), in_order: Arc::default() }
    }

    /// Where news of running work goes.
    pub fn progress(&self) -> &dyn Progress {
        self.progress.as_ref()
    }

    /// Reads and checks a recipe, and tells of keys that have another name now.
    ///
    /// # Errors
    /// As [`recipe::load`].
    pub fn load_recipe(&self, path: &Path) -> Result<LoadedRecipe, RecipeError> {
        let loaded = recipe::load(path)?;
        self.warn_of_outdated(&loaded);
        Ok(loaded)
    }

    /// Tells what a recipe should say otherwise, though it counts as it is.
    pub fn warn_of_outdated(&self, recipe: &LoadedRecipe) {
        for note in &recipe.outdated {
            self.progress().warn(&format!("{note}; {}", note.help));
        }
    }

    /// Whether the answer is for a program.
    pub fn json(&self) -> bool {
        self.global.json
    }

    /// A part of the answer for people, on stdout. Silent with `--json`, where [`Ui::event`] speaks.
    pub fn answer(&self, text: &str) {
        if !self.global.json {
            let end = if text.ends_with('\n') { "" } else { "\n" };
            let text = format!("{text}{end}");
            // stdout alone decides: answers may go to a file while news goes to a terminal.
            let coloured = anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
            let text = if coloured { text } else { anstream::adapter::strip_str(&text).to_string() };
            self.apart(|| self.out.write(text.as_bytes()));
        }
    }

    /// A part of the answer for programs; silent without `--json`. `fields` becomes the event's fields.
    pub fn event(&self, name: &str, fields: &impl Serialize) {
        if self.global.json {
            let fields = serde_json::to_value(fields).unwrap_or_else(|error| Value::String(error.to_string()));
            self.out.write(format!("{}\n", json_text(&Events::line(name, fields).to_string())).as_bytes());
        }
    }

    /// Exactly these bytes on stdout, for people and programs alike: a schema, a completion script.
    pub fn raw(&self, bytes: &[u8]) {
        self.out.write(bytes);
    }

    /// Where decoded images are kept.
    ///
    /// # Errors
    /// Where neither `--cache-dir` nor the environment says it, or it is not this person's alone.
    pub fn cache_dir(&self) -> Result<PathBuf, Error> {
        let directory = self.global.cache_dir.clone().or_else(xdg::cache_directory).ok_or_else(|| {
            Error::usage("there is no cache directory: HOME is not set").help("give `--cache-dir DIR`")
        })?;
        // Said here, because the rooms that use the cache have nobody to tell.
        for mended in cache::mend(&directory).map_err(GoldenError::from)? {
            self.progress().warn(&mended);
        }
        Ok(directory)
    }

    /// Where the record of all cards is kept.
    ///
    /// # Errors
    /// Where neither `--ledger` nor the environment says it.
    pub fn ledger_path(&self) -> Result<PathBuf, Error> {
        self.global.ledger.clone().or_else(crate::ledger::default_path).ok_or_else(|| {
            Error::usage("there is no place for the ledger: HOME is not set").help("give `--ledger FILE`")
        })
    }

    /// What golden images are made with.
    ///
    /// # Errors
    /// See [`Ui::cache_dir`], and a `SOURCE_DATE_EPOCH` that is no number.
    pub fn settings(&self) -> Result<Settings, Error> {
        Ok(Settings::from_environment(self.cache_dir()?)?)
    }

    /// Something for people only, on stderr; silent with `--quiet`.
    pub fn say(&self, text: &str) {
        if !self.global.quiet && !self.global.json {
            self.progress.note(text);
        }
    }

    /// Tells the person of an error, on stderr.
    pub fn report(&self, error: &Error) {
        self.apart(|| {
            // A terminal that is gone is no reason to stop.
            let _ = write!(anstream::stderr(), "{}", error.message());
        });
    }

    fn apart(&self, act: impl FnOnce()) {
        match &self.bars {
            Some(bars) => bars.apart(act),
            None => act(),
        }
    }

    /// Set once somebody pressed Ctrl-C; long work looks at it between chunks.
    pub fn cancel(&self) -> Arc<AtomicBool> {
        self.cancel.clone()
    }

    /// From here on Ctrl-C ends the work in order: there are cards, activations or uploads that must not be left as they
    /// are. Until here it ends the program at once.
    pub fn stop_in_order(&self) {
        self.in_order.store(true, Ordering::SeqCst);
    }

    /// Lets Ctrl-C (and SIGTERM, SIGHUP) end the program with a message: at once, or after [`Ui::stop_in_order`] in
    /// order, and then the second one ends it at once.
    ///
    /// # Errors
    /// Where no handler can be installed.
    pub fn catch_interrupts(&self) -> Result<(), Error> {
        let (cancel, in_order, json) = (self.cancel.clone(), self.in_order.clone(), self.json());
        let out = self.out.clone();
        ctrlc::set_handler(move || {
            // Whatever it waits for (a server, a decoder, an answer) is not waited for: nothing that it made has a name yet.
            if !in_order.load(Ordering::SeqCst) {
                say_stopped(json.then(|| out.clone()));
                std::process::exit(Exit::Failed as i32);
            }
            if cancel.swap(true, Ordering::SeqCst) {
                screen::restore();
                std::process::exit(130);
            }
            // The screen says so in its own last line.
            if screen::is_up() {
                return;
            }
            // Past the bars, whose lock may be held for a while.
            let _ = writeln!(std::io::stderr(), "\nstopping in order; press Ctrl-C again to stop at once");
        })
        .map_err(|error| Error::failed("cannot catch Ctrl-C").because(&error))
    }

    /// What went wrong on stdout. A reader that has read enough (`| head`) is fine.
    ///
    /// # Errors
    /// Everything else: an answer that went nowhere must not look like success.
    pub fn finish(&self) -> Result<(), Error> {
        let broken = self.out.broken.lock().ok().and_then(|mut broken| broken.take());
        match broken {
            // `| head` has what it wanted, and closing the pipe is how it says so.
            Some(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::failed("cannot write the answer to stdout").because(&error))
            }
            _ => Ok(()),
        }
    }
}

/// Tells that Ctrl-C ended the program, in the time that a person waits.
fn say_stopped(out: Option<Arc<Answers>>) {
    const PATIENCE: Duration = Duration::from_millis(300);
    let (done, heard) = channel();
    // On a thread of its own: a reader that does not read, or a terminal that is stopped, must not hold up the end.
    thread::spawn(move || {
        let error = Error::failed("stopped").state("nothing was written");
        if let Some(out) = out {
            out.write(format!("{}\n", Events::line("error", error.fields())).as_bytes());
        }
        let _ = write!(anstream::stderr(), "\n{}", error.message());
        let _ = done.send(());
    });
    let _ = heard.recv_timeout(PATIENCE);
}
