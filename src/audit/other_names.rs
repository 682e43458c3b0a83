//! Other names of files that rules told of. A hard link is the same file under a name that no rule knows.

use std::collections::{HashMap, HashSet};

use ext4_view::{FileType, Metadata};

use super::error::AuditError;
use super::finding::Severity;
use super::inode_tables;
use super::place::Place;
use super::reader::AuditImage;
use super::rule::Rule;

type Found = (Rule, Place, String);

/// What there is to tell of the other names of what was `found`. Every file of the image is looked at, where there is
/// something to look for.
///
/// # Errors
/// Damage.
pub fn of(image: &AuditImage, found: &[Found]) -> Result<Vec<Found>, AuditError> {
    if found.iter().all(|(rule, ..)| rule.severity == Severity::Note) {
        return Ok(Vec::new());
    }
    let several = several_names(image)?;
    // `ext4-view` tells no inode numbers. Names of one inode share its size, owner and all its times to the nanosecond;
    // where these are the same by chance, what the files begin with decides.
    let mut wanted: HashMap<Metadata, Vec<&Found>> = HashMap::new();
    for one in found.iter().filter(|(rule, ..)| rule.severity > Severity::Note) {
        let settled = image.settled(one.1.as_bytes())?;
        let metadata = image.metadata(&settled)?;
        if let Some(metadata) = metadata
            .filter(|metadata| metadata.file_type() == FileType::Regular && several.contains(&likeness(metadata)))
        {
            wanted.entry(metadata).or_default().push(one);
        }
    }
    let mut others = Vec::new();
    if wanted.is_empty() {
        return Ok(others);
    }
    let mut known: HashSet<Vec<u8>> = HashSet::new();
    for (_, place, _) in found {
        known.insert(place.as_bytes().to_vec());
        known.insert(image.settled(place.as_bytes())?);
    }
    image.each_file(&mut |path, metadata| {
        let told = if known.contains(path) { None } else { wanted.get(metadata) };
        for (rule, place, text) in told.into_iter().flatten() {
            if image.begin_alike(place.as_bytes(), path)? {
                others.push((*rule, Place::from(path), format!("the same file as {place}: {text}")));
            }
        }
        Ok(())
    })?;
    Ok(others)
}

/// What an inode table tells of a file, and so does a name: how long it is, and when it was last written to (the lower 32
/// bits of the seconds).
type Likeness = (u64, u32);

/// Files with something in them and more than one name. Mostly there are none like a file that a rule told of, and then
/// nothing has to be looked through.
fn several_names(image: &AuditImage) -> Result<HashSet<Likeness>, AuditError> {
    let mut several = HashSet::new();
    let tables = inode_tables::Layout::read(&image.root_window)?;
    tables.each_file(&mut |slot, _| {
        if inode_tables::names(slot) > 1 && inode_tables::size(slot) > 0 {
            // `i_mtime`.
            several.insert((inode_tables::size(slot), inode_tables::u32_at(slot, 0x10)));
        }
        Ok(())
    })?;
    Ok(several)
}

fn likeness(metadata: &Metadata) -> Likeness {
    // The lower half: the upper bits stand elsewhere in the inode.
    (metadata.len(), metadata.modified().seconds() as u32)
}

impl AuditImage {
    /// Whether two files of one size hold the same, as far as their beginnings tell: files may be of many gibibytes.
    fn begin_alike(&self, one: &[u8], other: &[u8]) -> Result<bool, AuditError> {
        const BEGINNING: u64 = 1 << 20;
        Ok(self.beginning(one, BEGINNING)? == self.beginning(other, BEGINNING)?)
    }
}
