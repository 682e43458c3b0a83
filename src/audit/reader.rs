//! The audit's own eyes: ext4 through `ext4-view`, FAT through `fatfs`, both read-only.

use std::cell::OnceCell;
use std::sync::Arc;

use ext4_view::{Ext4, Ext4Error, FileType, Metadata};

use super::error::{AuditError, absent, shown};
use super::eyes::{Cursor, Eyes, has_ext_magic, open_fat};
use super::listings::Listings;
use super::looked_through::LookedThrough;
use super::path_stat::PathStat;
use super::telling_rows::TellingRows;
use super::unread::Unread;
use crate::image::partition_table::PartitionTable;
use crate::image::{ReadAt, Window};

/// So many names are gone through below one place.
const WALK_LIMIT: usize = 2_000_000;

/// Looks at one file: its path, and what the file system says of it.
pub(super) type LookAt<'l> = &'l mut dyn FnMut(&[u8], &Metadata) -> Result<(), AuditError>;

/// An image, open for the rules.
pub struct AuditImage {
    /// The root partition.
    pub root_window: Window<dyn ReadAt>,
    /// The root partition as it was before anybody replayed its journal.
    pub untouched_root: Window<dyn ReadAt>,
    root: Ext4,
    boot: Option<fatfs::FileSystem<Cursor>>,
    /// What was found by looking through files: two rules tell of it.
    looked_through: OnceCell<LookedThrough>,
    listings: Listings,
    homes: OnceCell<Vec<Vec<u8>>>,
    told_by_rows: TellingRows,
    unread: Unread,
}

impl AuditImage {
    /// Finds the root and boot file systems by what they hold. `untouched` is the image itself, `whole` the same image
    /// or, where its journal had to be replayed first, a copy in which that was done.
    ///
    /// # Errors
    /// [`AuditError::NoRoot`] and unreadable images.
    pub fn open(untouched: &Arc<dyn ReadAt>, whole: Arc<dyn ReadAt>) -> Result<AuditImage, AuditError> {
        let table = PartitionTable::read(&*whole)?;
        let (mut root, mut boot, mut reasons) = (None, None, Vec::new());
        let mut damaged = None;
        let mut open_fat = |window, partition| match open_fat(window, partition) {
            Err(error @ AuditError::Boot { .. }) => {
                damaged = Some(error);
                Ok(None)
            }
            opened => opened,
        };
        for partition in &table.partitions {
            let window = Window::new(whole.clone(), partition.range)?;
            // What a partition holds decides, as on the writing side, but found by other code.
            match Ext4::load(Box::new(Eyes(window.clone()))) {
                Ok(fs) if root.is_none() && fs.exists("/etc").unwrap_or(false) => root = Some((window, fs)),
                // No ext4 at all is nothing to tell; it may be the FAT partition, which is asked for below.
                Ok(_) | Err(Ext4Error::Corrupt(_)) if !has_ext_magic(&window) => {}
                Ok(_) => reasons.push(format!("; partition {} is ext4 without an /etc", partition.number)),
                Err(error) if has_ext_magic(&window) => {
                    reasons.push(format!("; partition {}: {error}", partition.number));
                }
                Err(_) if boot.is_none() => boot = open_fat(window, partition.number)?,
                Err(_) => {}
            }
            if boot.is_none() && !has_ext_magic(&Window::new(whole.clone(), partition.range)?) {
                boot = open_fat(Window::new(whole.clone(), partition.range)?, partition.number)?;
            }
        }
        // Another partition may be the right one; where none is, this one was.
        if boot.is_none()
            && let Some(damaged) = damaged
        {
            return Err(damaged);
        }
        match root {
            Some((root_window, root)) => {
                // For the rule about unclean file systems alone: a replayed copy is always clean.
                let untouched_root = Window::new(untouched.clone(), root_window.range())?;
                Ok(AuditImage {
                    root_window,
                    untouched_root,
                    root,
                    boot,
                    looked_through: OnceCell::new(),
                    listings: Listings::default(),
                    homes: OnceCell::new(),
                    told_by_rows: TellingRows::default(),
                    unread: Unread::default(),
                })
            }
            None => Err(AuditError::NoRoot { partitions: table.partitions.len(), reasons }),
        }
    }

    /// What looking through the files of the image found; `look` looks the first time.
    ///
    /// # Errors
    /// Those of `look`.
    pub(super) fn looked_through(
        &self,
        look: impl FnOnce(&AuditImage) -> Result<LookedThrough, AuditError>,
    ) -> Result<&LookedThrough, AuditError> {
        match self.looked_through.get() {
            Some(walk) => Ok(walk),
            None => {
                let walk = look(self)?;
                Ok(self.looked_through.get_or_init(|| walk))
            }
        }
    }

    pub(super) fn listings(&self) -> &Listings {
        &self.listings
    }

    pub(super) fn known_homes(&self) -> &OnceCell<Vec<Vec<u8>>> {
        &self.homes
    }

    pub(super) fn told_by_rows(&self) -> &TellingRows {
        &self.told_by_rows
    }

    /// What the rules did not read whole.
    pub(super) fn unread(&self) -> &Unread {
        &self.unread
    }

    pub(super) fn root(&self) -> &Ext4 {
        &self.root
    }

    pub(super) fn boot(&self) -> Option<&fatfs::FileSystem<Cursor>> {
        self.boot.as_ref()
    }

    /// What is at `path` (the last component is not followed); `None` where nothing is.
    ///
    /// # Errors
    /// Damage.
    pub fn stat(&self, path: impl AsRef<[u8]>) -> Result<Option<PathStat>, AuditError> {
        Ok(self.metadata(path.as_ref())?.map(|metadata| PathStat::from(&metadata)))
    }

    /// All that the file system says of what is at `path` (the last component is not followed).
    pub(super) fn metadata(&self, path: &[u8]) -> Result<Option<Metadata>, AuditError> {
        // What is no path is nowhere.
        let at = ext4_view::Path::try_from(path).ok().filter(|_| path.starts_with(b"/"));
        let Some(at) = at else { return Ok(None) };
        match self.root.symlink_metadata(at) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) => absent(error, path),
        }
    }

    /// [`AuditImage::stat`] with symlinks followed to the end.
    ///
    /// # Errors
    /// Damage.
    pub fn resolved(&self, path: impl AsRef<[u8]>) -> Result<Option<PathStat>, AuditError> {
        let path = path.as_ref();
        let Ok(at) = ext4_view::Path::try_from(path) else { return Ok(None) };
        match self.root.metadata(at) {
            Ok(metadata) => Ok(Some(PathStat::from(&metadata))),
            Err(error) => absent(error, path),
        }
    }

    /// The path with every symlink followed.
    ///
    /// # Errors
    /// Damage.
    pub fn settled(&self, path: &[u8]) -> Result<Vec<u8>, AuditError> {
        // A path that leads nowhere stands for itself, and so does a place that is none of this file system.
        let at = ext4_view::Path::try_from(path).ok().filter(|_| path.starts_with(b"/"));
        let Some(at) = at else { return Ok(path.to_vec()) };
        match self.root.canonicalize(at) {
            Ok(settled) => Ok(AsRef::<[u8]>::as_ref(&settled).to_vec()),
            Err(error) => Ok(absent(error, path)?.unwrap_or_else(|| path.to_vec())),
        }
    }

    /// A symlink's target; `None` where there is no symlink.
    ///
    /// # Errors
    /// Damage.
    pub fn link(&self, path: &str) -> Result<Option<Vec<u8>>, AuditError> {
        match self.root.read_link(path) {
            Ok(target) => Ok(Some(AsRef::<[u8]>::as_ref(&target).to_vec())),
            Err(Ext4Error::NotASymlink) => Ok(None),
            Err(error) => absent(error, path),
        }
    }

    /// The names in a directory, sorted; empty where there is none.
    ///
    /// # Errors
    /// Damage.
    pub fn names(&self, path: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>, AuditError> {
        Ok(self.listing(path.as_ref())?.iter().map(|(name, _)| name.clone()).collect())
    }

    /// Looks at every regular file by each of its names, without following symlinks.
    ///
    /// # Errors
    /// Damage, and those of `look`.
    pub(super) fn each_file(&self, look: LookAt<'_>) -> Result<(), AuditError> {
        let (mut ahead, mut seen) = (vec![Vec::new()], 0);
        while let Some(at) = ahead.pop() {
            seen += 1;
            // Links lead to what is found in its own place, or in circles. A damaged tree may be a circle by itself,
            // which the limit ends.
            if seen > WALK_LIMIT {
                return Err(AuditError::TooMuch { place: shown(&at) });
            }
            for (path, metadata) in self.entries(&at)? {
                match metadata.file_type() {
                    FileType::Directory => ahead.push(path),
                    FileType::Regular => look(&path, &metadata)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
