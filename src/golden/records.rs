//! A plan as the manifest records it: plain words and numbers, and nothing of what is secret.

use serde::Serialize;

use super::manifest::{EditRecord, FindingRecord};
use crate::digest::Sha256Digest;
use crate::prepare::{Change, Content, Plan};
use crate::printable::Printable;
use crate::units::ByteSize;

/// The serialised name of a unit variant, as the manifest shows enums.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Every edit of a plan as the manifest records it.
pub fn edit_records(plan: &Plan) -> Vec<EditRecord> {
    plan.edits
        .iter()
        .map(|edit| {
            let mut record = EditRecord {
                volume: word(&edit.volume),
                path: edit.path.to_string(),
                change: String::new(),
                mode: None,
                size: None,
                sha256: None,
                target: None,
                step: edit.reason.step.to_owned(),
                class: word(&edit.reason.class),
                reason: edit.reason.text.to_string(),
                source: edit.reason.source.to_string(),
            };
            let (change, attributes) = match &edit.change {
                Change::Remove => ("remove", None),
                Change::Write { attributes, .. } => ("write", Some(attributes)),
                Change::Directory { attributes } => ("directory", Some(attributes)),
                Change::Symlink { .. } => ("symlink", None),
                Change::Attributes { attributes } => ("attributes", Some(attributes)),
            };
            record.change = change.to_owned();
            record.mode = attributes.map(|a| format!("{:04o}", a.mode));
            match &edit.change {
                // Of a secret neither size nor digest is told: a short one could be guessed by them.
                Change::Write { content: Content::Bytes(bytes), .. } => {
                    record.size = Some(ByteSize(bytes.len() as u64));
                    record.sha256 = Some(Sha256Digest::of(bytes));
                }
                Change::Write { content: Content::HostFile { size, sha256, .. }, .. } => {
                    record.size = Some(*size);
                    record.sha256 = Some(*sha256);
                }
                Change::Symlink { target } => record.target = Some(Printable::of(target).to_string()),
                _ => {}
            }
            record
        })
        .collect()
}

/// Every finding of a plan as the manifest records it.
pub fn finding_records(plan: &Plan) -> Vec<FindingRecord> {
    let record = |finding: &crate::prepare::Finding| FindingRecord {
        step: finding.step.to_owned(),
        rule: finding.rule.map(str::to_owned),
        severity: word(&finding.severity),
        text: finding.text.clone(),
        places: finding.places.clone(),
    };
    plan.findings.iter().map(record).collect()
}
