//! Loading: from a file's bytes to a checked recipe, or to the mistakes in it.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::loaded::{BaseRecipe, LoadedRecipe};
use super::mistake::Mistake;
use super::positions::{RecipeTexts, ValueSpans};
use super::schema::{Card, Recipe};
use super::{check, extends, literal_secrets, renamed, toml_errors};
use crate::digest::Sha256Digest;
use crate::read_limited::read_limited;

/// The largest recipe that is read, in bytes. The longest sensible one has a few KiB.
pub(super) const LARGEST: u64 = 1 << 20;

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

/// Reads and checks the recipe at `path`, and the one that it extends.
///
/// # Errors
/// [`RecipeError`]; nothing else was touched.
pub fn load(path: &Path) -> Result<LoadedRecipe, RecipeError> {
    parse(&read_text(path)?, path)
}

fn read_text(path: &Path) -> Result<String, RecipeError> {
    let not = |what: &str| RecipeError::NotARecipe { path: path.to_owned(), what: what.to_owned() };
    let cannot = |source| RecipeError::Read { path: path.to_owned(), source };
    let kind = std::fs::metadata(path).map_err(cannot)?.file_type();
    if kind.is_dir() {
        return Err(not("it is a directory"));
    }
    // A FIFO is fine (`recipe check <(…)`); a device could go on for ever, hence the limit below.
    let file = std::fs::File::open(path).map_err(cannot)?;
    let bytes = read_limited(file, LARGEST).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => not("it has more than 1 MiB"),
        _ => cannot(error),
    })?;
    String::from_utf8(bytes)
        .map_err(|error| not(&format!("byte {} is not UTF-8 text", error.utf8_error().valid_up_to())))
}

/// Checks a recipe's text; `path` is where it stands, for messages and for the paths in it.
///
/// # Errors
/// [`RecipeError::Mistakes`].
pub fn parse(text: &str, path: &Path) -> Result<LoadedRecipe, RecipeError> {
    understand(text, path, |loaded, _| loaded)
}

/// Reads and checks the recipe at `path`, and tells `each` about it while it is known where each value stands.
pub(super) fn load_with<T>(
    path: &Path,
    each: impl FnOnce(LoadedRecipe, &ValueSpans<'_, '_>) -> T,
) -> Result<T, RecipeError> {
    understand(&read_text(path)?, path, each)
}

fn understand<T>(
    text: &str,
    path: &Path,
    each: impl FnOnce(LoadedRecipe, &ValueSpans<'_, '_>) -> T,
) -> Result<T, RecipeError> {
    let wrong = |mistakes| RecipeError::Mistakes { mistakes };
    let mut texts = RecipeTexts::new(path, text);
    let mut own = DeTable::parse(text).map_err(|error| wrong(vec![toml_errors::explain_syntax(&texts, 0, &error)]))?;
    // Secrets come first: no later message may show one.
    no_literal_secret(own.get_ref(), &texts)?;
    let mut outdated = renamed::rename_old_keys(own.get_mut(), &texts).map_err(|mistake| wrong(vec![mistake]))?;

    let dir = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut base = None;
    if let Some(extends) = own.get_mut().remove("extends") {
        let (at, named) = base_path(&extends, &texts)?;
        let file = dir.join(&named);
        let base_text = read_text(&file).map_err(|error| wrong(vec![unreadable(&texts, at.clone(), &error)]))?;
        base = Some((at, BaseRecipe { path: named, digest: Sha256Digest::of(base_text.as_bytes()) }));
        texts = texts.with_base(file, base_text);
    }

    let mut prefix = PathBuf::new();
    let mut document = own;
    if let (Some((_, base)), Some((base_file, base_text))) = (&base, texts.base()) {
        let start = texts.base_start();
        let below = DeTable::parse(base_text)
            .map_err(|error| wrong(vec![toml_errors::explain_syntax(&texts, start, &error)]))?
            .into_inner();
        // Its spans move behind the own text: the merged table holds values of both files, and a mistake still finds
        // its line.
        let mut below = extends::moved(below, start);
        // Before the merge: a secret that the recipe overrides would stand in the base's file all the same.
        no_literal_secret(&below, &texts)?;
        outdated.extend(renamed::rename_old_keys(&mut below, &texts).map_err(|mistake| wrong(vec![mistake]))?);
        // One level only: whoever reads a recipe has two files to look at, and no chain.
        if let Some(further) = below.get("extends") {
            return Err(wrong(vec![second_level(path, base_file, further, &texts)]));
        }
        prefix = base.path.parent().unwrap_or(Path::new("")).to_owned();
        let mut mistakes = Vec::new();
        let mut outside = |span| mistakes.push(texts.mistake(span, check::OUTSIDE.0, check::OUTSIDE.1));
        // Paths that leave the base's directory are found here, because after the merge nothing tells whose directory
        // they left.
        extends::rebase(&mut below, &prefix, &mut outside);
        if !mistakes.is_empty() {
            return Err(wrong(mistakes));
        }
        let span = document.span();
        document = Spanned::new(span, extends::merged(below, document.into_inner()));
    }

    // A copy goes to serde: the checks below still ask the table where each value stands.
    let mut recipe = Recipe::deserialize(toml::Deserializer::from(document.clone()))
        .map_err(|error| wrong(vec![toml_errors::explain_mismatch(&texts, &error)]))?;
    // One thing under two names: whoever uses the recipe looks at [card] only.
    if let Some(hostname) = recipe.network.as_ref().and_then(|network| network.hostname.clone())
        && recipe.card.name == Card::default().name
    {
        recipe.card.name = hostname;
    }
    let base = base.map(|(_, base)| base);
    let digest = Sha256Digest::of(text.as_bytes());
    let loaded = LoadedRecipe { recipe, path: path.to_owned(), dir, digest, base, outdated };
    let spans = ValueSpans { texts: &texts, document: &document, prefix };
    let mistakes = check::check(&loaded, &spans, check::Place::File);
    if mistakes.is_empty() { Ok(each(loaded, &spans)) } else { Err(wrong(mistakes)) }
}

fn no_literal_secret(table: &DeTable<'_>, texts: &RecipeTexts<'_>) -> Result<(), RecipeError> {
    let mut mistakes = Vec::new();
    literal_secrets::report(table, &mut |span, what, help| mistakes.push(texts.mistake(span, what, help)));
    if mistakes.is_empty() { Ok(()) } else { Err(RecipeError::Mistakes { mistakes }) }
}

/// What `extends` names, and where it says so.
fn base_path(value: &Spanned<DeValue<'_>>, texts: &RecipeTexts<'_>) -> Result<(Range<usize>, PathBuf), RecipeError> {
    match value.get_ref().as_str() {
        Some(text) if !text.is_empty() && !text.contains('\0') => Ok((value.span(), PathBuf::from(text))),
        _ => {
            let help = "one path beside this recipe: `extends = \"base.toml\"`";
            let mistakes = vec![texts.mistake(value.span(), "`extends` names one other recipe", help)];
            Err(RecipeError::Mistakes { mistakes })
        }
    }
}

fn unreadable(texts: &RecipeTexts<'_>, at: Range<usize>, error: &RecipeError) -> Mistake {
    let what = format!("the recipe that this one extends cannot be used: {}", crate::causes::in_one_line(error));
    texts.mistake(at, what, "`extends` names a recipe by its path from this file's directory")
}

fn second_level(own: &Path, base: &Path, further: &Spanned<DeValue<'_>>, texts: &RecipeTexts<'_>) -> Mistake {
    let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    };
    let next = further.get_ref().as_str().map(|next| base.parent().unwrap_or(Path::new("")).join(next));
    if same(own, base) || next.is_some_and(|next| same(&next, own) || same(&next, base)) {
        return texts.mistake(further.span(), "`extends` goes round in a circle", "take one of the `extends` out");
    }
    texts.mistake(
        further.span(),
        format!("{} extends another recipe itself, and there is one level only", base.display()),
        "put what is shared into one base recipe",
    )
}
