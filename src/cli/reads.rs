//! What commands read beside what they are given, and the refusal to write to any of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Error, Exit, Ui};
use crate::golden;
use crate::inputs::{Inputs, OutputIsInput};
use crate::recipe::LoadedRecipe;
use crate::{flash, source};

/// What the ledger is called among the inputs.
pub(super) const LEDGER: &str = "the ledger";
/// What the bench file is called among the inputs.
pub(super) const BENCH_FILE: &str = "the bench file";
/// What SQLite and a run keep beside the ledger.
const BESIDE_LEDGER: [&str; 4] = ["", "-wal", "-shm", "-journal"];
/// Files that the environment names, by the variable, and the place below the home directory where nothing is said.
const OF_ENVIRONMENT: [(&str, Option<&str>); 5] = [
    ("AWS_CONFIG_FILE", Some(".aws/config")),
    ("AWS_SHARED_CREDENTIALS_FILE", Some(".aws/credentials")),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", None),
    ("AWS_CA_BUNDLE", None),
    ("SSL_CERT_FILE", None),
];

impl Ui {
    /// What is read whatever the command line names: the ledger, the cache, the bench file, and what AWS is asked with.
    pub(super) fn reads(&self) -> Inputs {
        let mut inputs = Inputs::default();
        if let Ok(ledger) = self.ledger_path() {
            BESIDE_LEDGER.iter().for_each(|ending| inputs.add(&with_ending(&ledger, ending), LEDGER));
        }
        if let Ok(cache) = self.cache_dir() {
            source::cache_directories(&cache)
                .iter()
                .for_each(|dir| inputs.add_tree(dir, "the cache of decoded images"));
        }
        if let Some(bench) = flash::bench_file::default_path() {
            inputs.add(&bench, BENCH_FILE);
        }
        let home = std::env::var_os("HOME").map(PathBuf::from);
        for (variable, below_home) in OF_ENVIRONMENT {
            let named = std::env::var_os(variable).map(PathBuf::from);
            if let Some(path) = named.or_else(|| Some(home.as_ref()?.join(below_home?))) {
                inputs.add(&path, "what AWS or a server is asked with");
            }
        }
        inputs
    }

    /// The same, and what is read for a recipe.
    pub(super) fn reads_for(&self, recipe: &LoadedRecipe) -> Inputs {
        let mut inputs = self.reads();
        inputs.merge(golden::reads_for(recipe));
        inputs
    }

    /// Writes a small file that a command was asked for. `role` is the option that named it.
    pub(super) fn write_file(&self, path: &Path, role: &str, bytes: &[u8], inputs: &Inputs) -> Result<(), Error> {
        inputs.refuse_output(path, role)?;
        std::fs::write(path, bytes)
            .map_err(|error| Error::failed(format!("cannot write {}", path.display())).because(&error))
    }
}

/// Refuses a device where a small file is wanted, and every input. To be asked before the work.
pub(super) fn check_file(path: &Path, role: &str, inputs: &Inputs) -> Result<(), Error> {
    use std::os::unix::fs::FileTypeExt;
    inputs.refuse_output(path, role)?;
    // It would be written over from its beginning, where the partition table is.
    if std::fs::metadata(path).is_ok_and(|about| about.file_type().is_block_device()) {
        return Err(Error::usage(format!("{role} {} is a block device", path.display()))
            .state("nothing was written")
            .help("name a file"));
    }
    Ok(())
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

impl From<OutputIsInput> for Error {
    fn from(error: OutputIsInput) -> Error {
        Error::of(Exit::Usage, &error).state("nothing was written").help(error.next_step())
    }
}
