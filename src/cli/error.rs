//! The one error of a command: a message to the person at the bench.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::exit::Exit;
use crate::golden::manifest::ManifestError;
use crate::golden::{GoldenError, SignatureError};
use crate::printable::Printable;
use crate::recipe::{LockError, RecipeError};
use crate::secrets::SecretError;

/// What failed, why, what state things are in, and what to do next.
#[derive(Debug)]
pub struct Error {
    /// The exit code.
    pub exit: Exit,
    /// What failed, on which device or path: one line.
    pub what: String,
    /// Why, from the nearest reason to the farthest.
    pub causes: Vec<String>,
    /// What state things are in: what is on the card, what was left alone.
    pub state: Vec<String>,
    /// The next step.
    pub help: Vec<String>,
}

impl Error {
    /// Something failed ([`Exit::Failed`]).
    pub fn failed(what: impl Into<String>) -> Error {
        Error::with(Exit::Failed, what)
    }

    /// Wrong usage, or a recipe with a mistake; nothing was touched ([`Exit::Usage`]).
    pub fn usage(what: impl Into<String>) -> Error {
        Error::with(Exit::Usage, what)
    }

    /// With any exit code.
    pub fn with(exit: Exit, what: impl Into<String>) -> Error {
        Error { exit, what: what.into(), causes: Vec::new(), state: Vec::new(), help: Vec::new() }
    }

    /// An error of a room: its text becomes `what`, its sources the causes.
    pub fn of(exit: Exit, error: &dyn std::error::Error) -> Error {
        let mut message = Error::with(exit, error.to_string());
        if let Some(source) = error.source() {
            message = message.because(source);
        }
        message
    }

    /// Adds a cause and its causes, each once.
    #[must_use]
    pub fn because(mut self, cause: &dyn std::error::Error) -> Error {
        let mut next = Some(cause);
        while let Some(cause) = next {
            let text = cause.to_string();
            // Transparent errors and those that quote their source would say everything twice.
            let said = self.what.contains(&text) || self.causes.iter().any(|earlier| earlier.contains(&text));
            if !said && !text.is_empty() {
                self.causes.push(text);
            }
            next = cause.source();
        }
        self
    }

    /// Adds a sentence about the state things are in.
    #[must_use]
    pub fn state(mut self, text: impl Into<String>) -> Error {
        self.state.push(text.into());
        self
    }

    /// Adds a next step.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Error {
        self.help.push(text.into());
        self
    }

    /// The message, for a terminal; colours are stripped by the stream where they do not belong.
    pub fn message(&self) -> String {
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let dim = anstyle::Style::new().dimmed();
        let blue = anstyle::AnsiColor::Cyan.on_default().bold();
        let mut out = format!("{red}error:{red:#} {}\n", Printable::of(&self.what));
        let mut lines = |mark: String, texts: &[String]| {
            // Causes quote names from images and devices; only the line breaks are ours.
            for line in texts.iter().flat_map(|text| text.lines()) {
                let _ = writeln!(out, "  {mark} {}", Printable::of(line));
            }
        };
        lines(format!("{red}×{red:#}"), &self.causes);
        lines(format!("{dim}│{dim:#}"), &self.state);
        lines(format!("{blue}help:{blue:#}"), &self.help);
        out
    }

    /// The message, for a program.
    pub fn fields(&self) -> Value {
        json!({
            "exit": self.exit as u8,
            "what": self.what,
            "causes": self.causes,
            "state": self.state,
            "help": self.help,
        })
    }
}

impl From<GoldenError> for Error {
    fn from(error: GoldenError) -> Error {
        // These are asked before any work: nothing was read or written, so it is the command line, or the recipe, that has
        // to change.
        let usage = matches!(
            error,
            GoldenError::Output { .. }
                | GoldenError::Input(_)
                | GoldenError::Signature(SignatureError::Key { .. })
                | GoldenError::NotAllowed { .. }
                | GoldenError::Unallowable { .. }
                | GoldenError::Manifest(ManifestError::Recipe { .. })
        );
        let exit = if usage { Exit::Usage } else { Exit::Failed };
        let message = Error::of(exit, &error).help(error.help());
        match &error {
            GoldenError::NotAllowed { .. } | GoldenError::Unallowable { .. } => {
                message.state("none of it was read, and nothing was written")
            }
            // The first one is the headline.
            GoldenError::Manifest(ManifestError::Recipe { mistakes, .. }) => {
                mistakes.iter().skip(1).fold(message, |message, mistake| message.state(mistake.what.clone()))
            }
            _ => message,
        }
    }
}

impl From<SecretError> for Error {
    fn from(error: SecretError) -> Error {
        // Exit 1: the recipe is right, it is this machine or account that lacks something.
        Error::of(Exit::Failed, &error).state("nothing was written, and no activation was taken").help(error.help())
    }
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Error {
        // A lock that does not hold is as good as a mistake in the recipe: nothing was begun.
        let exit = if matches!(error, LockError::Io { .. }) { Exit::Failed } else { Exit::Usage };
        Error::of(exit, &error).state("nothing was written").help(error.help())
    }
}

impl From<RecipeError> for Error {
    fn from(error: RecipeError) -> Error {
        let mut message = Error::of(Exit::Usage, &error);
        let help = error.help();
        if let RecipeError::Mistakes { mistakes } = error {
            for (index, mistake) in mistakes.iter().enumerate() {
                // The first mistake is the headline already, and its help comes at the end.
                if index > 0 {
                    message.state.push(mistake.to_string());
                }
                message.state.push(mistake.excerpt.clone());
                if index > 0 {
                    message.state.push(format!("({})", mistake.help));
                }
            }
        }
        message.help(help)
    }
}
