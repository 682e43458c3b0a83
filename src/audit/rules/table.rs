//! Looks for what a row of the strip table names, with the audit's own eyes.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use ext4_view::FileType;
use regex_lite::{Regex, RegexBuilder};

use crate::audit::error::AuditError;
use crate::audit::place::Place;
use crate::audit::reader::AuditImage;
use crate::audit::rule::{Found, remedy};
use crate::audit::telling_rows::Told;
use crate::strip::{Counts, Rule, USUAL_NAMES};

/// So much of a text is looked into. What is larger is said instead.
const TEXT_LIMIT: u64 = 1 << 20;

/// Tells of everything at the row's places that counts.
///
/// # Errors
/// Where the image cannot be read.
pub fn look(row: &'static Rule, image: &AuditImage, found: Found<'_>) -> Result<(), AuditError> {
    let told = match image.told_by_rows().get(row.id) {
        Some(told) => told,
        None => {
            let told: Told = find(row, image)?.into();
            image.told_by_rows().insert(row.id, told.clone());
            told
        }
    };
    told.iter().for_each(|(place, says)| found(place.clone(), says.clone()));
    Ok(())
}

fn find(row: &'static Rule, image: &AuditImage) -> Result<Vec<(Place, String)>, AuditError> {
    let (mut found, mut told) = (Vec::new(), HashSet::new());
    for place in row.places {
        match place.strip_prefix("boot:") {
            Some(pattern) => {
                for (path, size) in image.boot_like(pattern)? {
                    if told.insert(path.clone().into_bytes()) && counts_on_boot(row, image, &path, size)? {
                        found.push((format!("boot:/{path}").into(), remedy(row)));
                    }
                }
            }
            None => {
                for path in image.like(place)? {
                    if told.insert(path.clone())
                        && let Some(says) = says(row, image, &path)?
                    {
                        found.push((path.into(), says));
                    }
                }
            }
        }
    }
    Ok(found)
}

/// What there is to say of what stands at a path, if it counts.
///
/// # Errors
/// Where the image cannot be read.
fn says(row: &'static Rule, image: &AuditImage, path: &[u8]) -> Result<Option<String>, AuditError> {
    // The bytes are what a row means: a link counts for what it leads to.
    let counts = match row.counts {
        Counts::There => return Ok(image.stat_bytes(path)?.map(|_| remedy(row))),
        Counts::Filled => image.holds_something(path)?,
        Counts::Text(_) | Counts::HostName => return says_by_text(row, image, path),
    };
    Ok(counts.then(|| remedy(row)))
}

fn says_by_text(row: &'static Rule, image: &AuditImage, path: &[u8]) -> Result<Option<String>, AuditError> {
    let file = image.behind(path)?.filter(|(_, stat)| stat.kind == FileType::Regular);
    let Some((file, stat)) = file else { return Ok(None) };
    let counts = match row.counts {
        Counts::Text(_) | Counts::HostName if stat.size > TEXT_LIMIT => {
            return Ok(Some(format!("{} bytes, too many to look into; {}", stat.size, remedy(row))));
        }
        _ => {
            let text = image.text(&file)?.unwrap_or_default();
            text_counts(row, image, &text)?
        }
    };
    Ok(counts.then(|| remedy(row)))
}

fn counts_on_boot(row: &'static Rule, image: &AuditImage, path: &str, size: u64) -> Result<bool, AuditError> {
    Ok(match row.counts {
        Counts::There => true,
        Counts::Filled => size > 0,
        Counts::Text(_) | Counts::HostName if size > TEXT_LIMIT => true,
        Counts::Text(_) | Counts::HostName => {
            let text = image.boot_text(path)?.unwrap_or_default();
            text_counts(row, image, &text)?
        }
    })
}

fn text_counts(row: &'static Rule, image: &AuditImage, text: &str) -> Result<bool, AuditError> {
    Ok(match row.counts {
        Counts::Text(expressions) => matches_one(expressions, text),
        Counts::HostName => match host_name(image)? {
            Some(name) => text.lines().any(|line| holds_name(line, &name)),
            None => false,
        },
        Counts::There | Counts::Filled => true,
    })
}

/// Whether one of the expressions finds something; without regard to case, and `^` and `$` mean lines.
fn matches_one(expressions: &[&'static str], text: &str) -> bool {
    thread_local! {
        static READY: RefCell<HashMap<&'static str, Option<Regex>>> = RefCell::default();
    }
    READY.with_borrow_mut(|ready| {
        expressions.iter().any(|expression| {
            let make = || RegexBuilder::new(expression).case_insensitive(true).multi_line(true).build().ok();
            ready.entry(expression).or_insert_with(make).as_ref().is_some_and(|regex| regex.is_match(text))
        })
    })
}

/// The machine's name, unless it is one that systems come with.
fn host_name(image: &AuditImage) -> Result<Option<String>, AuditError> {
    let text = image.text("/etc/hostname")?.unwrap_or_default();
    let name = text.split_whitespace().next().unwrap_or_default().to_lowercase();
    Ok((!name.is_empty() && !name.starts_with('#') && !USUAL_NAMES.contains(&name.as_str())).then_some(name))
}

/// Whether a line that is no comment holds the name: not as a part of a longer word.
fn holds_name(line: &str, name: &str) -> bool {
    let is_comment = line.trim_start().starts_with(['#', ';']);
    let words = |line: &str| {
        let apart = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
        line.to_lowercase().split(apart).any(|word| word == name)
    };
    // A name with dots in it is no single word; then its first part is what tells.
    !is_comment && (words(line) || (name.contains('.') && line.to_lowercase().contains(name)))
}
