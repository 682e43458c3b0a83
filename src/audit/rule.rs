//! What a rule is: written by hand, or made from a row of the strip table.

use super::error::AuditError;
use super::finding::Severity;
use super::options::AuditOptions;
use super::place::Place;
use super::reader::AuditImage;
use crate::strip;

/// Takes what a rule finds: the place (a path or region of the image) and one or two sentences.
pub type Found<'a> = &'a mut dyn FnMut(Place, String);

/// How a rule looks.
#[derive(Clone, Copy)]
pub enum Look {
    /// With code of its own: it sees more than a place.
    Code(fn(&AuditImage, &AuditOptions, Found<'_>) -> Result<(), AuditError>),
    /// At the places of a row of the table.
    Table(&'static strip::Rule),
}

/// One rule.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Stable: scripts and recipes name it.
    pub id: &'static str,
    /// How serious.
    pub severity: Severity,
    /// One line.
    pub title: &'static str,
    /// The page of a rule that is written by hand.
    pub text: &'static str,
    /// Only with `--deep`: it reads the whole image.
    pub deep: bool,
    /// Looks.
    pub look: Look,
}

impl Rule {
    /// The rule of a row, if the audit tells of it.
    pub fn of_table(row: &'static strip::Rule) -> Option<Rule> {
        let severity = row.severity?;
        Some(Rule { id: row.id, severity, title: row.what, text: "", deep: false, look: Look::Table(row) })
    }

    /// The page that `audit --explain` prints: what it looks for, why it matters, what to do.
    pub fn page(&self) -> String {
        match self.look {
            Look::Code(_) => self.text.to_owned(),
            Look::Table(row) => table_page(row),
        }
    }
}

fn table_page(row: &strip::Rule) -> String {
    let mut page = String::from("Looks for\n");
    for place in row.places {
        page.push_str(&format!("  {place}\n"));
    }
    match row.counts {
        strip::Counts::Text(_) => page.push_str("and counts a file only where such a thing stands in it.\n"),
        strip::Counts::HostName => page.push_str(
            "and counts a file only where the name in /etc/hostname stands in it, if that is a name of its own.\n",
        ),
        strip::Counts::There | strip::Counts::Filled => {}
    }
    page.push_str(&format!("\nRemedy: {}.\n", remedy(row)));
    if row.names.len() > 1 {
        page.push_str(&format!("In a recipe it has these names: {}.\n", row.names.join(", ")));
    }
    if !row.back.is_empty() {
        page.push_str(&format!("On a new card: {}.\n", row.back));
    }
    page.push_str(&format!("\nSource: {}.", row.source));
    page
}

/// What to do about what a row names, as a fragment.
pub fn remedy(row: &strip::Rule) -> String {
    let own = row.names.first().copied().unwrap_or_default();
    match row.fate {
        strip::Fate::Removed => "`cardsmith golden` removes it".to_owned(),
        strip::Fate::Cleared | strip::Fate::Emptied => "`cardsmith golden` empties it".to_owned(),
        strip::Fate::Part => "`cardsmith golden` takes it out".to_owned(),
        strip::Fate::Named | strip::Fate::Wanted => {
            format!("take it out of the base image, or say that it is meant: [strip] keep = [\"{own}\"]")
        }
        strip::Fate::Stays => {
            format!("[strip] also = [\"{own}\"] removes it, keep = [\"{own}\"] says that it is meant")
        }
    }
}
