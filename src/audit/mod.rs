//! Rules that read any image, golden or card, and report findings. It shares no code with the writing side
//! ([`crate::prepare`], [`crate::fs`]): it reads ext4 with `ext4-view`, so that one mistake is not made twice.
//! It never writes.

mod accounts;
mod boot;
mod boot_chains;
mod error;
mod eyes;
mod files;
mod finding;
mod homes;
mod inode_tables;
mod listings;
mod live_ranges;
mod looked_through;
mod options;
mod other_names;
mod path_stat;
mod place;
mod places;
mod reader;
mod report;
mod rule;
mod rules;
mod sarif;
mod secret_forms;
mod telling_rows;
mod told;
mod tree;
mod unread;

pub use error::AuditError;
pub use finding::{Finding, Severity};
pub use options::{AuditOptions, Kind};
pub use path_stat::PathStat;
pub use place::Place;
pub use reader::AuditImage;
pub use report::Report;
pub use rule::Rule;
pub use rules::{find_rule, rules, rules_named};
pub use sarif::sarif;

use std::sync::Arc;

use self::told::Told;

use crate::image::ReadAt;

/// Reads `image` by all rules. Where its journal must be replayed before anybody can read it, `readable` is a copy in
/// which that was done; otherwise it is the image itself.
///
/// # Errors
/// [`AuditError`] where there is no root file system to read. What is wrong inside it is a finding, not an error.
pub fn audit(image: &Arc<dyn ReadAt>, readable: Arc<dyn ReadAt>, options: &AuditOptions) -> Result<Report, AuditError> {
    let image = AuditImage::open(image, readable)?;
    let mut found = Vec::new();
    let mut told = Told::default();
    let mut rules_checked = 0;
    for rule in rules().filter(|rule| options.deep || !rule.deep) {
        rules::look(&rule, &image, options, &mut |place: Place, text: String| {
            if told.is_news(&rule, &place) {
                found.push((rule, place, text));
            }
        })?;
        rules_checked += 1;
    }
    // A file has the same bytes by whatever name.
    found.extend(other_names::of(&image, &found)?);
    let mut report = Report { rules_checked, ..Report::default() };
    for (rule, place, text) in found {
        let finding = Finding { rule: rule.id, severity: rule.severity, place: place.to_string(), text };
        // Kept apart and still shown: what a recipe lets pass must not become invisible.
        match options.allow.iter().any(|id| id == rule.id) {
            true => report.allowed.push(finding),
            false => report.findings.push(finding),
        }
    }
    Ok(report)
}
