//! `cardsmith audit`: what an image holds that it should not.

use std::path::PathBuf;

use super::reads::check_file;
use super::{Error, Exit, Ui};
use crate::audit::{self, AuditOptions, Kind, find_rule};
use crate::golden::editable;
use crate::printable::json_text;
use crate::{source, strip};

/// Find what an image or card holds that it should not: registrations, keys, passwordless sudo, residue
///
/// Reads any image, golden or not, compressed or not, or a card in a reader, with readers of its own, and changes
/// nothing. Exit code 3 when there are findings that are neither notes nor allowed.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cardsmith audit golden.img.zst\n  cardsmith audit captured.img --deep\n  \
                        cardsmith audit golden.img --allow wifi --sarif audit.sarif\n  \
                        cardsmith audit --explain ssm-vault\n  cardsmith audit --explain all")]
pub(super) struct Args {
    /// An image file or a block device
    #[arg(required_unless_present = "explain")]
    image: Option<PathBuf>,
    /// It is a finished card: an activation file is right, if only root can read it
    #[arg(long)]
    card: bool,
    /// Search every byte for what deleting left behind (reads the whole image)
    #[arg(long)]
    deep: bool,
    /// A rule that may be found, or a group of [strip] ("wifi", "logins"), or several with commas; may be given again
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    allow: Vec<String>,
    /// Also allow what this recipe's [audit] section allows and [strip] keeps, and look by its own rules
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Notes count too
    #[arg(long)]
    strict: bool,
    /// Write the findings as SARIF 2.1.0, for annotations by a code host
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Print what a rule looks for, why it matters and what to do; a group's name lists its rules, "all" lists all
    #[arg(long, value_name = "RULE", conflicts_with_all = ["card", "deep", "sarif"])]
    explain: Option<String>,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<Exit, Error> {
    if let Some(rule) = &args.explain {
        return explain(rule, ui);
    }
    let Some(path) = &args.image else { return Err(Error::usage("no image was named")) };
    let (mut allow, mut own_rules) = (args.allow.clone(), Vec::new());
    let mut inputs = ui.reads();
    inputs.add(path, "the image");
    if let Some(file) = &args.recipe {
        let loaded = ui.load_recipe(file)?;
        inputs.add_all(loaded.reads());
        let recipe = loaded.recipe;
        // What the recipe means to keep is no surprise. It is still shown, as allowed.
        let kept = strip::rules().filter(|rule| recipe.strip.choice(rule) == Some(strip::Choice::Keep));
        allow.extend(kept.map(|rule| rule.audited_as.to_owned()));
        if recipe.strip.keeps(strip::SECRETS_IN_FILES) {
            allow.extend([strip::SECRETS_IN_FILES.to_owned(), "private-key-files".to_owned()]);
        }
        own_rules.extend(recipe.strip.rules.into_iter().map(|rule| (rule.path, rule.what)));
        allow.extend(recipe.audit.allow);
    }
    // A misspelt rule would allow nothing, and the person would search elsewhere.
    if let Some(unknown) = allow.iter().find(|word| audit::rules_named(word).is_empty()) {
        return Err(Error::usage(format!("there is no audit rule {unknown:?}, and no group of that name"))
            .help("`cardsmith audit --explain all` lists the rules"));
    }
    let allow = allow.iter().flat_map(|word| audit::rules_named(word)).map(str::to_owned).collect();
    let options =
        AuditOptions { kind: if args.card { Kind::Card } else { Kind::Golden }, deep: args.deep, own_rules, allow };

    if let Some(file) = &args.sarif {
        check_file(file, "--sarif", &inputs)?;
    }

    let name = path.display().to_string();
    let failed = |error: &dyn std::error::Error| Error::failed(format!("cannot audit {name}")).because(error);
    let (image, _) = source::open_to_inspect(path, &ui.cache_dir()?, ui.progress()).map_err(|error| failed(&error))?;
    // The audit's reader cannot replay a journal, so it gets a copy in memory where that was done.
    let readable = editable::replayed(image.clone(), &name).map_err(|error| failed(&error).help(error.help()))?;
    let report = audit::audit(&image, readable, &options).map_err(|error| {
        failed(&error).help("cardsmith reads Raspberry Pi OS images: a FAT boot partition and an ext4 root")
    })?;

    // Before the answer: CI uploads it whatever the exit code says.
    if let Some(file) = &args.sarif {
        let text = json_text(&format!("{:#}\n", audit::sarif(&report, &name)));
        ui.write_file(file, "--sarif", text.as_bytes(), &inputs)?;
    }
    for (name, fields) in report.events(args.strict) {
        ui.event(name, &fields);
    }
    ui.answer(report.to_text().trim_end());
    match report.is_dirty(args.strict) {
        false => Ok(Exit::Done),
        true => {
            // One example shows the way, and the table above has the other names.
            if let Some(finding) = report.findings.first() {
                ui.say(&format!("`cardsmith audit --explain {}` says why it matters and what to do", finding.rule));
            }
            Ok(Exit::Findings)
        }
    }
}

/// A group of `[strip]`: its rules, each with what it is about. `false` where there is no such group.
fn explain_group(group: &str, ui: &Ui) -> bool {
    let rows: Vec<_> = strip::rules().filter(|row| row.is_named(group)).collect();
    for row in &rows {
        ui.event("rule", &serde_json::json!({ "id": row.audited_as, "severity": row.severity, "title": row.what }));
        ui.answer(&format!("{:<26} {}", row.id, row.what));
    }
    !rows.is_empty()
}

fn explain(rule: &str, ui: &Ui) -> Result<Exit, Error> {
    if rule == "all" {
        for rule in audit::rules() {
            ui.event("rule", &serde_json::json!({ "id": rule.id, "severity": rule.severity, "title": rule.title }));
            ui.answer(&format!("{:<26} {}{}", rule.id, rule.title, if rule.deep { " (--deep)" } else { "" }));
        }
        return Ok(Exit::Done);
    }
    let Some(rule) = find_rule(rule) else {
        if explain_group(rule, ui) {
            return Ok(Exit::Done);
        }
        return Err(Error::usage(format!("there is no audit rule {rule:?}"))
            .help("`cardsmith audit --explain all` lists the rules"));
    };
    ui.event(
        "rule",
        &serde_json::json!({ "id": rule.id, "severity": rule.severity, "title": rule.title, "page": rule.page() }),
    );
    ui.answer(&format!("{}: {}\n\n{}", rule.id, rule.title, rule.page()));
    Ok(Exit::Done)
}
