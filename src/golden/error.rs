//! Why there is no golden image. Nothing was written in any of these cases; the overlay is gone.

use std::io;
use std::path::PathBuf;

use super::apply::ApplyError;
use super::manifest::ManifestError;
use super::signature::SignatureError;
use crate::fs::FsError;
use crate::image::partition_table::PartitionError;
use crate::inputs::OutputIsInput;
use crate::prepare::StepError;
use crate::source::SourceError;

/// Why there is no golden image, or no card image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// The base image cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It has no usable partition table.
    #[error("{image}: its partition table cannot be used")]
    Partitions {
        /// The base image.
        image: String,
        /// Why.
        #[source]
        source: PartitionError,
    },
    /// A root or boot file system is missing, or of a kind that is not edited.
    #[error("{image}: {what}")]
    Layout {
        /// The base image.
        image: String,
        /// What is wrong, partition by partition.
        what: String,
    },
    /// A file system of the image cannot be used.
    #[error("{image}: could not {doing}")]
    Fs {
        /// The base image.
        image: String,
        /// "repair the root file system", "open the boot file system", "scrub …".
        doing: &'static str,
        /// Why.
        #[source]
        source: FsError,
    },
    /// A step refuses.
    #[error("the {step} step cannot go on")]
    Step {
        /// Which step.
        step: &'static str,
        /// Why, and what to do.
        #[source]
        source: StepError,
    },
    /// The recipe asks for what cannot work on this image.
    #[error("the recipe asks for what this image cannot do: {first}{more}", more = more(*count))]
    Obstacles {
        /// The first obstacle, in words.
        first: String,
        /// How many there are.
        count: usize,
    },
    /// The plan could not be carried out.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A check after the edits failed: this is a bug of cardsmith or of a library, or damaged memory.
    #[error("the edited image did not pass the check \"{check}\": {what}")]
    Check {
        /// Which check.
        check: &'static str,
        /// What it said.
        what: String,
    },
    /// The edits took away what a card needs to start, and the base image had.
    #[error("no card would start from the edited image: it has lost {missing}")]
    Unbootable {
        /// What is missing, in words.
        missing: String,
    },
    /// Something that was stripped is still there as bytes.
    #[error(
        "{count} of {searched} traces of the old machine are still in the finished image, in {}; the first, {kind} of {origin}, at {at} in {owner}",
        count_of(*places)
    )]
    TracesLeft {
        /// How many traces were found.
        count: usize,
        /// In how many places.
        places: u64,
        /// How many traces were searched for.
        searched: usize,
        /// What the first one is: "private key".
        kind: &'static str,
        /// Where it was taken from.
        origin: String,
        /// Where it still is, as an offset in the image.
        at: crate::units::ByteOffset,
        /// The file or region that holds it.
        owner: String,
    },
    /// So much is stripped that not all of it can be searched for afterwards.
    #[error(
        "so much is to be stripped that {left_out} traces of it could not be searched for in the finished image: more than \
         {most} are too many",
        most = super::traces::Traces::MOST
    )]
    TooManyTraces {
        /// How many traces were left out.
        left_out: usize,
    },
    /// Bytes of what was stripped stand in so many places that not all of them could be looked at.
    #[error("the finished image has {not_kept} more places like what was stripped than can be looked at one by one")]
    TooManyHits {
        /// How many places nobody looked at.
        not_kept: u64,
    },
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A key cannot be used, or a signature does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// A manifest that nobody signed wants of this machine what was not allowed.
    #[error("{manifest} is not signed by a key that was given, and wants of this machine: {what}", manifest = manifest.display())]
    NotAllowed {
        /// The manifest.
        manifest: PathBuf,
        /// What it wants, in words.
        what: String,
        /// The options that allow it, as a shell takes them.
        options: String,
    },
    /// It wants something that cannot be allowed by name.
    #[error("the manifest cannot be used: {what}")]
    Unallowable {
        /// In words.
        what: String,
    },
    /// The golden image beside a manifest is not the one that the manifest describes.
    #[error("{image} is not the image that {manifest} describes: {what}", image = image.display(), manifest = manifest.display())]
    NotTheImage {
        /// The image.
        image: PathBuf,
        /// The manifest.
        manifest: PathBuf,
        /// What differs.
        what: String,
    },
    /// The output cannot be written there.
    #[error("cannot write the golden image to {path}: {what}", path = path.display())]
    Output {
        /// Where it was wanted.
        path: PathBuf,
        /// What is in the way.
        what: String,
        /// The next step.
        next: String,
    },
    /// An output is what the image is made from.
    #[error(transparent)]
    Input(#[from] OutputIsInput),
    /// Bytes could not be read or written.
    #[error("could not {doing}")]
    Io {
        /// "read the base image", "write golden.img".
        doing: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

fn count_of(places: u64) -> String {
    if places == 1 { "1 place".to_owned() } else { format!("{places} places") }
}

fn more(count: usize) -> String {
    match count.saturating_sub(1) {
        0 => String::new(),
        1 => " (and one more obstacle)".to_owned(),
        others => format!(" (and {others} more obstacles)"),
    }
}

impl GoldenError {
    /// What the person can do next.
    pub fn help(&self) -> String {
        match self {
            GoldenError::Step { source: StepError::Refused { next, .. } | StepError::HostFile { next, .. }, .. } => {
                next.clone()
            }
            GoldenError::Obstacles { .. } => {
                "nothing was written; `cardsmith plan` shows every obstacle; change the recipe, or take another base image"
                    .to_owned()
            }
            GoldenError::Output { next, .. } => format!("{next}; nothing was written"),
            GoldenError::Input(error) => format!("{}; nothing was written", error.next_step()),
            // Two readings: a file that is meant to stay, or a scrub that missed something.
            GoldenError::TracesLeft { owner, .. } => format!(
                "if {owner} is a file that you keep, remove it from the base image or name it under `[strip] remove` in \
                 the recipe; if it is not a file, please report this as a bug of cardsmith"
            ),
            GoldenError::TooManyTraces { .. } | GoldenError::TooManyHits { .. } => {
                "nothing was written; empty logs, caches and spools on the machine before its card is read, or in a copy of the \
                 image, and begin again"
                    .to_owned()
            }
            GoldenError::Unbootable { .. } => {
                "nothing was written; `cardsmith plan` shows the edit that takes it away, and the link or recipe line that leads there"
                    .to_owned()
            }
            GoldenError::Check { .. } => {
                "nothing was written; please report this as a bug of cardsmith, with the output of `cardsmith inspect`".to_owned()
            }
            GoldenError::Apply(ApplyError::Edit { source: FsError::NoSpace { .. }, .. }) => {
                "nothing was written; the image's file system is full: make it larger (truncate, parted, resize2fs on a copy) \
                 or add less in the recipe"
                    .to_owned()
            }
            GoldenError::Layout { .. } | GoldenError::Partitions { .. } => {
                "cardsmith reads Raspberry Pi OS images: a FAT boot partition and an ext4 root; `cardsmith inspect` shows what \
                 this image has"
                    .to_owned()
            }
            GoldenError::NotTheImage { .. } => "make it again with `cardsmith golden`, and keep both files together".to_owned(),
            GoldenError::Signature(error) => error.help().to_owned(),
            GoldenError::NotAllowed { options, .. } => format!(
                "whoever made the image can read what goes onto its cards. If it is yours, add: {options} \
                 or sign the manifest (`cardsmith golden --sign KEY`) and say `--only-signed-by KEY.pub`"
            ),
            GoldenError::Manifest(ManifestError::Recipe { mistakes, .. }) => {
                mistakes.first().map(|mistake| mistake.help.clone()).unwrap_or_default()
            }
            GoldenError::Manifest(_) => "name a manifest that `cardsmith golden` wrote (FILE.manifest.json)".to_owned(),
            // True of whatever is left: every edit went to an overlay that is gone.
            _ => "nothing was written; the base image is untouched".to_owned(),
        }
    }
}
