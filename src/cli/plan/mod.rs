//! `cardsmith plan`: the edits that would be made, as a readable diff.

pub(crate) mod show;

use std::path::PathBuf;

use serde_json::json;

use super::{Error, Exit, Ui};
use crate::golden;
use crate::golden::finding_records;
use crate::printable::Printable;
use crate::recipe::Wants;

/// Show the edits that a recipe would make, as a readable diff
///
/// Nothing is written but the cache of decoded images. Secrets are named and never shown. Where the recipe asks for
/// something that cannot work on this image, the plan says so, and the exit code is 1.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cardsmith plan recipes/kiosk.toml\n  cardsmith plan recipes/kiosk.toml --contents")]
pub(super) struct Args {
    /// The recipe
    recipe: PathBuf,
    /// Show what new text files hold, too
    #[arg(long)]
    contents: bool,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<Exit, Error> {
    let loaded = ui.load_recipe(&args.recipe)?;
    let (name, wants) = (loaded.recipe.name.clone(), Wants::of(&loaded.recipe));
    let prepared = golden::prepare(loaded, &ui.settings()?, ui.progress())?;
    let repaired = prepared.repaired().map(str::to_owned);
    // The digest is waited for first: a plan for another image than the recipe's must not be shown.
    let (plan, base) = prepared.into_plan()?;
    let plan = &plan;
    for record in show::records(plan) {
        ui.event("edit", &record);
    }
    for finding in finding_records(plan) {
        ui.event("finding", &finding);
    }
    let whole = json!({ "recipe": name, "base": base, "repaired": repaired, "edits": plan.edits.len() });
    ui.event("plan", &whole);
    ui.event("wants", &wants);

    let (source, recipe) = (Printable::of(&base.source), Printable::of(&name));
    ui.answer(&format!("{source} ({}, {}) becomes the golden image of \"{recipe}\":\n", base.format, base.size));
    if let Some(repaired) = repaired {
        ui.answer(&format!("repaired first: {}\n", Printable::of(&repaired)));
    }
    ui.answer(&show::plan(plan, args.contents));
    if !wants.is_empty() {
        ui.answer(&format!("when cards are made, they get from that machine: {}", Printable::of(&wants.to_string())));
    }
    if plan.blockers().next().is_some() {
        ui.say("the recipe asks for what this image cannot do: `cardsmith golden` would stop");
        // The plan was shown, and yet this is exit 1: CI must not go on to `golden`.
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}
