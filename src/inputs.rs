//! What a command reads, so that none of it is ever written to: an input is never an output, by whatever name.
//!
//! An input is known by device and inode, not by its path: hard links, symbolic links, bind mounts and `/dev/fd/3` are
//! the same file. A loop device is the same as what it is attached to. And to write to a disk is to write to every file
//! on it, so that an output may neither hold an input nor lie on one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::storage::{Below, Host, Place, StorageMap};

/// What a command reads.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    inputs: Vec<Input>,
    /// Files that are not there yet: an output of that name would become one.
    absent: Vec<Absent>,
    /// Directories of which everything is an input.
    trees: Vec<Input>,
}

/// One thing that is read.
#[derive(Debug, Clone)]
struct Input {
    path: PathBuf,
    what: &'static str,
    place: Place,
}

/// One thing that would be read, if it were there.
#[derive(Debug, Clone)]
struct Absent {
    path: PathBuf,
    what: &'static str,
    /// The real directory, and the name in it.
    real: PathBuf,
}

/// How an output and an input are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// They are the same file or device, or hold the same bytes.
    Same,
    /// The input lies on what would be written to.
    InputOnOutput,
    /// The output would lie on the input.
    OutputOnInput,
    /// The output would lie in a directory of which everything is an input.
    InDirectory,
}

/// An output that would change an input. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{role} {} {}", output.display(), self.because())]
pub struct OutputIsInput {
    /// What would be written.
    pub output: PathBuf,
    /// What it is for the command: `--out`, "the block map".
    pub role: String,
    /// What is read.
    pub input: PathBuf,
    /// What that is for the command: "the base image".
    pub what: &'static str,
    /// How they are one.
    pub overlap: Overlap,
}

impl OutputIsInput {
    fn because(&self) -> String {
        let (what, input) = (self.what, self.input.display());
        match self.overlap {
            Overlap::Same => format!("is an input of this run: it is {what} ({input})"),
            Overlap::InputOnOutput => format!("holds an input of this run: {what} ({input}) lies on it"),
            Overlap::OutputOnInput => format!("would change an input of this run: it lies on {what} ({input})"),
            Overlap::InDirectory => format!("belongs to an input of this run: it lies in {what} ({input})"),
        }
    }

    /// What a person can do about it.
    pub fn next_step(&self) -> &'static str {
        match self.overlap {
            Overlap::Same => "choose another name",
            _ => "choose another place",
        }
    }
}

impl Inputs {
    /// Remembers a file or device that is read.
    pub fn add(&mut self, path: &Path, what: &'static str) {
        match (Place::of(path), real_name(path)) {
            (Ok(place), _) => self.inputs.push(Input { path: path.to_owned(), what, place }),
            (Err(_), Some(real)) => self.absent.push(Absent { path: path.to_owned(), what, real }),
            // Without its directory nothing can be written there either.
            (Err(_), None) => {}
        }
    }

    /// Remembers files that are read.
    pub fn add_all(&mut self, files: impl IntoIterator<Item = (PathBuf, &'static str)>) {
        files.into_iter().for_each(|(path, what)| self.add(&path, what));
    }

    /// Remembers what other parts of the command read, too.
    pub fn merge(&mut self, other: Inputs) {
        self.inputs.extend(other.inputs);
        self.absent.extend(other.absent);
        self.trees.extend(other.trees);
    }

    /// Remembers a directory of which everything is an input, also what comes into it later.
    pub fn add_tree(&mut self, directory: &Path, what: &'static str) {
        if let Ok(place) = Place::of(directory) {
            self.trees.push(Input { path: directory.to_owned(), what, place });
        }
    }

    /// All but those of one kind: what is read and written by one command.
    #[must_use]
    pub fn without(&self, what: &str) -> Inputs {
        let mut others = self.clone();
        others.inputs.retain(|input| input.what != what);
        others.absent.retain(|input| input.what != what);
        others
    }

    /// Whether `output` may be written. `role` is what it is for the command.
    ///
    /// # Errors
    /// [`OutputIsInput`].
    pub fn refuse_output(&self, output: &Path, role: &str) -> Result<(), OutputIsInput> {
        self.refuse_outputs([(output, role)])
    }

    /// Whether all of these may be written, each with what it is for the command.
    ///
    /// # Errors
    /// [`OutputIsInput`] for the first one that may not.
    pub fn refuse_outputs<'o>(
        &self,
        outputs: impl IntoIterator<Item = (&'o Path, &'o str)>,
    ) -> Result<(), OutputIsInput> {
        let host = Host::this();
        // Where there is neither sysfs nor a list of mounts there are no loop devices to see through.
        let map = StorageMap::read(&host).ok();
        // Most inputs lie side by side: what they lie on is looked up once.
        let mut known = BTreeMap::new();
        let mut ground = |input: &Input| match input.place {
            Place::File { device, .. } => {
                let on =
                    known.entry(device).or_insert_with(|| Ground::of(input.place, &input.path, map.as_ref()).below);
                Ground { same: BTreeSet::from([input.place]), below: on.clone() }
            }
            Place::Device(_) => Ground::of(input.place, &input.path, map.as_ref()),
        };
        let inputs: Vec<(&Input, Ground)> = self.inputs.iter().map(|input| (input, ground(input))).collect();
        for (output, role) in outputs {
            let ground = Ground::of_output(output, map.as_ref());
            let refuse = |input: &Path, what, overlap| {
                let (output, input) = (output.to_owned(), input.to_owned());
                Err(OutputIsInput { output, role: role.to_owned(), input, what, overlap })
            };
            for (input, below) in &inputs {
                if let Some(overlap) = ground.overlap(below) {
                    return refuse(&input.path, input.what, overlap);
                }
            }
            let real = real_name(output);
            if let Some(absent) = self.absent.iter().find(|absent| Some(&absent.real) == real.as_ref()) {
                return refuse(&absent.path, absent.what, Overlap::Same);
            }
            let within = directories(output);
            if let Some(tree) = self.trees.iter().find(|tree| within.contains(&tree.place)) {
                return refuse(&tree.path, tree.what, Overlap::InDirectory);
            }
        }
        Ok(())
    }
}

/// What something is, and what it lies on.
#[derive(Default)]
struct Ground {
    same: BTreeSet<Place>,
    below: BTreeSet<Place>,
}

impl Ground {
    fn of(place: Place, path: &Path, map: Option<&StorageMap<'_>>) -> Ground {
        let Some(map) = map else { return Ground { same: BTreeSet::from([place]), below: BTreeSet::new() } };
        let mut below = Below::default();
        map.below_place(place, path, &mut below);
        Ground { same: map.same_bytes(place), below: below.places }
    }

    /// Of what may not be there yet: then it is only known on what it will lie.
    fn of_output(output: &Path, map: Option<&StorageMap<'_>>) -> Ground {
        if let Ok(place) = Place::of(output) {
            return Ground::of(place, output, map);
        }
        let directory = directory_of(output);
        match Place::of(directory) {
            Ok(place) => Ground { same: BTreeSet::new(), ..Ground::of(place, directory, map) },
            Err(_) => Ground::default(),
        }
    }

    fn overlap(&self, input: &Ground) -> Option<Overlap> {
        let meet = |one: &BTreeSet<Place>, other: &BTreeSet<Place>| !one.is_disjoint(other);
        if meet(&self.same, &input.same) {
            Some(Overlap::Same)
        } else if meet(&self.same, &input.below) {
            Some(Overlap::InputOnOutput)
        } else if meet(&self.below, &input.same) {
            Some(Overlap::OutputOnInput)
        } else {
            None
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The real directory and the name in it, also of a file that is not there.
fn real_name(path: &Path) -> Option<PathBuf> {
    Some(std::fs::canonicalize(directory_of(path)).ok()?.join(path.file_name()?))
}

/// The directories that a path leads through in the end, by what they are and not by how they are spelt.
fn directories(path: &Path) -> BTreeSet<Place> {
    // What is there may be a link to somewhere else; what is not there will be where its directory is.
    let real = std::fs::canonicalize(path).or_else(|_| std::fs::canonicalize(directory_of(path)));
    real.iter().flat_map(|real| real.ancestors()).filter_map(|at| Place::of(at).ok()).collect()
}
