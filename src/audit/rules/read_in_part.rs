//! What the other rules did not read to its end.

use crate::audit::error::AuditError;
use crate::audit::finding::Severity;
use crate::audit::options::AuditOptions;
use crate::audit::reader::AuditImage;
use crate::audit::rule::{Found, Look, Rule};

/// `read-in-part`
pub const READ_IN_PART: Rule = Rule {
    id: "read-in-part",
    severity: Severity::Warning,
    title: "files that the rules did not read to their end",
    deep: false,
    look: Look::Code(read_in_part),
    text: "\
Rules read files of settings, histories and logs up to 8 MiB each, and sshd's Includes as deep as sshd follows them. What
is beyond was not looked at, and the other rules found nothing there for that reason alone.

Remedy: look at such files yourself, or remove them with `[strip] remove`; where they are meant to be so large, allow this
rule.",
};

/// Runs after all others: they note what they leave out.
fn read_in_part(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    image.unread().noted().into_iter().for_each(|(place, why)| found(place.into(), why));
    Ok(())
}
