//! Why a target is refused, and what a person can do about it.

use std::io;
use std::path::PathBuf;

use crate::flash::identity::MediumIdentity;
use crate::flash::refusal::Refusal;
use crate::inputs::OutputIsInput;

/// Why a target is refused. Nothing was written to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// The device cannot be written to.
    #[error("{path} is not written to: {refusal}", path = .path.display())]
    Refused {
        /// The device.
        path: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// There is nothing of this name.
    #[error("{path} is not there", path = .path.display())]
    NotThere {
        /// The target.
        path: PathBuf,
    },
    /// A partition was named.
    #[error("{path} is a partition; a card is written as a whole", path = .path.display())]
    Partition {
        /// The partition.
        path: PathBuf,
        /// The disk that it lies on.
        disk: Option<PathBuf>,
    },
    /// A directory was named.
    #[error("{path} is a directory", path = .path.display())]
    Directory {
        /// The target.
        path: PathBuf,
    },
    /// Neither a disk nor a file.
    #[error("{path} is neither a block device nor a file", path = .path.display())]
    NeitherDeviceNorFile {
        /// The target.
        path: PathBuf,
    },
    /// A card image of this name exists.
    #[error("{path} exists already", path = .path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The target is what cards are made from, or holds it.
    #[error(transparent)]
    Input(#[from] OutputIsInput),
    /// It is not the medium that was shown.
    #[error("{path} is not what was shown: it was {shown}, it is {now} now", path = .path.display())]
    AnotherMedium {
        /// The target.
        path: PathBuf,
        /// What was there when it was shown.
        shown: Box<MediumIdentity>,
        /// What is there.
        now: Box<MediumIdentity>,
    },
    /// The same target twice.
    #[error("{path} is named twice", path = .path.display())]
    Twice {
        /// The target.
        path: PathBuf,
    },
    /// The kernel does not give the device away.
    #[error("{path} is in use: the kernel does not give it to us alone", path = .path.display())]
    Busy {
        /// The device.
        path: PathBuf,
    },
    /// We may not.
    #[error("no permission to write to {path}", path = .path.display())]
    Permission {
        /// The target.
        path: PathBuf,
    },
    /// What was opened is not what was judged.
    #[error("{path} changed while it was opened: {what}", path = .path.display())]
    Changed {
        /// The device.
        path: PathBuf,
        /// What is different.
        what: String,
    },
    /// The system reported something else.
    #[error("{doing} {path}", path = .path.display())]
    Io {
        /// What was being done, as in "could not open".
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl GateError {
    /// What a person can do about it.
    pub fn next_step(&self) -> String {
        match self {
            GateError::Refused { path, refusal } => refusal.next_step(&path.display().to_string()),
            GateError::NotThere { path } if path.starts_with("/dev") => {
                "is the card in the reader? `cardsmith devices` shows what is there".to_owned()
            }
            GateError::NotThere { .. } => "make the directory first; only the file itself is made".to_owned(),
            GateError::Partition { disk: Some(disk), .. } => format!("name the disk: `--to {}`", disk.display()),
            GateError::Partition { disk: None, .. } => "name the disk; `cardsmith devices` shows it".to_owned(),
            GateError::Directory { path } => format!("name a file in it: `--to {}`", path.join("card.img").display()),
            GateError::NeitherDeviceNorFile { .. } => "`cardsmith devices` shows what can be written to".to_owned(),
            GateError::Exists { .. } => "choose another name, or add `--overwrite`".to_owned(),
            GateError::Input(error) => error.next_step().to_owned(),
            GateError::AnotherMedium { shown, .. } => format!(
                "look which one you mean (`cardsmith devices`), and run the command again; compared were {}",
                shown.compared()
            ),
            GateError::Twice { .. } => "name each target once".to_owned(),
            GateError::Busy { .. } => {
                "another program has it open, or something on it is mounted in another namespace or \
                                       container; end that and run the command again"
                    .to_owned()
            }
            GateError::Permission { path } if path.starts_with("/dev") => {
                "run the command with sudo, or as a member of the group that owns the device (often `disk`)".to_owned()
            }
            GateError::Permission { .. } => "choose a directory that you may write to".to_owned(),
            GateError::Changed { .. } => "leave the card in its reader and run the command again".to_owned(),
            GateError::Io { .. } => "take the card out, put it back in and try again".to_owned(),
        }
    }
}
