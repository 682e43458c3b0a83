//! docs/limits.md names every limit of the source, with the value that it has there.

use std::fs;
use std::path::{Path, PathBuf};

/// Constants of these names bound something.
const NAMES: [&str; 12] = [
    "LIMIT",
    "MOST",
    "LARGEST",
    "LONGEST",
    "DEEPEST",
    "HIGHEST",
    "MAX",
    "TRIES",
    "MEMORY",
    "WINDOW_LOG",
    "COARSEST",
    "WARNINGS",
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// `1 << 20`, `15 * 60`, `65_536`, `Duration::from_secs(3)`, `ByteSize(1 << 40)`.
fn number(expression: &str) -> Option<u64> {
    let inner = expression.split_once('(').map_or(expression, |(_, rest)| rest.trim_end_matches(')'));
    if let Some((value, by)) = inner.split_once("<<") {
        return number(value)?.checked_shl(u32::try_from(number(by)?).ok()?);
    }
    if inner.contains('*') {
        return inner.split('*').map(number).product();
    }
    inner.trim().replace('_', "").parse().ok()
}

/// How people write it: 20,000 and 64 MiB.
fn forms(value: u64) -> Vec<String> {
    let digits: Vec<char> = value.to_string().chars().rev().collect();
    let groups: Vec<String> = digits.chunks(3).map(|group| group.iter().rev().collect()).rev().collect();
    let mut forms = vec![groups.join(","), value.to_string()];
    for (shift, unit) in [(10, "KiB"), (20, "MiB"), (30, "GiB"), (40, "TiB")] {
        if value >= 1 << shift && value.is_multiple_of(1 << shift) {
            forms.push(format!("{} {unit}", value >> shift));
        }
    }
    forms
}

/// Whether a row names this limit, and not one whose name only begins so.
fn names_it(row: &str, limit: &str) -> bool {
    row.match_indices(limit)
        .any(|(at, _)| row[at + limit.len()..].chars().next().is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_'))
}

#[test]
fn every_limit_is_in_the_documentation_with_its_value() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_to_string(root.join("docs/limits.md")).unwrap();
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    files.sort();
    let (mut wrong, mut known) = (Vec::new(), 0);
    let mut there = Vec::new();
    for file in files {
        let place = file.strip_prefix(root).unwrap().display().to_string();
        let text = fs::read_to_string(&file).unwrap();
        for line in text.split("#[cfg(test)]\nmod ").next().unwrap().lines() {
            let Some((head, value)) = line.split_once(" = ") else { continue };
            let Some((_, named)) = head.split_once("const ") else { continue };
            let Some((name, kind)) = named.split_once(": ") else { continue };
            let bounds = NAMES.iter().any(|word| name.contains(word));
            if !bounds || kind.starts_with('[') || kind.starts_with('&') {
                continue;
            }
            there.push(format!("`{place}` {name}"));
            let Some(row) = docs.lines().find(|row| names_it(row, &format!("`{place}` {name}"))) else {
                wrong.push(format!("not there: `{place}` {name}: {}", line.trim()));
                continue;
            };
            known += 1;
            let value = value.split(';').next().unwrap_or_default();
            let said = number(value).is_none_or(|value| forms(value).iter().any(|form| row.contains(form.as_str())));
            if !said {
                wrong.push(format!("another value: `{place}` {name} is {value}: {row}"));
            }
        }
    }
    // What the documentation names and the source does not have.
    for row in docs.lines().filter(|row| row.starts_with('|')) {
        for part in row.split("`src/").skip(1) {
            let Some((path, rest)) = part.split_once("` ") else { continue };
            let name: String =
                rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_' || c.is_ascii_digit()).collect();
            let one = format!("`src/{path}` {name}");
            if !there.contains(&one) {
                wrong.push(format!("no longer in the source: {one}"));
            }
        }
    }
    assert!(wrong.is_empty() && known > 80, "{known} known\n{}", wrong.join("\n"));
}
