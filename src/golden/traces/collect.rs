//! Collects traces from what a plan is going to remove or replace.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::extract;
use super::set::{Scope, Traces};
use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Change, Class, Edit, Plan, Volume};
use crate::units::ByteRange;

/// So much of a file is looked at in one go.
const WINDOW: u64 = 8 << 20;

/// The next window begins so much before the end of the one before: what lies over the border is seen whole. Keys, ids and
/// codes are shorter.
const OVERLAP: u64 = 64 << 10;

/// How long a sample of a removed file is.
const SAMPLE: usize = 40;

/// Everything telling in what `plan` removes or replaces, read before anything is changed.
///
/// # Errors
/// Where the image cannot be read.
pub fn collect(root: &dyn Tree, boot: &dyn Tree, plan: &Plan) -> Result<Traces, FsError> {
    let mut traces = Traces::default();
    for edit in &plan.edits {
        let tree = match edit.volume {
            Volume::Root => root,
            Volume::Boot => boot,
        };
        match &edit.change {
            Change::Remove => removed_tree(&mut traces, tree, edit)?,
            Change::Write { content, .. } => match tree.stat(&edit.path)?.filter(|stat| stat.kind == FileKind::File) {
                // What loses all that it held is as good as removed. So is what is replaced and too large for a text.
                Some(stat) if content.size() == 0 || stat.size > WINDOW => {
                    removed_file(&mut traces, tree, &edit.path, edit.reason.class)?;
                }
                Some(_) => rewritten(&mut traces, tree, edit)?,
                None => {}
            },
            _ => {}
        }
    }
    Ok(traces)
}

/// A file that stays but loses a part: only what is in the lost lines may not be found again.
fn rewritten(traces: &mut Traces, tree: &dyn Tree, edit: &Edit) -> Result<(), FsError> {
    let Change::Write { content, .. } = &edit.change else { return Ok(()) };
    let old = tree.beginning(&edit.path, WINDOW)?;
    let new = content.held();
    // By lines, as bytes: what the new text keeps will be found, and may be.
    let kept: HashSet<&[u8]> = lines(new).collect();
    let lost: Vec<&[u8]> = lines(&old).filter(|line| !kept.contains(line)).collect();
    let origin = edit.path.to_string();
    extract::from_text(traces, &text_of(&lost.join(&b'\n')), &origin);
    machine_id(traces, &edit.path, &text_of(&old));
    // Wi-Fi passwords and their like have no form of their own: the whole line is what must not be found again, and what
    // stands behind its `=` or `:`.
    if matches!(edit.reason.class, Class::Secret | Class::Identity) {
        for line in lost.into_iter().map(<[u8]>::trim_ascii).filter(|line| !line.starts_with(b"#")) {
            let value = line.iter().position(|byte| b"=:".contains(byte)).and_then(|at| line.get(at + 1..));
            for text in [line, unquoted(value.unwrap_or_default().trim_ascii())] {
                let beginning = text.get(..text.len().min(SAMPLE)).unwrap_or_default();
                traces.add(beginning, "lost line", &origin, Scope::Residue);
            }
        }
    }
    Ok(())
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn unquoted(mut text: &[u8]) -> &[u8] {
    while let [b'"' | b'\'', rest @ ..] | [rest @ .., b'"' | b'\''] = text {
        text = rest;
    }
    text
}

/// As text, for what has a form of its own, which is ASCII: keys, ids, codes.
fn text_of(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(bytes).into_owned())
}

fn removed_tree(traces: &mut Traces, tree: &dyn Tree, edit: &Edit) -> Result<(), FsError> {
    let mut ahead = vec![edit.path.clone()];
    while let Some(path) = ahead.pop() {
        let Some(stat) = tree.stat(&path)? else { continue };
        let origin = path.to_string();
        // Names tell, too: the agent calls directories by the node's id.
        extract::instance_ids(traces, &origin, &origin);
        match stat.kind {
            FileKind::Directory => {
                for entry in tree.list(&path)? {
                    ahead.push(path.join(&entry.name)?);
                }
            }
            FileKind::File => removed_file(traces, tree, &path, edit.reason.class)?,
            // Locks of browsers and the like have the machine's name in where they lead.
            FileKind::Symlink if matches!(edit.reason.class, Class::Secret | Class::Identity) => {
                traces.add(&tree.read_link(&path)?, "target of a removed link", &origin, Scope::Residue);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Everything telling in one file that goes, from its beginning to its end.
fn removed_file(traces: &mut Traces, tree: &dyn Tree, path: &ImagePath, class: Class) -> Result<(), FsError> {
    let Some(stat) = tree.stat(path)? else { return Ok(()) };
    let origin = path.to_string();
    let mut window = Zeroizing::new(vec![0; usize::try_from(stat.size.min(WINDOW)).unwrap_or_default()]);
    // Small files have no holes that are worth a question.
    let data = if stat.size > WINDOW { tree.data(path)? } else { vec![ByteRange::new(0, stat.size)] };
    for data in data {
        let mut at = data.start.0;
        while at < data.end().0 {
            let length = usize::try_from(data.end().0 - at).unwrap_or(window.len()).min(window.len());
            let read = tree.read_part(path, at, window.get_mut(..length).unwrap_or_default())?;
            let content = window.get(..read).unwrap_or_default();
            // Swap files are zeros for the most part.
            if content.iter().any(|&byte| byte != 0) {
                let text = Zeroizing::new(String::from_utf8_lossy(content).into_owned());
                extract::from_text(traces, &text, &origin);
                if at == 0 {
                    machine_id(traces, path, &text);
                }
            }
            // The end of this run, also where a reader gave less than there should be.
            if (read as u64) < WINDOW {
                break;
            }
            at = at.saturating_add(WINDOW - OVERLAP);
        }
    }
    samples(traces, tree, path, stat.size, class)
}

/// As text (`/etc/machine-id`, host names of logs) and as the 16 bytes that journal files carry (`sd_id128_t`).
fn machine_id(traces: &mut Traces, path: &ImagePath, text: &str) {
    let id = text.trim();
    if path.name() != Some(b"machine-id") || id.len() != 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return;
    }
    let origin = path.to_string();
    traces.add(id.as_bytes(), "machine-id", &origin, Scope::Anywhere);
    let digit = |b: u8| char::from(b).to_digit(16).unwrap_or_default() as u8;
    let raw: Vec<u8> = id.as_bytes().chunks_exact(2).map(|p| p.iter().fold(0, |acc, &b| acc << 4 | digit(b))).collect();
    traces.add(&raw, "machine-id", &origin, Scope::Anywhere);
}

/// Samples from the beginning, the middle and the end. Only of files that are one machine's own: a downloaded package
/// also stands, byte for byte, where it was installed.
fn samples(traces: &mut Traces, tree: &dyn Tree, path: &ImagePath, size: u64, class: Class) -> Result<(), FsError> {
    // Configuration and code may stand elsewhere in the image by right.
    if !matches!(class, Class::Secret | Class::Identity | Class::Log) {
        return Ok(());
    }
    let origin = path.to_string();
    let last = size.saturating_sub(SAMPLE as u64);
    // From three places: free blocks are used again one by one, and one of them may survive.
    for at in [0, last / 2, last] {
        let mut sample = Zeroizing::new([0; SAMPLE]);
        let read = tree.read_part(path, at, &mut *sample)?;
        let sample = sample.get(..read).unwrap_or_default();
        // Twelve different bytes: padding and tables of zeros have fewer, and are met everywhere.
        let varied = sample.iter().collect::<std::collections::BTreeSet<_>>().len() >= 12;
        // A secret of a dozen bytes is short, and whole: it is searched for nevertheless.
        let is_short_secret = class == Class::Secret && size < SAMPLE as u64 / 2;
        if (sample.len() >= SAMPLE / 2 && varied) || is_short_secret {
            traces.add(sample, "sample of a removed file", &origin, Scope::Residue);
        }
    }
    Ok(())
}
