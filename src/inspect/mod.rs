//! What an image is: its partitions, system, agent, registration, identity, sudo rules and space. This room only looks,
//! and judges nothing; that is [`crate::audit`]'s. It uses the same tables and readers as the steps, so that what
//! `inspect` shows is what `plan` would strip.

mod agent;
mod look_up;
mod system;

use serde::Serialize;

use look_up::Looks;

pub use agent::{AgentFacts, Registration};
pub use system::SystemFacts;

use crate::fs::{FsError, ImagePath, Tree};
use crate::prepare::{Class, View, Volume};
use crate::strip::{self, Fate, Rule};
use crate::sudoers::{Policy, TreeFiles};

/// Everything known of the files in an image.
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    /// The operating system.
    pub system: SystemFacts,
    /// The SSM agent.
    pub agent: AgentFacts,
    /// Whether and as what the image is registered with SSM.
    pub registration: Registration,
    /// What ties the image to the machine it came from.
    pub ties: Vec<Tie>,
    /// Rules that let somebody become root without a password, as `path:line: rule`.
    pub nopasswd: Vec<String>,
    /// What sudo complains about in its rules.
    pub sudo_problems: Vec<String>,
    /// Files that were too large to be read: nothing that they might tell is known.
    pub unread: Vec<String>,
}

/// Something that ties an image to one machine or person.
#[derive(Debug, Clone, Serialize)]
pub struct Tie {
    /// Root or boot file system.
    pub volume: Volume,
    /// Where.
    pub path: String,
    /// What it is.
    pub what: &'static str,
    /// What sort of thing.
    pub class: Class,
}

/// Looks at the files of an image.
///
/// # Errors
/// Where the image is damaged.
pub fn facts(root: &dyn Tree, boot: &dyn Tree) -> Result<Facts, FsError> {
    let looks = Looks::at(root);
    let system = system::look(&looks)?;
    let policy =
        // Pi OS's own host name where there is none: sudo includes files by it.
        Policy::read(&TreeFiles(root), "/etc/sudoers", system.hostname.as_deref().unwrap_or("raspberrypi").as_bytes())?;
    let free = |rule: &&crate::sudoers::Rule| {
        rule.privileges.iter().flat_map(|privilege| &privilege.grants).any(|grant| grant.nopasswd == Some(true))
    };
    let nopasswd = policy
        .rules
        .iter()
        .filter(free)
        .map(|rule| format!("{}: {}", policy.place(rule.span), policy.excerpt(rule.span)))
        .collect();
    Ok(Facts {
        agent: agent::look(&looks)?,
        registration: agent::registration(&looks)?,
        ties: ties(root, boot)?,
        nopasswd,
        sudo_problems: policy.problems.iter().map(|problem| problem.text.clone()).collect(),
        system,
        unread: looks.into_unread(),
    })
}

/// What the rules of the strip table find.
fn ties(root: &dyn Tree, boot: &dyn Tree) -> Result<Vec<Tie>, FsError> {
    let view = View::new(root, boot);
    let (mut found, mut told): (Vec<Tie>, Vec<(Volume, ImagePath)>) = (Vec::new(), Vec::new());
    for rule in strip::rules() {
        // What is made anew or wanted ties an image to nobody.
        if rule.fate == Fate::Wanted || matches!(rule.class, Class::Transient | Class::Configuration) {
            continue;
        }
        for (volume, path) in strip::found(rule, &view)? {
            // A path that two rules mean is one tie; the first says it best.
            let known = told.iter().any(|(of, above)| *of == volume && path.is_within(above));
            if !known && holds_something(if volume == Volume::Boot { boot } else { root }, &path, rule)? {
                found.push(Tie { volume, path: path.to_string(), what: rule.what, class: rule.class });
                told.push((volume, path));
            }
        }
    }
    Ok(found)
}

/// An empty machine-id and an empty log directory tie nothing to anything.
fn holds_something(tree: &dyn Tree, path: &ImagePath, rule: &Rule) -> Result<bool, FsError> {
    let path = &match tree.resolve(path) {
        Ok(path) => path,
        // A circle of links holds nothing.
        Err(FsError::LinkLoop { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let Some(stat) = tree.stat(path)? else { return Ok(false) };
    Ok(match stat.kind {
        crate::fs::FileKind::Directory => !tree.list(path)?.is_empty(),
        _ if rule.id == "machine-id" => {
            let text = tree.text(path, look_up::TEXT_LIMIT)?.unwrap_or_default();
            !matches!(text.trim(), "" | "uninitialized")
        }
        _ => stat.size > 0,
    })
}
