//! `cardsmith fleet`: status, ssh-config, policy, check-role, retire.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use super::activations::{open_ledger, time};
use super::table::Table;
use super::{Error, Exit, Ui};
use crate::fleet::policy::{Audience, Scope, policy};
use crate::fleet::role::{self, Level};
use crate::fleet::ssh::{self, SshOptions};
use crate::fleet::status::{self, CardStatus, Condition};
use crate::fleet::{FleetError, retire, survey};
use crate::ledger::Ledger;
use crate::printable::Printable;
use crate::recipe::{Recipe, SecretRef};

/// Day two: how the cards are doing, and how to reach them
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cardsmith fleet status --watch\n  cardsmith fleet ssh-config >> ~/.ssh/config")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what SSM says of every card that was made
    ///
    /// Exit code 3 when somebody registered with an activation who cannot have been its card.
    #[command(after_help = "Example:\n  cardsmith fleet status --watch kiosk\n\n\
                      With --watch the table is shown again on every change until all cards are online: the bench's \
                      last check after the first power-on.")]
    Status {
        /// Only cards of the recipe of this name
        recipe: Option<String>,
        /// Go on until all are online
        #[arg(long, short)]
        watch: bool,
        /// Seconds between two looks
        #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
        interval: u64,
    },
    /// Print a block for ~/.ssh/config: `ssh CARD` through Session Manager
    #[command(after_help = "Example:\n  cardsmith fleet ssh-config --user pi --profile fleet >> ~/.ssh/config\n  \
                      ssh kiosk-0001\n\n\
                      Needs the AWS CLI and its session-manager-plugin on the machine with the configuration, sshd and \
                      a key of yours on the card, and the account's advanced-instances tier (`fleet check-role` tells).")]
    SshConfig {
        /// Only cards of the recipe of this name
        recipe: Option<String>,
        /// User on the cards
        #[arg(long, default_value = "pi")]
        user: String,
        /// Port of sshd on the cards
        #[arg(long, default_value_t = 22)]
        port: u16,
        /// AWS profile
        #[arg(long)]
        profile: Option<String>,
        /// Region of `Host mi-*`
        #[arg(long)]
        region: Option<String>,
    },
    /// Print a least-privilege IAM policy
    ///
    /// --operator: sessions (shell and SSH, no other document) on the nodes of this fleet, found by the tag Recipe that
    /// every activation of `from = "aws"` carries, and ending or resuming only one's own. --bench: what making cards
    /// needs: activations, tags, and handing the one role to nodes. --admin: what `fleet retire` and `fleet check-role`
    /// need.
    #[command(after_help = "Example:\n  cardsmith fleet policy kiosk.toml --operator > operator.json\n  \
                      aws iam create-policy --policy-name kiosk-operator --policy-document file://operator.json")]
    Policy {
        /// The recipe
        recipe: PathBuf,
        #[command(flatten)]
        audience: AudienceArgs,
        /// Account number
        #[arg(long, default_value = "*", value_parser = account)]
        account: String,
    },
    /// Check whether the recipe's role can serve
    ///
    /// Whether ssm.amazonaws.com may assume it, whether its policies do, and whether the account's tier lets Session
    /// Manager reach hybrid nodes. Exit code 3 when something is wrong or could not be found out.
    #[command(after_help = "Example:\n  cardsmith fleet check-role kiosk.toml")]
    CheckRole {
        /// The recipe
        recipe: PathBuf,
    },
    /// Take cards out of service: deregister the node, delete the activation, mark the card
    #[command(after_help = "Example:\n  cardsmith fleet retire kiosk-0007\n\n\
                      The card itself is not erased. Its number is not given out again.")]
    Retire {
        /// Names of cards
        #[arg(required = true, value_name = "CARD")]
        cards: Vec<String>,
        /// The recipe's name, where two recipes have a card of this name
        #[arg(long)]
        recipe: Option<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct AudienceArgs {
    /// For who logs in to the cards
    #[arg(long)]
    operator: bool,
    /// For the bench that makes cards
    #[arg(long)]
    bench: bool,
    /// For who retires cards and checks the role
    #[arg(long)]
    admin: bool,
}

fn account(text: &str) -> Result<String, String> {
    let number = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if number || text == "*" { Ok(text.to_owned()) } else { Err("an account number has 12 digits".to_owned()) }
}

pub(super) fn run(args: Args, ui: &Ui) -> Result<Exit, Error> {
    match args.command {
        Command::Status { recipe, watch, interval } => {
            show_status(recipe.as_deref(), watch.then_some(Duration::from_secs(interval)), ui)
        }
        Command::SshConfig { recipe, user, port, profile, region } => {
            let options = SshOptions { user: &user, port, profile: profile.as_deref(), region: region.as_deref() };
            // All regions must answer: a configuration that lacks some cards would look whole.
            let (lines, _) = look(&open_ledger(ui)?, recipe.as_deref(), ui, true)?;
            let text = ssh::config(&lines, &options)?;
            ui.event("ssh-config", &json!({ "text": text }));
            ui.answer(&text);
            Ok(Exit::Done)
        }
        Command::Policy { recipe, audience, account } => print_policy(&recipe, &audience, &account, ui),
        Command::CheckRole { recipe } => check_role(&recipe, ui),
        Command::Retire { cards, recipe, yes } => retire_cards(&cards, recipe.as_deref(), yes, ui),
    }
}

impl From<FleetError> for Error {
    fn from(error: FleetError) -> Error {
        match error {
            FleetError::Activation(error) => error.into(),
            FleetError::Usage(_) => Error::of(Exit::Usage, &error),
            error => Error::of(Exit::Failed, &error),
        }
    }
}

/// Every card's line, and whether AWS could be asked everywhere. With `must`, it must.
fn look(ledger: &Ledger, recipe: Option<&str>, ui: &Ui, must: bool) -> Result<(Vec<CardStatus>, bool), Error> {
    let mut survey = survey(ledger, recipe, false)?;
    if must && let Some((_, error)) = survey.unreachable.pop_first() {
        return Err(FleetError::from(error).into());
    }
    // Only while watching: a network that is away for a moment is no reason to stop.
    for (region, error) in &survey.unreachable {
        ui.progress().warn(&format!("SSM in {region} cannot be asked: {error}"));
    }
    Ok((status::lines(&survey.cards), survey.unreachable.is_empty()))
}

fn show_status(recipe: Option<&str>, watch: Option<Duration>, ui: &Ui) -> Result<Exit, Error> {
    let ledger = open_ledger(ui)?;
    let mut shown: BTreeMap<(String, u64), Condition> = BTreeMap::new();
    loop {
        let (lines, asked) = look(&ledger, recipe, ui, watch.is_none())?;
        let now: BTreeMap<_, _> =
            lines.iter().map(|line| ((line.recipe.clone(), line.serial), line.condition)).collect();
        // On change only: a table every ten seconds would bury the one that matters.
        if now != shown || shown.is_empty() {
            show(&lines, ui);
            shown = now;
        }
        let strangers = lines.iter().any(|line| line.condition == Condition::Stranger);
        // Even where all are online: somebody else holds an activation of this fleet.
        let exit = if strangers { Exit::Findings } else { Exit::Done };
        let Some(interval) = watch else { return Ok(exit) };
        // A region that did not answer says nothing, least of all "online".
        if asked && status::all_online(&lines) {
            ui.say("all are online");
            return Ok(exit);
        }
        // Ctrl-C ends the program at once, also in here.
        std::thread::sleep(interval);
    }
}

fn show(lines: &[CardStatus], ui: &Ui) {
    let mut table = Table::new(["card", "recipe", "condition", "node", "agent", "last heard of", "activation expires"]);
    for line in lines {
        ui.event("card", line);
        let node = line.node.as_ref();
        let waiting = matches!(line.condition, Condition::Waiting | Condition::Expired);
        table.row([
            line.card.clone(),
            line.recipe.clone(),
            line.condition.as_str().to_owned(),
            node.map(|node| node.id.clone()).unwrap_or_default(),
            node.map(|node| node.agent_version.clone()).unwrap_or_default(),
            time(node.and_then(|node| node.last_ping)),
            // Once it was used, its end is of no interest.
            time(line.expires.filter(|_| waiting)),
        ]);
    }
    if table.is_empty() {
        ui.answer("no cards were made with this ledger");
    } else {
        ui.answer(&table.to_string());
    }
    for line in lines {
        if let Some(advice) = &line.advice {
            ui.say(&format!("{}: {advice}", line.card));
        }
    }
}

/// The recipe's `[activation]`, as far as day two needs it.
fn activation_of(path: &Path, ui: &Ui) -> Result<(Recipe, String, String), Error> {
    let recipe = ui.load_recipe(path)?.recipe;
    let activation = recipe.activation.as_ref();
    let role = activation.and_then(|activation| activation.role.clone());
    let region = activation.and_then(|activation| activation.region.clone());
    match (role, region) {
        (Some(role), Some(region)) => Ok((recipe, role, region)),
        _ => Err(Error::usage(format!("{} does not say which role its nodes get", path.display()))
            .help("this needs [activation] with from = \"aws\", region and role")),
    }
}

fn print_policy(path: &Path, audience: &AudienceArgs, account: &str, ui: &Ui) -> Result<Exit, Error> {
    let (recipe, role, region) = activation_of(path, ui)?;
    let audience = match audience {
        AudienceArgs { operator: true, .. } => Audience::Operator,
        AudienceArgs { bench: true, .. } => Audience::Bench,
        // clap lets exactly one of the three through.
        _ => Audience::Admin,
    };
    let parameter =
        recipe.network.as_ref().and_then(|network| network.wifi.as_ref()).and_then(|wifi| match &wifi.psk {
            SecretRef::SsmParameter(name) => Some(name.as_str()),
            _ => None,
        });
    let scope = Scope { recipe: &recipe.name, region: &region, account, role: &role, parameter };
    let policy = policy(audience, &scope);
    ui.event("policy", &json!({ "policy": policy }));
    ui.answer(
        &serde_json::to_string_pretty(&policy).map_err(|error| Error::failed("cannot print it").because(&error))?,
    );
    // On stderr: what is on stdout is meant for a file.
    if account == "*" {
        ui.say("give --account NUMBER to make it narrower");
    }
    Ok(Exit::Done)
}

fn check_role(path: &Path, ui: &Ui) -> Result<Exit, Error> {
    let (_, role, region) = activation_of(path, ui)?;
    let findings = role::check(&role, &region).map_err(FleetError::from)?;
    let mut bad = false;
    for finding in &findings {
        ui.event("finding", finding);
        let word = match finding.level {
            Level::Good => "good",
            Level::Advice => "advice",
            Level::Unknown => "unknown",
            Level::Problem => "PROBLEM",
        };
        // What could not be found out is not good, either.
        bad |= matches!(finding.level, Level::Unknown | Level::Problem);
        let remedy =
            finding.remedy.as_ref().map(|remedy| format!("\n         {}", Printable::of(remedy))).unwrap_or_default();
        ui.answer(&format!("{word:8} {}{remedy}", Printable::of(&finding.text)));
    }
    Ok(if bad { Exit::Findings } else { Exit::Done })
}

fn retire_cards(cards: &[String], recipe: Option<&str>, yes: bool, ui: &Ui) -> Result<Exit, Error> {
    let ledger = open_ledger(ui)?;
    // All are looked up before the first one is touched: a misspelt name stops the command.
    let retiring = cards.iter().map(|card| retire::prepare(&ledger, card, recipe));
    let retiring = retiring.collect::<Result<Vec<_>, _>>()?;
    for card in &retiring {
        let nodes: Vec<String> = card.nodes.iter().map(|node| format!("{} ({})", node.id, node.ping)).collect();
        let nodes = if nodes.is_empty() { "no node".to_owned() } else { nodes.join(", ") };
        ui.say(&format!("{} of recipe {}: {nodes}", card.card.name, card.card.recipe));
    }
    if !yes {
        confirm(&format!("Retire {}? Nodes are deregistered, activations deleted.", cards.join(", ")))?;
    }
    let mut left = Vec::new();
    // A card is taken out of service whole, or not at all.
    ui.stop_in_order();
    for (retired, card) in retiring.into_iter().enumerate() {
        if ui.cancel().load(Ordering::SeqCst) {
            let state = format!("{retired} of {} cards are retired", cards.len());
            return Err(Error::failed("stopped").state(state).help("run the same command again for the rest"));
        }
        let done = card.retire(&ledger)?;
        ui.event("retired", &done);
        let nodes = if done.deregistered.is_empty() {
            String::new()
        } else {
            format!(", {} deregistered", Printable::of(&done.deregistered.join(", ")))
        };
        let deleted =
            done.deleted.as_ref().map(|id| format!(", activation {} deleted", Printable::of(id))).unwrap_or_default();
        ui.answer(&format!("{} retired{nodes}{deleted}", Printable::of(&done.card)));
        left.extend(done.left);
    }
    if left.is_empty() {
        return Ok(Exit::Done);
    }
    // Exit 1, so that a script comes again; what was done is not done twice.
    let mut error = Error::failed("some of it is left to do").help("run the same command again");
    error.causes = left;
    Err(error)
}

/// Asks on the terminal. Without one, silence is no consent.
fn confirm(question: &str) -> Result<(), Error> {
    // What a script pipes in must not answer by accident.
    if !std::io::stdin().is_terminal() {
        return Err(Error::usage("nobody is there to be asked").state("nothing was changed").help("give --yes"));
    }
    let mut answer = String::new();
    let asked = write!(anstream::stderr(), "{} [y/N] ", Printable::of(question))
        .and_then(|()| std::io::stdin().read_line(&mut answer));
    asked.map_err(|error| Error::failed("cannot ask").because(&error))?;
    // All else is a no, an empty line too.
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Error::failed("stopped, as answered").state("nothing was changed"))
}
