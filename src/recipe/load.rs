//! Loading: from a file's bytes to a checked recipe, or to the mistakes in it.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, closest};
use super::schema::Recipe;
use super::{check, secrets};
use crate::image::Sha256Digest;

/// The largest recipe that is read, in bytes. The longest sensible one has a few KiB.
const LARGEST: u64 = 1 << 20;

/// A recipe that was checked, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedRecipe {
    /// What it says.
    pub recipe: Recipe,
    /// The file, as it was named.
    pub path: PathBuf,
    /// The directory that its paths count from.
    pub dir: PathBuf,
    /// Digest of the file's bytes.
    pub digest: Sha256Digest,
}

impl LoadedRecipe {
    /// A path of the recipe as this machine understands it: beside the recipe, unless it is absolute.
    pub fn beside(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.join(path)
    }
}

/// Why there is no recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("cannot read the recipe {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file is no text that a recipe could be.
    #[error("{} is not a recipe: {what}", path.display())]
    NotARecipe {
        /// Which file.
        path: PathBuf,
        /// "a directory", "more than 1 MiB", "not UTF-8 text".
        what: String,
    },
    /// The recipe has mistakes: at least one, in the order of the file.
    #[error("{}", mistakes.first().map(ToString::to_string).unwrap_or_default())]
    Mistakes {
        /// All that were found.
        mistakes: Vec<Mistake>,
    },
}

impl RecipeError {
    /// What a person can do about it.
    pub fn help(&self) -> String {
        match self {
            RecipeError::Read { .. } => {
                "`cardsmith recipe new > kiosk.toml` writes a commented recipe to begin with".into()
            }
            RecipeError::NotARecipe { .. } => "a recipe is a small TOML file; `cardsmith recipe new` prints one".into(),
            RecipeError::Mistakes { mistakes } => mistakes.first().map(|m| m.help.clone()).unwrap_or_default(),
        }
    }
}

/// Reads and checks the recipe at `path`.
///
/// # Errors
/// [`RecipeError`]; nothing else was touched.
pub fn load(path: &Path) -> Result<LoadedRecipe, RecipeError> {
    let not = |what: &str| RecipeError::NotARecipe { path: path.to_owned(), what: what.to_owned() };
    let cannot = |source| RecipeError::Read { path: path.to_owned(), source };
    let kind = std::fs::metadata(path).map_err(cannot)?.file_type();
    if kind.is_dir() {
        return Err(not("it is a directory"));
    }
    // A FIFO is fine (`recipe check <(…)`); a device could go on for ever, hence the limit below.
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > LARGEST {
        return Err(not("it has more than 1 MiB"));
    }
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => return Err(not(&format!("byte {} is not UTF-8 text", error.valid_up_to()))),
    };
    parse(text, path)
}

/// Checks a recipe's text; `path` is where it stands, for messages and for the paths in it.
///
/// # Errors
/// [`RecipeError::Mistakes`].
pub fn parse(text: &str, path: &Path) -> Result<LoadedRecipe, RecipeError> {
    let wrong = |mistakes| RecipeError::Mistakes { mistakes };
    let document = DeTable::parse(text).map_err(|error| wrong(vec![syntax(path, text, &error)]))?;
    // Secrets come first: no later message may show one.
    let mut mistakes = Vec::new();
    find_secrets(document.get_ref(), &mut |span, what, help| {
        mistakes.push(Mistake::at(path, text, span, what, help));
    });
    if !mistakes.is_empty() {
        return Err(wrong(mistakes));
    }
    let recipe: Recipe = toml::from_str(text).map_err(|error| wrong(vec![shape(path, text, &error)]))?;
    let dir = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let loaded = LoadedRecipe { recipe, path: path.to_owned(), dir, digest: Sha256Digest::of(text.as_bytes()) };
    let mistakes = check::check(&loaded, &Places { text, document: &document });
    if mistakes.is_empty() { Ok(loaded) } else { Err(wrong(mistakes)) }
}

/// Finds where in the text a value stands.
pub(super) struct Places<'a> {
    pub(super) text: &'a str,
    document: &'a Spanned<DeTable<'a>>,
}

impl Places<'_> {
    /// The span of the value at `keys` (`["file", "0", "path"]`); of the nearest table above it where it is not there.
    pub(super) fn of(&self, keys: &[&str]) -> Range<usize> {
        let mut table = Some(self.document.get_ref());
        let mut array: Option<&[Spanned<DeValue<'_>>]> = None;
        let mut span = 0..0;
        for key in keys {
            let found = match (table, array) {
                (Some(table), _) => table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value),
                (_, Some(array)) => key.parse::<usize>().ok().and_then(|index| array.get(index)),
                _ => None,
            };
            let Some(found) = found else { break };
            span = found.span();
            table = found.get_ref().as_table();
            array = found.get_ref().as_array().map(|array| array.as_ref());
        }
        span
    }
}

type Report<'a> = dyn FnMut(Range<usize>, String, &'static str) + 'a;

fn find_secrets(table: &DeTable<'_>, report: &mut Report<'_>) {
    const ELSEWHERE: &str = "a recipe is kept in git and copied into manifests. Activation codes belong in a file that is \
                             not in git (`[activation] from = \"file\"`, `--activations FILE`) or come from AWS \
                             (`from = \"aws\"`); AWS keys come from the SDK's usual places";
    for (key, value) in table {
        if secrets::is_secret_key(key.get_ref()) {
            report(
                key.span(),
                format!("`{}` looks like a secret, and a recipe must not hold one", key.get_ref()),
                ELSEWHERE,
            );
        } else {
            find_secret_values(value, report);
        }
    }
}

fn find_secret_values(value: &Spanned<DeValue<'_>>, report: &mut Report<'_>) {
    match value.get_ref() {
        DeValue::String(text) if secrets::is_secret_value(text) => report(
            value.span(),
            "this value is a private key or an AWS key, and a recipe must not hold one".into(),
            "keep it in a file that is not in git; the golden image should not hold it either, as every card would share it",
        ),
        DeValue::Array(items) => items.iter().for_each(|item| find_secret_values(item, report)),
        DeValue::Table(table) => find_secrets(table, report),
        _ => {}
    }
}

fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Mistake {
    let what = format!("not valid TOML: {}", first_line(error.message()));
    Mistake::at(path, text, error.span().unwrap_or(0..0), what, "see https://toml.io for how TOML is written")
}

/// What serde says, in the words of somebody who writes a recipe.
fn shape(path: &Path, text: &str, error: &toml::de::Error) -> Mistake {
    let message = first_line(error.message());
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (what, help) = match names.split_first() {
        Some((found, allowed)) if message.starts_with("unknown field") => {
            (format!("unknown key `{found}`"), choose(found, allowed))
        }
        Some((found, allowed)) if message.starts_with("unknown variant") => {
            (format!("`{found}` is not a value that is known here"), choose(found, allowed))
        }
        Some((missing, _)) if message.starts_with("missing field") => (
            format!("`{missing}` is missing"),
            "`cardsmith recipe new` prints a recipe with every key explained".to_owned(),
        ),
        _ => {
            let what = match message.split_once(", expected ") {
                Some((found, expected)) if found.starts_with("invalid type") => {
                    let found = found.trim_start_matches("invalid type: ").split(' ').next().unwrap_or("value");
                    format!("the value is of the wrong type ({found}): {expected} is needed")
                }
                _ => message.to_owned(),
            };
            (what, "`cardsmith recipe schema` says what each key takes".to_owned())
        }
    };
    Mistake::at(path, text, error.span().unwrap_or(0..0), what, help)
}

fn choose(found: &str, allowed: &[&str]) -> String {
    let list = allowed.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match closest(found, allowed) {
        Some(meant) => format!("did you mean `{meant}`? Allowed here: {list}"),
        None if list.is_empty() => "nothing is allowed here".to_owned(),
        None => format!("allowed here: {list}"),
    }
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}
