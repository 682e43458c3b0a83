//! What rules of a recipe's own name.

use crate::audit::error::AuditError;
use crate::audit::finding::Severity;
use crate::audit::options::AuditOptions;
use crate::audit::place::Place;
use crate::audit::reader::AuditImage;
use crate::audit::rule::{Found, Look, Rule};

/// `strip-rule`
pub const OWN_RULES: Rule = Rule {
    id: crate::strip::OWN_RULE,
    severity: Severity::Warning,
    title: "what a rule of the recipe's own names",
    deep: false,
    look: Look::Code(own_rules),
    text: "\
Only with --recipe. Looks at the paths of the recipe's `[[strip.rule]]` sections.

Remedy: `cardsmith golden` with that recipe; where the rule only names, `fate = \"remove\"`.",
};

fn own_rules(image: &AuditImage, options: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    for (pattern, what) in &options.own_rules {
        let places: Vec<Place> = match pattern.strip_prefix("boot:") {
            Some(below) => {
                let filled = image.boot_like(below)?.into_iter().filter(|(_, size)| *size > 0);
                filled.map(|(path, _)| format!("boot:/{path}").into()).collect()
            }
            None => {
                let mut filled = Vec::new();
                for path in image.like(pattern)? {
                    if image.holds_something(&path)? {
                        filled.push(path.into());
                    }
                }
                filled
            }
        };
        for place in places {
            found(place, what.clone());
        }
    }
    Ok(())
}
