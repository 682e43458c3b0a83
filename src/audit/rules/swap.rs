//! Swap files: at the usual places, where settings name them, and wherever else a large file begins as one.

use std::collections::BTreeSet;

use ext4_view::FileType;
use regex_lite::RegexBuilder;

use crate::audit::error::AuditError;
use crate::audit::finding::Severity;
use crate::audit::options::AuditOptions;
use crate::audit::reader::AuditImage;
use crate::audit::rule::{Found, Look, Rule};
use crate::strip::swap::{LOOKED_IN, MADE_BY, MARKS, MOST, NAMED_IN, PAGES, SMALLEST, USUAL};

/// `swap`
pub const SWAP: Rule = Rule {
    id: "swap",
    severity: Severity::Error,
    title: "swap files, which hold what was in the old machine's memory",
    deep: false,
    look: Look::Code(swap),
    text: "\
Looks for files that mkswap made, also those that a machine was hibernated into: where fstab, .swap units, dphys-swapfile,
rpi-swap and zram-generator name them, at usual places such as /var/swap, and among the large files of /, /var, /home,
/mnt, /opt and /srv. They hold what was in the old machine's memory: passwords, keys, tokens.

Remedy: `cardsmith golden` removes a swap file that is made again at boot, or that nothing uses. One that fstab or a unit
uses stays and is named: `[strip] remove` takes it out, `keep = [\"swap\"]` says that it is meant.",
};

fn swap(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let mut paths = BTreeSet::new();
    for place in USUAL {
        paths.extend(image.like(place)?);
    }
    let mut backing = BTreeSet::new();
    for (settings, backs) in [(NAMED_IN, false), (MADE_BY, true)] {
        for path in named(image, settings)? {
            if backs {
                backing.insert(path.clone());
            }
            paths.insert(path);
        }
    }
    for (directory, depth) in LOOKED_IN {
        if !large_files(image, directory, depth, &mut paths)? {
            found(directory.into(), format!("holds more than {MOST} names: not all were looked at for swap files"));
        }
    }
    let mut told = BTreeSet::new();
    for path in paths {
        let settled = image.settled(&path)?;
        let size = image.stat_bytes(&settled)?.filter(|stat| stat.kind == FileType::Regular).map(|stat| stat.size);
        let Some(size) = size.filter(|_| told.insert(settled.clone())) else { continue };
        // What zram wrote to has no mark, but whole pages.
        let is_backing = backing.contains(&path) && size >= SMALLEST && size.is_multiple_of(4096);
        if is_backing || has_mark(image, &settled)? {
            found(settled.into(), "a swap file, which may hold what was in the old machine's memory".to_owned());
        }
    }
    Ok(())
}

/// The files that settings name.
fn named(image: &AuditImage, settings: &[(&[&str], &str)]) -> Result<Vec<Vec<u8>>, AuditError> {
    let mut named = Vec::new();
    for (places, expression) in settings {
        let Ok(regex) = RegexBuilder::new(expression).case_insensitive(true).multi_line(true).build() else { continue };
        for place in *places {
            for path in image.like(place)? {
                // One character for each byte, and back: expressions are for text, and names are none.
                let text: String = image.bytes(&path)?.unwrap_or_default().into_iter().map(char::from).collect();
                let found = regex.captures_iter(&text).filter_map(|found| Some(found.get(1)?.as_str().to_owned()));
                let names = found.map(|name| name.chars().filter_map(|c| u8::try_from(c).ok()).collect::<Vec<u8>>());
                let names = names.map(|name| name.trim_ascii().to_vec());
                named.extend(names.filter(|name| !name.starts_with(b"/dev/")));
            }
        }
    }
    Ok(named)
}

/// Adds the files of a directory that are large enough and no crooked size: mkswap takes whole pages. `false` where there
/// was more than can be gone through.
fn large_files(
    image: &AuditImage,
    directory: &str,
    deepest: usize,
    paths: &mut BTreeSet<Vec<u8>>,
) -> Result<bool, AuditError> {
    let (mut ahead, mut seen) = (vec![(directory.trim_end_matches('/').as_bytes().to_vec(), 0)], 0);
    while let Some((at, depth)) = ahead.pop() {
        for (name, stat) in image.listing(&at)?.iter() {
            seen += 1;
            if seen > MOST {
                return Ok(false);
            }
            let path = [at.as_slice(), b"/", name].concat();
            match stat.kind {
                FileType::Directory if depth < deepest => ahead.push((path, depth + 1)),
                FileType::Regular if stat.size >= SMALLEST && stat.size.is_multiple_of(4096) => {
                    paths.insert(path);
                }
                _ => {}
            }
        }
    }
    Ok(true)
}

/// Whether a page of the file ends with a mark of mkswap or of hibernation.
fn has_mark(image: &AuditImage, path: &[u8]) -> Result<bool, AuditError> {
    let beginning = image.beginning(path, PAGES.into_iter().max().unwrap_or_default())?;
    Ok(PAGES.iter().any(|&page| {
        let end = usize::try_from(page).unwrap_or(usize::MAX);
        let mark = beginning.get(end.saturating_sub(10)..end);
        mark.is_some_and(|mark| MARKS.iter().any(|known| known.as_slice() == mark))
    }))
}
