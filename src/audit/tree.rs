//! What is where in the root file system, by paths that need not be text.

use std::rc::Rc;

use ext4_view::{Metadata, Path};

use super::error::{AuditError, absent, shown};
use super::listings::Listing;
use super::path_stat::PathStat;
use super::reader::AuditImage;

impl AuditImage {
    /// What is in a directory; nothing where there is none. Links in its path are followed.
    ///
    /// # Errors
    /// Damage.
    pub fn listing(&self, directory: &[u8]) -> Result<Listing, AuditError> {
        let directory = directory.strip_suffix(b"/").unwrap_or(directory);
        if let Some(listing) = self.listings().get(directory) {
            return Ok(listing);
        }
        // What the directory above does not name is not there, and need not be looked for.
        let is_there = match split(directory) {
            Some((above, name)) => find(&self.listing(above)?, name).is_some(),
            None => true,
        };
        let listing = if is_there { self.read_listing(directory)? } else { Rc::from(Vec::new()) };
        self.listings().insert(directory, &listing);
        Ok(listing)
    }

    /// What is at a path; the last component is not followed.
    ///
    /// # Errors
    /// Damage.
    pub fn stat_bytes(&self, path: &[u8]) -> Result<Option<PathStat>, AuditError> {
        match split(path) {
            Some((above, name)) => Ok(find(&self.listing(above)?, name)),
            None => Ok(None),
        }
    }

    fn read_listing(&self, directory: &[u8]) -> Result<Listing, AuditError> {
        let mut listing = Vec::new();
        for (path, metadata) in self.entries(directory)? {
            if let Some((_, name)) = split(&path) {
                listing.push((name.to_vec(), PathStat::from(&metadata)));
            }
        }
        listing.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Rc::from(listing))
    }

    /// What is in a directory, each by its path, with all that the file system says of it; in no order.
    ///
    /// # Errors
    /// Damage.
    pub(super) fn entries(&self, directory: &[u8]) -> Result<Vec<(Vec<u8>, Metadata)>, AuditError> {
        let path = if directory.is_empty() { b"/" } else { directory };
        let damage = |source| AuditError::Root { place: shown(path), source };
        let Ok(at) = Path::try_from(path) else { return Ok(Vec::new()) };
        let read = match self.root().read_dir(at) {
            Ok(read) => read,
            // Something else stands there, or links lead nowhere.
            Err(error) => return absent::<()>(error, path).map(|_| Vec::new()),
        };
        let mut entries = Vec::new();
        for entry in read {
            let entry = entry.map_err(damage)?;
            let name = entry.file_name();
            let name: &[u8] = name.as_ref();
            if name != b"." && name != b".." {
                entries.push(([directory, b"/", name].concat(), entry.metadata().map_err(damage)?));
            }
        }
        Ok(entries)
    }
}

/// The directory above, and the name in it.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = path.iter().rposition(|&byte| byte == b'/')?;
    Some((path.get(..at)?, path.get(at + 1..)?))
}

fn find(listing: &Listing, name: &[u8]) -> Option<PathStat> {
    let at = listing.binary_search_by(|(known, _)| known.as_slice().cmp(name)).ok()?;
    listing.get(at).map(|(_, stat)| *stat)
}
