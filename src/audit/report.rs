//! What an audit found, for people and for programs.

use std::fmt::Write;

use serde_json::json;

use super::finding::{Finding, Severity};
use super::rules::rules;
use crate::printable::Printable;

/// The outcome of an audit.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many rules were checked.
    pub rules_checked: usize,
    /// What they found.
    pub findings: Vec<Finding>,
    /// What they found but was allowed.
    pub allowed: Vec<Finding>,
}

/// A rule that finds the same thing in more places than this is summed up for people; `--json` has all.
const MOST_SHOWN: usize = 5;

impl Report {
    /// Whether something makes the image dirty: any warning or error, with `strict` a note too.
    pub fn is_dirty(&self, strict: bool) -> bool {
        self.findings.iter().any(|finding| strict || finding.severity > Severity::Note)
    }

    /// A table for people, worst first within the order of the rules; ends with one line that sums up.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // Worst first: long reports are read from the top.
        for severity in [Severity::Error, Severity::Warning, Severity::Note] {
            for rule in rules().filter(|rule| rule.severity == severity) {
                let found: Vec<_> = self.findings.iter().filter(|finding| finding.rule == rule.id).collect();
                if found.is_empty() {
                    continue;
                }
                let word = word(severity);
                let _ = writeln!(out, "{word:<8} {:<24} {}", rule.id, rule.title);
                // Places and texts quote the image, which may have been made to fool a terminal.
                for finding in found.iter().take(MOST_SHOWN) {
                    let _ =
                        writeln!(out, "{:33} {}: {}", "", Printable::of(&finding.place), Printable::of(&finding.text));
                }
                if found.len() > MOST_SHOWN {
                    let _ = writeln!(out, "{:33} … and {} more (--json lists all)", "", found.len() - MOST_SHOWN);
                }
            }
        }
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let counted = |severity| {
            let count = count(severity);
            format!("{count} {}{}", word(severity), if count == 1 { "" } else { "s" })
        };
        let _ = write!(
            out,
            "{} rules checked: {}, {}, {}",
            self.rules_checked,
            counted(Severity::Error),
            counted(Severity::Warning),
            counted(Severity::Note)
        );
        match self.allowed.len() {
            0 => out.push('\n'),
            n => {
                let _ = writeln!(out, "; {n} allowed");
            }
        }
        out
    }

    /// One event per finding, then one that sums up: its name and its fields.
    pub fn events(&self, strict: bool) -> Vec<(&'static str, serde_json::Value)> {
        let line = |finding: &Finding, allowed: bool| {
            let fields = json!({ "rule": finding.rule, "severity": finding.severity, "place": finding.place,
                                 "text": finding.text, "allowed": allowed });
            ("finding", fields)
        };
        let found = self.findings.iter().map(|finding| line(finding, false));
        let allowed = self.allowed.iter().map(|finding| line(finding, true));
        let sum = json!({ "rules": self.rules_checked, "findings": self.findings.len(),
                          "allowed": self.allowed.len(), "dirty": self.is_dirty(strict) });
        found.chain(allowed).chain([("audit", sum)]).collect()
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}
