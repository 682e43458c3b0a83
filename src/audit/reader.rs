//! The audit's own eyes: ext4 through `ext4-view`, FAT through `fatfs`, both read-only.

use std::cell::OnceCell;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use ext4_view::{Ext4, Ext4Error, Ext4Read, FileType, Metadata};

use super::boot_chains;
use super::listings::Listings;
use super::looked_through::LookedThrough;
use super::path_stat::PathStat;
use super::telling_rows::TellingRows;
use super::unread::Unread;
use crate::image::partition_table::PartitionTable;
use crate::image::{ReadAt, Window};
use crate::printable::Printable;
use crate::units::{ByteOffset, ByteSize};

/// So much of one file is read; what the rules look at is far smaller. A larger one is noted as [unread](Unread).
pub(super) const READ_LIMIT: u64 = 8 << 20;

/// So many names are gone through below one place.
const WALK_LIMIT: usize = 2_000_000;

/// Why an image cannot be audited at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// There is no partition table.
    #[error(transparent)]
    Partitions(#[from] crate::image::partition_table::PartitionError),
    /// There is no root file system.
    #[error("found no root file system: none of the {partitions} partitions is ext4 with an /etc directory{}", .reasons.join(""))]
    NoRoot {
        /// How many partitions there are.
        partitions: usize,
        /// Why each one that looked like ext4 was passed over.
        reasons: Vec<String>,
    },
    /// The root file system could not be read.
    #[error("the root file system could not be read at {place}")]
    Root {
        /// Path.
        place: String,
        /// The reader's reason.
        #[source]
        source: Ext4Error,
    },
    /// A directory has more in it, or deeper, than any system has.
    #[error("{place} holds more, or holds it deeper, than can be looked through: nothing is said of the image")]
    TooMuch {
        /// Path.
        place: String,
    },
    /// The boot file system cannot be walked to an end.
    #[error("the boot file system (partition {partition}) is damaged: {what}: nothing is said of the image")]
    Boot {
        /// Its number in the partition table.
        partition: u32,
        /// What is wrong, in words.
        what: String,
    },
    /// The image could not be read.
    #[error("could not read the image")]
    Io(#[from] io::Error),
}

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

    pub(super) fn told_by_rows(&self) -> &TellingRows {
        &self.told_by_rows
    }

    /// What the rules did not read whole.
    pub(super) fn unread(&self) -> &Unread {
        &self.unread
    }

    /// The beginning of a file that may be longer than what is read of one, which is noted then.
    pub(super) fn whole(&self, path: &[u8]) -> Result<Option<Vec<u8>>, AuditError> {
        let content = self.up_to(path, READ_LIMIT + 1)?;
        Ok(content.map(|content| self.cut(content, path)))
    }

    /// What is read of a file at the most; that there was more is noted.
    pub(super) fn cut(&self, mut content: Vec<u8>, place: &[u8]) -> Vec<u8> {
        if content.len() as u64 > READ_LIMIT {
            self.unread.note(place, format!("only its first {} were read", ByteSize(READ_LIMIT)));
            content.truncate(usize::try_from(READ_LIMIT).unwrap_or_default());
        }
        content
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

    /// A file's content, symlinks followed; `None` where no regular file is there. At most 8 MiB of it.
    ///
    /// # Errors
    /// Damage.
    pub fn bytes(&self, path: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, AuditError> {
        self.whole(path.as_ref())
    }

    fn up_to(&self, path: &[u8], most: u64) -> Result<Option<Vec<u8>>, AuditError> {
        // What is no path is nowhere.
        let Ok(at) = ext4_view::Path::try_from(path) else { return Ok(None) };
        let mut file = match self.root.open(at) {
            Ok(file) => file,
            Err(error) => return absent(error, path),
        };
        let mut content = vec![0; usize::try_from(file.metadata().len().min(most)).unwrap_or_default()];
        let mut filled = 0;
        while let Some(rest) = content.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_bytes(rest).map_err(|source| AuditError::Root { place: shown(path), source })? {
                0 => break,
                n => filled += n,
            }
        }
        content.truncate(filled);
        Ok(Some(content))
    }

    /// Reads a regular file from beginning to end in windows of `window` bytes, each followed by up to `overlap` bytes
    /// of the next one: `look(bytes, fresh, offset)`, where `fresh` is how many bytes are not overlap. Of a file that
    /// claims more than its partition has (it has holes), so much is read, and the rest noted.
    ///
    /// # Errors
    /// Damage.
    pub fn read_whole(
        &self,
        path: &[u8],
        window: usize,
        overlap: usize,
        look: &mut dyn FnMut(&[u8], usize, u64),
    ) -> Result<(), AuditError> {
        let Ok(at) = ext4_view::Path::try_from(path) else { return Ok(()) };
        let mut file = match self.root.open(at) {
            Ok(file) => file,
            Err(error) => return absent::<()>(error, path).map(|_| ()),
        };
        let failed = |source| AuditError::Root { place: shown(path), source };
        let (mut buffer, mut held, mut offset) = (vec![0; window + overlap], 0, 0u64);
        loop {
            // Filled to the brim: a read may give less than was asked for, and the windows must not shrink.
            while let Some(rest) = buffer.get_mut(held..).filter(|rest| !rest.is_empty()) {
                match file.read_bytes(rest).map_err(failed)? {
                    0 => break,
                    n => held += n,
                }
            }
            let fresh = held.min(window);
            if fresh == 0 {
                return Ok(());
            }
            if offset >= self.root_window.size().0 {
                self.unread.note(path.to_owned(), format!("only its first {} were read", ByteSize(offset)));
                return Ok(());
            }
            look(buffer.get(..held).unwrap_or_default(), fresh, offset);
            // The overlap is the beginning of the next window, and is not read twice.
            buffer.copy_within(fresh..held, 0);
            held -= fresh;
            offset = offset.saturating_add(fresh as u64);
        }
    }

    /// [`AuditImage::bytes`] as text, lossily: to look for words in, never to take a name from.
    ///
    /// # Errors
    /// Damage.
    pub fn text(&self, path: impl AsRef<[u8]>) -> Result<Option<String>, AuditError> {
        Ok(self.bytes(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The first `most` bytes of a regular file; nothing where there is none.
    ///
    /// # Errors
    /// Damage.
    pub fn beginning(&self, path: &[u8], most: u64) -> Result<Vec<u8>, AuditError> {
        Ok(self.up_to(path, most)?.unwrap_or_default())
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

    /// Home directories: those of `/etc/passwd` and whatever is in `/home`.
    ///
    /// # Errors
    /// Damage.
    pub fn homes(&self) -> Result<&[Vec<u8>], AuditError> {
        match self.homes.get() {
            Some(homes) => Ok(homes),
            None => {
                let homes = self.find_homes()?;
                Ok(self.homes.get_or_init(|| homes))
            }
        }
    }

    fn find_homes(&self) -> Result<Vec<Vec<u8>>, AuditError> {
        // Accounts of the system have its own directories for homes (`daemon`: /usr/sbin), which are nobody's.
        const SYSTEM: [&[u8]; 10] = [b"", b"usr", b"bin", b"sbin", b"lib", b"dev", b"proc", b"sys", b"run", b"etc"];
        let is_somebodys = |home: &Vec<u8>| {
            let first = home.strip_prefix(b"/").and_then(|home| home.split(|&byte| byte == b'/').next());
            !SYSTEM.contains(&first.unwrap_or_default())
        };
        let mut homes: Vec<Vec<u8>> = self.accounts()?.into_iter().map(|account| account.home).collect();
        homes.retain(is_somebodys);
        // Also of users who were deleted: their files are still given away.
        homes.extend(self.names("/home")?.into_iter().map(|name| [b"/home/", name.as_slice()].concat()));
        homes.push(b"/root".to_vec());
        homes.sort_unstable();
        homes.dedup();
        let mut there = Vec::new();
        for home in homes {
            if self.resolved(&home)?.is_some_and(|stat| stat.kind == FileType::Directory) {
                there.push(home);
            }
        }
        Ok(there)
    }
}

/// A path for a person.
pub(super) fn shown(path: &[u8]) -> String {
    Printable::of(path).to_string()
}

pub(super) fn absent<T>(error: Ext4Error, path: impl AsRef<[u8]>) -> Result<Option<T>, AuditError> {
    match error {
        // Something else stands in its place, so what was asked for is not there.
        Ext4Error::NotFound
        | Ext4Error::NotADirectory
        | Ext4Error::IsADirectory
        | Ext4Error::IsASpecialFile
        | Ext4Error::TooManySymlinks
        | Ext4Error::MalformedPath
        | Ext4Error::PathTooLong => Ok(None),
        source => Err(AuditError::Root { place: shown(path.as_ref()), source }),
    }
}

fn has_ext_magic(window: &Window<dyn ReadAt>) -> bool {
    let mut magic = [0; 2];
    window.read_at(ByteOffset(1024 + 0x38), &mut magic).is_ok() && magic == [0x53, 0xef]
}

fn open_fat(window: Window<dyn ReadAt>, partition: u32) -> Result<Option<fatfs::FileSystem<Cursor>>, AuditError> {
    // Else the library would write down the day of each read, and this never writes.
    let options = fatfs::FsOptions::new().update_accessed_date(false);
    let Ok(boot) = fatfs::FileSystem::new(Cursor { window: window.clone(), at: 0 }, options) else { return Ok(None) };
    // Before any directory is read: this library trusts chains of clusters.
    if let Some(what) = boot_chains::what_is_wrong(&window)? {
        return Err(AuditError::Boot { partition, what });
    }
    let holds = |name| boot.root_dir().open_file(name).is_ok();
    Ok((holds("cmdline.txt") || holds("config.txt")).then_some(boot))
}

struct Eyes(Window<dyn ReadAt>);

impl Ext4Read for Eyes {
    fn read(&mut self, start: u64, dst: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.read_at(ByteOffset(start), dst)?)
    }
}

/// `fatfs` wants a cursor that could write; this one cannot.
pub(super) struct Cursor {
    window: Window<dyn ReadAt>,
    at: u64,
}

impl Read for Cursor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.window.size().0.saturating_sub(self.at);
        let n = usize::try_from(left).unwrap_or(buf.len()).min(buf.len());
        let Some(part) = buf.get_mut(..n) else { return Ok(0) };
        self.window.read_at(ByteOffset(self.at), part)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Write for Cursor {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "an audit never writes"))
    }
    // `fatfs` flushes when it is dropped, also where nothing changed.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.window.size().0.checked_add_signed(by),
        };
        self.at = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
