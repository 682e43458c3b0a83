//! `cardsmith recipe`: check, schema, new.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{Error, Exit, Ui};
use crate::printable::Printable;
use crate::recipe::{self, Lock, RecipeError};

/// Write and check recipes
///
/// A recipe is a TOML file kept in git: which base image, what to strip, harden and add, how cards are named and
/// activated.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cardsmith recipe new kiosk > kiosk.toml\n  cardsmith recipe check kiosk.toml")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check recipes; neither the image nor AWS is needed
    #[command(
        after_help = "Example:\n  cardsmith recipe check recipes/*.toml\n  cardsmith recipe check --resolved kiosk.toml"
    )]
    Check {
        /// Print what the recipe and the one that it extends come to, with where each value comes from
        #[arg(long)]
        resolved: bool,
        /// The recipes
        #[arg(required = true, value_name = "RECIPE")]
        recipes: Vec<PathBuf>,
    },
    /// Write the digests of all that a recipe refers to into RECIPE.lock
    ///
    /// Image, agent package, files and base recipe. `golden --locked` and `flash --locked` refuse to use anything else.
    /// Secrets and activations are not locked. Keep the lock file in git, beside the recipe.
    #[command(after_help = "Example:\n  cardsmith recipe lock recipes/kiosk.toml\n  \
                            cardsmith golden --locked recipes/kiosk.toml --out kiosk.img")]
    Lock {
        /// The recipes
        #[arg(required = true, value_name = "RECIPE")]
        recipes: Vec<PathBuf>,
    },
    /// Print the JSON schema of a recipe, for editors
    #[command(after_help = "Example:\n  cardsmith recipe schema > cardsmith.schema.json\n\n\
                      Editors with a TOML language server take it by a first line in the recipe:\n  \
                      #:schema ./cardsmith.schema.json")]
    Schema,
    /// Print a new recipe with every key explained
    #[command(after_help = "Example:\n  cardsmith recipe new kiosk > kiosk.toml")]
    New {
        /// Its name: a-z, 0-9 and -
        #[arg(default_value = "kiosk")]
        name: String,
    },
}

pub(super) fn run(args: Args, ui: &Ui) -> Result<Exit, Error> {
    match args.command {
        Command::Check { resolved, recipes } => check(&recipes, resolved, ui),
        Command::Lock { recipes } => lock(&recipes, ui),
        Command::Schema => {
            let schema = serde_json::to_string_pretty(&recipe::schema_json())
                .map_err(|error| Error::failed("cannot make the schema").because(&error))?;
            ui.raw(format!("{schema}\n").as_bytes());
            Ok(Exit::Done)
        }
        Command::New { name } => {
            let text = recipe::template(&name);
            // The name is the only thing that can be wrong with it.
            recipe::parse(&text, std::path::Path::new("kiosk.toml"))
                .map_err(|error| Error::usage(format!("{name:?} cannot be a recipe's name")).help(error.help()))?;
            // It is a file, also with `--json`.
            ui.raw(text.as_bytes());
            Ok(Exit::Done)
        }
    }
}

/// All recipes are checked, so that a run over a repository tells everything at once.
fn check(recipes: &[PathBuf], show: bool, ui: &Ui) -> Result<Exit, Error> {
    let mut wrong: Option<Error> = None;
    // All of them, whatever the first one is like: CI shows every mistake in one run.
    for path in recipes {
        match recipe::resolve(path) {
            Ok(resolved) => {
                let loaded = &resolved.loaded;
                let name = &loaded.recipe.name;
                ui.warn_of_outdated(loaded);
                // Here, because the room of recipes does not know the audit; and a warning, because rules come and go
                // while recipes stay.
                for id in loaded.recipe.audit.allow.iter().filter(|id| crate::audit::find_rule(id).is_none()) {
                    let path = path.display();
                    ui.progress().warn(&format!("{path}: [audit] allow names {id:?}, and the audit has no such rule"));
                }
                ui.event(
                    "recipe",
                    &json!({ "path": Printable::path(path).to_string(), "ok": true, "name": name, "digest": loaded.digest, "mistakes": [] }),
                );
                if show {
                    tell_resolved(&resolved, ui);
                } else {
                    ui.answer(&format!("{}: a good recipe, {}", Printable::path(path), Printable::of(&name)));
                }
            }
            Err(error) => {
                ui.event(
                    "recipe",
                    &json!({ "path": Printable::path(path).to_string(), "ok": false, "mistakes": mistakes(&error) }),
                );
                let error = Error::from(error);
                match &mut wrong {
                    None => wrong = Some(error),
                    // One error for all files, since a command has one exit code.
                    Some(first) => {
                        first.state.push(error.what);
                        first.state.extend(error.state);
                        first.help.extend(error.help);
                    }
                }
            }
        }
    }
    wrong.map_or(Ok(Exit::Done), Err)
}

/// The recipe as it counts in the end, as a recipe for people and as one event for each value for programs.
fn tell_resolved(resolved: &recipe::Resolved, ui: &Ui) {
    ui.answer(&resolved.to_text());
    for setting in &resolved.settings {
        let from = setting
            .from
            .as_ref()
            .map(|(path, line)| json!({ "path": Printable::path(path).to_string(), "line": line }));
        ui.event("setting", &json!({ "key": setting.keys.join("."), "value": setting.value, "from": from }));
    }
}

fn lock(recipes: &[PathBuf], ui: &Ui) -> Result<Exit, Error> {
    let mut inputs = ui.reads();
    let mut all = Vec::new();
    for path in recipes {
        let loaded = ui.load_recipe(path)?;
        // The lock file itself is what is written, and is not read here.
        inputs.add_all(loaded.reads().into_iter().filter(|(file, _)| *file != recipe::lock_path(path)));
        all.push((path, loaded));
    }
    for path in recipes {
        inputs.refuse_output(&recipe::lock_path(path), "the lock file")?;
    }
    for (path, loaded) in &all {
        let lock = Lock::of(loaded)?;
        let written = lock.write(path)?;
        ui.event("lock", &json!({ "path": Printable::path(&written).to_string(), "files": lock.files() }));
        ui.answer(&format!("{}: {} locked", Printable::path(&written), lock.files().len()));
    }
    Ok(Exit::Done)
}

fn mistakes(error: &RecipeError) -> Vec<serde_json::Value> {
    match error {
        RecipeError::Mistakes { mistakes } => mistakes
            .iter()
            .map(|m| json!({ "path": Printable::path(&m.path).to_string(), "line": m.line, "column": m.column, "what": m.what, "help": m.help }))
            .collect(),
        // No line, and yet the field: programs need not ask whether it is there.
        other => vec![json!({ "line": null, "column": null, "what": other.to_string(), "help": other.help() })],
    }
}
