//! SARIF 2.1.0 for CI annotations (OASIS standard; what code hosts read).

use serde_json::{Value, json};

use super::finding::Severity;
use super::report::Report;
use super::rules::rules;
use crate::percent::encoded_path;

/// The report as a SARIF log about `image`, a path relative to the repository where CI runs.
pub fn sarif(report: &Report, image: &str) -> Value {
    let level = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let known: Vec<Value> = rules()
        .map(|rule| {
            let page = rule.page();
            json!({
                "id": rule.id,
                "shortDescription": { "text": rule.title },
                "fullDescription": { "text": page },
                "help": { "text": page },
                "defaultConfiguration": { "level": level(rule.severity) },
            })
        })
        .collect();
    let index = |id: &str| rules().position(|rule| rule.id == id);
    let results: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| (finding, false))
        // Allowed findings are sent, too: a code host would take their absence for a repair.
        .chain(report.allowed.iter().map(|finding| (finding, true)))
        .map(|(finding, allowed)| {
            let mut result = json!({
                "ruleId": finding.rule,
                "ruleIndex": index(finding.rule),
                "level": level(finding.severity),
                "message": { "text": format!("{}: {}", finding.place, finding.text) },
                // Encoded, because a blank in a name would make the log invalid.
                "locations": [{
                    "physicalLocation": { "artifactLocation": { "uri": encoded_path(image) } },
                    "logicalLocations": [{ "fullyQualifiedName": finding.place, "kind": "member" }],
                }],
            });
            if allowed {
                result["suppressions"] =
                    json!([{ "kind": "external", "justification": "allowed by --allow or the recipe" }]);
            }
            result
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "cardsmith", "version": env!("CARGO_PKG_VERSION"), "rules": known } },
            "results": results,
            "columnKind": "unicodeCodePoints",
        }],
    })
}
