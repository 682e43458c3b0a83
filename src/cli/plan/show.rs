//! A plan as a person reads it: step by step, each edit with its reason, replaced text as a diff. Secrets are named and
//! never shown.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use crate::golden::edit_records;
use crate::prepare::{Change, Class, Content, Edit, Plan, Severity};
use crate::printable::Printable;

/// A diff of very long or very different texts stops looking for the shortest form after this time.
const DIFF_TIME: Duration = Duration::from_secs(1);
/// Lines of one edit that are shown; a recipe may add long files.
const MOST_LINES: usize = 60;

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();
const STRONG: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// The whole plan. `contents`: new text files are shown too.
pub(crate) fn plan(plan: &Plan, contents: bool) -> String {
    let mut out = String::new();
    // With an obstacle nothing else matters, and a plan may be long.
    show_findings(&mut out, plan, Severity::Blocker, "cannot be done on this image", REMOVED);
    let mut step = "";
    for edit in &plan.edits {
        // Steps propose one after another, so this is one heading for each.
        if edit.reason.step != step {
            step = edit.reason.step;
            let count = plan.edits.iter().filter(|other| other.reason.step == step).count();
            let _ = writeln!(out, "\n{STRONG}{step}{STRONG:#} {DIM}({})  {DIM:#}", edits(count));
        }
        show_edit(&mut out, edit, contents);
    }
    show_findings(&mut out, plan, Severity::Warning, "look at", CHANGED);
    show_findings(&mut out, plan, Severity::Note, "notes", DIM);
    let _ = writeln!(out, "\n{}", summary(plan));
    out.trim_start_matches('\n').to_owned()
}

fn show_findings(out: &mut String, plan: &Plan, severity: Severity, title: &str, style: Style) {
    let found: Vec<_> = plan.findings.iter().filter(|finding| finding.severity == severity).collect();
    if !found.is_empty() {
        let _ = writeln!(out, "\n{style}{title}{style:#}");
    }
    for finding in found {
        // Of one rule, its name says more than the step.
        let by = finding.rule.unwrap_or(finding.step);
        let _ = writeln!(out, "  {style}{by}{style:#} {}", Printable::of(&finding.text));
    }
}

/// One line: how many edits, of which sort.
pub(crate) fn summary(plan: &Plan) -> String {
    if plan.edits.is_empty() {
        return "nothing to change".to_owned();
    }
    let classes = [
        (Class::Secret, "secret"),
        (Class::Identity, "identity"),
        (Class::Log, "log"),
        (Class::Transient, "transient"),
        (Class::Code, "code"),
        (Class::Privilege, "privilege"),
        (Class::Configuration, "configuration"),
    ];
    let count = |class| plan.edits.iter().filter(|edit| edit.reason.class == class).count();
    let parts: Vec<String> = classes
        .iter()
        .map(|(class, name)| (count(*class), name))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    format!("{}: {}", edits(plan.edits.len()), parts.join(", "))
}

fn edits(count: usize) -> String {
    if count == 1 { "1 edit".to_owned() } else { format!("{count} edits") }
}

/// The plan's edits for programs: the manifest's records, with a diff where text is replaced.
pub(crate) fn records(plan: &Plan) -> Vec<Value> {
    let records = edit_records(plan).into_iter().zip(&plan.edits);
    records
        .map(|(record, edit)| {
            let mut value = serde_json::to_value(record).unwrap_or_default();
            if let (Some(lines), Value::Object(fields)) = (diff(edit), &mut value) {
                let text: String = lines.iter().map(|(tag, line)| format!("{tag}{line}\n")).collect();
                // Programs get the same diff as people, and no more of a secret than they.
                fields.insert("diff".into(), json!(text));
            }
            value
        })
        .collect()
}

fn show_edit(out: &mut String, edit: &Edit, contents: bool) {
    let place = edit.volume.place(&edit.path);
    let (mark, style, detail) = match &edit.change {
        Change::Remove => ("-", REMOVED, String::new()),
        Change::Write { content, attributes } => {
            let what = match content {
                // Not even its size: plans are pasted into reviews.
                Content::Secret(_) => "secret".to_owned(),
                Content::Bytes(bytes) => format!("{} bytes", bytes.len()),
                Content::HostFile { path, size, .. } => format!("{size} from {}", Printable::path(path)),
            };
            let (mark, style) = if edit.before.is_some() { ("~", CHANGED) } else { ("+", ADDED) };
            (mark, style, format!(" ({:04o}{}, {what})", attributes.mode, owner(attributes.uid, attributes.gid)))
        }
        Change::Directory { attributes } => {
            ("+", ADDED, format!("/ ({:04o}{})", attributes.mode, owner(attributes.uid, attributes.gid)))
        }
        Change::Symlink { target } => ("+", ADDED, format!(" -> {}", Printable::of(target))),
        Change::Attributes { attributes } => {
            ("~", CHANGED, format!(" becomes {:04o}{}", attributes.mode, owner(attributes.uid, attributes.gid)))
        }
    };
    let _ = writeln!(out, "  {style}{mark} {place}{style:#}{detail}");
    let _ = writeln!(out, "      {DIM}{}{DIM:#}", Printable::of(&*edit.reason.text));
    let mut lines = diff(edit).unwrap_or_default();
    // A diff says more than the whole text, which is for new files.
    if lines.is_empty() && contents {
        lines = added(edit);
    }
    for (tag, line) in lines.iter().take(MOST_LINES) {
        let style = match tag {
            '+' => ADDED,
            '-' => REMOVED,
            _ => DIM,
        };
        let _ = writeln!(out, "      {style}{tag} {}{style:#}", clean(line));
    }
    if lines.len() > MOST_LINES {
        let _ = writeln!(out, "      {DIM}… {} more lines{DIM:#}", lines.len() - MOST_LINES);
    }
}

fn owner(uid: u32, gid: u32) -> String {
    if (uid, gid) == (0, 0) { String::new() } else { format!(" {uid}:{gid}") }
}

/// Changed lines with two lines around them; `None` where nothing is replaced or it is no text.
fn diff(edit: &Edit) -> Option<Vec<(char, String)>> {
    let Change::Write { content: Content::Bytes(after), .. } = &edit.change else { return None };
    // What is not text has no lines to compare.
    let before = std::str::from_utf8(edit.before.as_deref()?).ok()?;
    let after = std::str::from_utf8(after).ok()?;
    let diff = TextDiff::configure().timeout(DIFF_TIME).diff_lines(before, after);
    let mut lines = Vec::new();
    // Two lines around each change are enough to find the place.
    for (number, group) in diff.grouped_ops(2).iter().enumerate() {
        if number > 0 {
            lines.push((' ', "…".to_owned()));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let tag = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            lines.push((tag, change.value().trim_end_matches(['\n', '\r']).to_owned()));
        }
    }
    Some(lines)
}

/// A new text file's lines.
fn added(edit: &Edit) -> Vec<(char, String)> {
    let Change::Write { content: Content::Bytes(bytes), .. } = &edit.change else { return Vec::new() };
    match std::str::from_utf8(bytes) {
        Ok(text) => text.lines().map(|line| ('+', line.to_owned())).collect(),
        Err(_) => Vec::new(),
    }
}

/// A line of a file that the image has, or will have.
fn clean(text: &str) -> String {
    // Configuration is indented with tabs: they are no threat, and as numbers they would be a nuisance.
    Printable::of(&text.replace('\t', " ")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{Attributes, ImagePath};
    use crate::prepare::Reason;
    use crate::prepare::Volume;
    use zeroize::Zeroizing;

    fn edit(path: &str, change: Change, before: Option<&str>) -> Edit {
        Edit {
            volume: Volume::Root,
            path: ImagePath::new(path).unwrap(),
            change,
            reason: Reason { step: "sudoers", class: Class::Privilege, text: "nobody may".into(), source: "".into() },
            before: before.map(|text| text.as_bytes().to_vec()),
        }
    }

    fn write(content: Content) -> Change {
        Change::Write { content, attributes: Attributes::root(0o440) }
    }

    #[test]
    fn replaced_text_is_a_diff_and_a_secret_is_only_named() {
        let edits = vec![
            edit("/etc/a", write(Content::Bytes(b"keep\nnew\x1b[2J\n".to_vec())), Some("keep\nold\n")),
            edit("/etc/b", write(Content::Secret(Zeroizing::new(b"hush".to_vec()))), None),
            edit("/etc/c", Change::Remove, None),
        ];
        let made = Plan { edits, findings: Vec::new() };
        let text = anstream::adapter::strip_str(&plan(&made, true)).to_string();
        assert!(text.contains("- old\n") && text.contains("+ new\\u{1b}[2J\n") && text.contains("  keep\n"), "{text}");
        assert!(text.contains("+ /etc/b (0440, secret)") && !text.contains("hush"), "{text}");
        assert!(text.ends_with("3 edits: 3 privilege\n"), "{text}");
        let json = serde_json::to_string(&records(&made)).unwrap();
        assert!(json.contains("-old") && !json.contains("hush"), "{json}");
    }
}
