//! What the TOML reader says of a recipe, in the words of somebody who writes one.

use super::mistake::{Mistake, closest};
use super::positions::RecipeTexts;

/// A text that is no TOML; it begins at `start` of the texts.
pub(super) fn explain_syntax(texts: &RecipeTexts<'_>, start: usize, error: &toml::de::Error) -> Mistake {
    let what = format!("not valid TOML: {}", first_line(error.message()));
    let span = error.span().unwrap_or(0..0);
    let span = span.start.saturating_add(start)..span.end.saturating_add(start);
    texts.mistake(span, what, "see https://toml.io for how TOML is written")
}

/// What serde says, in the words of somebody who writes a recipe.
pub(super) fn explain_mismatch(texts: &RecipeTexts<'_>, error: &toml::de::Error) -> Mistake {
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
        Some((goes, _)) if message.contains("goes by itself") => {
            (message.to_owned(), format!("take `{goes}` out of `also`"))
        }
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
    texts.mistake(error.span().unwrap_or(0..0), what, help)
}

fn choose(found: &str, allowed: &[&str]) -> String {
    // Nobody reads a list of hundreds of names in a terminal.
    const MOST: usize = 30;
    let list = allowed.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match closest(found, allowed) {
        Some(meant) if allowed.len() > MOST => format!("did you mean `{meant}`? {}", names_in_schema(allowed)),
        None if allowed.len() > MOST => names_in_schema(allowed),
        Some(meant) => format!("did you mean `{meant}`? Allowed here: {list}"),
        None if list.is_empty() => "nothing is allowed here".to_owned(),
        None => format!("allowed here: {list}"),
    }
}

fn names_in_schema(allowed: &[&str]) -> String {
    format!(
        "docs/what-is-stripped.md and `cardsmith recipe schema` have the {} names that are allowed here",
        allowed.len()
    )
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}
