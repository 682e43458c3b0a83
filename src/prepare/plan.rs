//! A plan: the ordered list of edits, each with its reason. It can be printed before anything is written.

use std::borrow::Cow;

use serde::Serialize;

use super::content::Content;
use crate::fs::{Attributes, ImagePath};

/// Which of the two file systems of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Volume {
    /// The ext4 root file system.
    Root,
    /// The FAT boot file system, with paths from its own root (`/cmdline.txt`).
    Boot,
}

impl Volume {
    /// A path in it, for a person and for programs: `/path`, or `boot:/path`.
    pub fn place(self, path: &ImagePath) -> String {
        match self {
            Volume::Root => path.to_string(),
            Volume::Boot => format!("boot:{path}"),
        }
    }
}

/// What sort of thing an edit is about; decides how loudly it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Private keys, credentials, activation codes, session transcripts.
    Secret,
    /// What tells one machine from another.
    Identity,
    /// Logs, which carry ids and sometimes secrets.
    Log,
    /// Sockets, locks, downloads: of no use on another card.
    Transient,
    /// Commands or units that would run on the new card.
    Code,
    /// Who may become root.
    Privilege,
    /// Settings, units and files that cardsmith adds.
    Configuration,
}

impl Class {
    /// The reason for an edit that is about this: one sentence for a person, and where the fact comes from.
    pub fn because(self, text: impl Into<Cow<'static, str>>, source: &'static str) -> Reason {
        Reason { step: "", class: self, text: text.into(), source: source.into() }
    }
}

/// Why an edit is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The step that wants it; the view says which, when the edit is proposed.
    pub step: &'static str,
    /// What sort of thing it is about.
    pub class: Class,
    /// One sentence for a person.
    pub text: Cow<'static, str>,
    /// Where the fact comes from: a path in the agent's source, a manual page, the recipe. May be empty.
    pub source: Cow<'static, str>,
}

/// One change to one path.
pub enum Change {
    /// The file, symlink or whole directory tree goes.
    Remove,
    /// A regular file is made or replaced.
    Write {
        /// What it holds.
        content: Content,
        /// Mode and owner.
        attributes: Attributes,
    },
    /// A directory is made, or gets these attributes.
    Directory {
        /// Mode and owner.
        attributes: Attributes,
    },
    /// A symlink is made or replaced.
    Symlink {
        /// Its target, as it will stand.
        target: Vec<u8>,
    },
    /// Mode or owner change, nothing else.
    Attributes {
        /// What they become.
        attributes: Attributes,
    },
}

/// One change, where, and why.
pub struct Edit {
    /// Root or boot file system.
    pub volume: Volume,
    /// The path, with every symlink in its directories already resolved.
    pub path: ImagePath,
    /// What happens to it.
    pub change: Change,
    /// Why.
    pub reason: Reason,
    /// For a replaced text file: what it holds now, so that a plan can show a diff. Never set for secrets.
    pub before: Option<Vec<u8>>,
}

/// How serious something is that a step found but does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// A person should look at it.
    Warning,
    /// The recipe asks for something that cannot work on this image: no golden image is made.
    #[serde(rename = "obstacle")]
    Blocker,
}

/// Something a step found and says, without an edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The step that says it.
    pub step: &'static str,
    /// The rule of the strip table that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
    /// How serious.
    pub severity: Severity,
    /// One or two sentences for a person.
    pub text: String,
    /// All the places that it is about, where the text names only the first few: `/path`, or `boot:/path`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
}

/// The ordered list of edits, and what the steps have to say.
#[derive(Default)]
pub struct Plan {
    /// In the order in which they are applied.
    pub edits: Vec<Edit>,
    /// What was found without being changed.
    pub findings: Vec<Finding>,
}

impl Plan {
    /// What keeps this plan from being carried out.
    pub fn blockers(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Blocker)
    }
}
