//! What ties an image to the managed node it was taken from.
//!
//! What it does is written in [`RULES`]; the code beside it does the lines that are more than a path. Stripping means
//! deleting files: `amazon-ssm-agent -register -clear` would leave the registration file and the fingerprint behind.

mod credentials;
mod rules;
mod settings;

pub use rules::RULES;

use serde_json::Value;

use super::choices::Strip;
use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{StepError, View, Volume, pattern};
use crate::printable::Printable;

const DATA: &str = "/var/lib/amazon/ssm";

/// Proposes what is more than a place. It reads what the rules remove, and so comes before them.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>, strip: &Strip) -> Result<(), StepError> {
    report_old_identity(view)?;
    credentials::propose(view)?;
    settings::propose(view)?;
    report_startup_commands(view)?;
    report_inventory(view, strip)?;
    other_identities(view)?;
    Ok(())
}

fn data(name: &str) -> Result<ImagePath, FsError> {
    Ok(ImagePath::new(format!("{DATA}/{name}"))?)
}

fn json(view: &View<'_>, path: &ImagePath) -> Result<Option<Value>, FsError> {
    Ok(view.read_settings(Volume::Root, path)?.and_then(|text| serde_json::from_slice(&text).ok()))
}

fn text_field(json: &Value, name: &str) -> Option<String> {
    json.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(printable)
}

/// Words of an image for a message: not much of them.
fn printable(text: &str) -> String {
    Printable::of(text).to_string().chars().take(120).collect()
}

fn report_old_identity(view: &mut View<'_>) -> Result<(), FsError> {
    let key = json(view, &data("Vault/Store/RegistrationKey")?)?;
    let registration = json(view, &data("registration")?)?;
    let id = key.as_ref().and_then(|key| text_field(key, "instanceID"));
    let id = id.or_else(|| registration.as_ref().and_then(|file| text_field(file, "ManagedInstanceID")));
    if let Some(id) = id {
        view.note(format!(
            "the image was taken from the managed node {id}; that node stays registered in AWS until it is deregistered \
             there"
        ));
    }
    Ok(())
}

/// The agent starts what it finds in `daemons` and runs what it finds in `localcommands`, as root: a person should hear
/// of it. Arguments are not shown, they may hold secrets.
fn report_startup_commands(view: &mut View<'_>) -> Result<(), FsError> {
    for (folder, when) in [("daemons", "whenever it starts"), ("localcommands", "when it finds them")] {
        let folder = data(folder)?;
        if view.root().stat(&folder)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
            continue;
        }
        for entry in view.root().list(&folder)?.into_iter().filter(|entry| entry.kind == FileKind::File) {
            let path = folder.join(&entry.name)?;
            let program = json(view, &path)?
                .and_then(|json| text_field(&json, "Command").or_else(|| text_field(&json, "command")))
                .and_then(|command| command.split_whitespace().next().map(str::to_owned));
            let program = program.map_or_else(String::new, |program| format!(": {program}"));
            view.warn(format!("{path} goes, which the agent would run as root {when}{program}"));
        }
    }
    Ok(())
}

/// Folders that are named by an identity which is neither a managed node nor an EC2 instance.
fn other_identities(view: &mut View<'_>) -> Result<(), FsError> {
    let Some(rule) = RULES.iter().find(|rule| rule.id == "ssm-other-identities") else { return Ok(()) };
    for path in view.find(&format!("{DATA}/*"))? {
        if is_known(&path) || view.root().stat(&path)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
            continue;
        }
        let has = |name: &str| -> Result<bool, FsError> { Ok(view.root().stat(&path.join(name)?)?.is_some()) };
        if has("document")? || has("session")? {
            view.remove(Volume::Root, &path, rule.class.because(rule.what, rule.source))?;
        } else {
            view.warn(format!("{path} stays: cardsmith does not know what the agent keeps there"));
        }
    }
    Ok(())
}

/// Whether a rule of this table names it, or something in it.
fn is_known(path: &ImagePath) -> bool {
    let places = RULES.iter().filter(|rule| !rule.by_code).flat_map(|rule| rule.places);
    let names = places.filter_map(|place| place.strip_prefix(DATA)?.split('/').nth(1));
    path.name().is_some_and(|name| names.into_iter().any(|known| pattern::is_like(name, known.as_bytes())))
}

fn report_inventory(view: &mut View<'_>, strip: &Strip) -> Result<(), FsError> {
    if !strip.keeps("inventory") {
        return Ok(());
    }
    for path in view.find("/var/lib/amazon/ssm/*i-*/inventory/custom/*")? {
        view.warn(format!(
            "{path} goes although the recipe keeps inventory: it is in the folder of a node that the cards will not be. \
             Add it with [[file]] under {DATA}/inventory/custom"
        ));
    }
    Ok(())
}
