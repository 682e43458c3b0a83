//! Which partition is the boot file system and which the root: found by what they hold, not by number.

use std::sync::Arc;

use super::error::GoldenError;
use crate::fs::bootfs::BootFs;
use crate::fs::check::directories_form_a_tree;
use crate::fs::clock::Clock;
use crate::fs::repair::{RepairReport, repair};
use crate::fs::rootfs::RootFs;
use crate::fs::{FsError, ImagePath, Tree};
use crate::image::partition_table::{Partition, PartitionTable};
use crate::image::volume::VolumeKind;
use crate::image::{Overlay, ReadAt, Window, WriteAt};
use crate::units::ByteOffset;

/// An image with its two file systems open for editing in an overlay.
pub struct EditableImage {
    /// Everything that is written goes here.
    pub overlay: Arc<Overlay>,
    /// The partition table.
    pub table: PartitionTable,
    /// The partition with the boot file system.
    pub boot_partition: Partition,
    /// The partition with the root file system.
    pub root_partition: Partition,
    /// The boot file system.
    pub boot: BootFs,
    /// The root file system.
    pub root: RootFs,
    /// What was repaired, in words.
    pub repaired: Option<String>,
    /// The time that edits carry.
    pub clock: Clock,
}

impl EditableImage {
    /// One of its partitions, for the scrub and for checks.
    ///
    /// # Errors
    /// Never for a partition of this image: its range was checked when the table was read.
    pub fn window(&self, partition: &Partition) -> Result<Arc<dyn WriteAt>, GoldenError> {
        let whole: Arc<dyn WriteAt> = self.overlay.clone();
        let window = Window::new(whole, partition.range);
        Ok(Arc::new(window.map_err(|source| GoldenError::Io { doing: "read the edited image".to_owned(), source })?))
    }
}

/// Opens `base` for editing in a new overlay. `name` is for messages; without a `clock` the time is the newest that
/// the root file system's superblock knows, which is the same on every machine.
///
/// # Errors
/// [`GoldenError`] where the image is not laid out as Pi OS images are, or cannot be repaired.
pub fn open(base: Arc<dyn ReadAt>, name: &str, clock: Option<Clock>) -> Result<EditableImage, GoldenError> {
    open_with(base, name, clock, &repair)
}

/// As [`open`], without the check of both whole file systems and without repairs: for an image whose file systems were
/// checked, and whose every byte is compared with what was checked then ([`crate::image::verified`]).
///
/// # Errors
/// As [`open`].
pub fn open_proven(base: Arc<dyn ReadAt>, name: &str, clock: Clock) -> Result<EditableImage, GoldenError> {
    open_with(base, name, Some(clock), &|_, _| Ok(None))
}

type Repair<'a> = &'a dyn Fn(Arc<dyn WriteAt>, Clock) -> Result<Option<RepairReport>, FsError>;

fn open_with(
    base: Arc<dyn ReadAt>,
    name: &str,
    clock: Option<Clock>,
    repair: Repair<'_>,
) -> Result<EditableImage, GoldenError> {
    let io = |source| GoldenError::Io { doing: format!("read {name}"), source };
    let table =
        PartitionTable::read(&*base).map_err(|source| GoldenError::Partitions { image: name.to_owned(), source })?;
    let overlay = Arc::new(Overlay::new(base).map_err(io)?);
    let window = |partition: &Partition| -> Result<Arc<dyn WriteAt>, GoldenError> {
        let whole: Arc<dyn WriteAt> = overlay.clone();
        Ok(Arc::new(Window::new(whole, partition.range).map_err(io)?))
    };

    let (mut roots, mut boots, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for partition in &table.partitions {
        // By content: captured and repartitioned images count their partitions in other ways.
        match VolumeKind::probe(&window(partition)?).map_err(io)? {
            kind if kind.is_ext() => roots.push(partition.clone()),
            kind if kind.is_fat() => boots.push(partition.clone()),
            kind => others.push((partition.clone(), kind)),
        }
    }
    if roots.is_empty() {
        return Err(GoldenError::Layout { image: name.to_owned(), what: no_root(&others) });
    }

    // One candidate is opened without ado, so that what is wrong with it is said, not that "no root was found".
    let only = roots.len() == 1;
    let mut root = None;
    for partition in roots {
        let window = window(&partition)?;
        let clock = match clock {
            Some(clock) => clock,
            // Never this machine's time: the same base image must give the same bytes everywhere.
            None => newest_time(&*window).map_err(io)?,
        };
        match open_root(window, clock, repair) {
            Ok((fs, repaired)) if holds(&fs, "/etc") => {
                root = Some((partition, fs, repaired, clock));
                break;
            }
            Ok(_) if only => {
                let what = format!("partition {} is ext4 but has no /etc: not a root file system", partition.number);
                return Err(GoldenError::Layout { image: name.to_owned(), what });
            }
            // Where there are several, one that cannot be opened may be a data partition, and another one decides.
            Err((doing, source)) if only => return Err(GoldenError::Fs { image: name.to_owned(), doing, source }),
            _ => {}
        }
    }
    let Some((root_partition, root, repaired, clock)) = root else {
        let what = "none of its ext4 partitions could be opened and holds /etc".to_owned();
        return Err(GoldenError::Layout { image: name.to_owned(), what });
    };
    let (boot_partition, boot, boot_repaired) = open_boot(boots, &window, clock, name, repair)?;
    let repaired = [repaired, boot_repaired].into_iter().flatten().reduce(|root, boot| format!("{root}; {boot}"));
    Ok(EditableImage { overlay, table, boot_partition, root_partition, boot, root, repaired, clock })
}

/// The image as it reads once every journal in it is replayed, for readers that cannot do so themselves. What was
/// repaired lives in an overlay; a partition that cannot be repaired stays as it is.
///
/// # Errors
/// [`GoldenError`] where there is no partition table, no room for the overlay, or where directories lead in a circle.
pub fn replayed(base: Arc<dyn ReadAt>, name: &str) -> Result<Arc<dyn ReadAt>, GoldenError> {
    let io = |source| GoldenError::Io { doing: format!("read {name}"), source };
    let table =
        PartitionTable::read(&*base).map_err(|source| GoldenError::Partitions { image: name.to_owned(), source })?;
    let overlay = Arc::new(Overlay::new(base).map_err(io)?);
    for partition in &table.partitions {
        let whole: Arc<dyn WriteAt> = overlay.clone();
        let window: Arc<dyn WriteAt> = Arc::new(Window::new(whole, partition.range).map_err(io)?);
        if VolumeKind::probe(&window).map_err(io)?.is_ext() {
            let clock = newest_time(&*window).map_err(io)?;
            // What cannot be repaired is for the reader to report. But it follows paths, and in a circle of directories
            // these never end.
            if repair(window.clone(), clock).is_err()
                && let Err(source @ FsError::Corrupt { .. }) = directories_form_a_tree(&window)
            {
                return Err(GoldenError::Fs { image: name.to_owned(), doing: "look through its directories", source });
            }
        }
    }
    Ok(overlay)
}

type OpenedRoot = (RootFs, Option<String>);

fn open_root(
    window: Arc<dyn WriteAt>,
    clock: Clock,
    repair: Repair<'_>,
) -> Result<OpenedRoot, (&'static str, FsError)> {
    let report = repair(window.clone(), clock).map_err(|e| ("repair its root file system", e))?;
    let root = RootFs::open(window, clock).map_err(|e| ("open its root file system", e))?;
    Ok((root, report.map(|report| report.to_string())))
}

type WindowOf<'a> = &'a dyn Fn(&Partition) -> Result<Arc<dyn WriteAt>, GoldenError>;

fn open_boot(
    candidates: Vec<Partition>,
    window: WindowOf<'_>,
    clock: Clock,
    name: &str,
    repair: Repair<'_>,
) -> Result<(Partition, BootFs, Option<String>), GoldenError> {
    let only = candidates.len() == 1;
    let mut last = None;
    for partition in candidates {
        let opened = window(&partition).map(|window| {
            let repaired = repair(window.clone(), clock)?;
            Ok((BootFs::open(window, clock)?, repaired.map(|report| report.to_string())))
        })?;
        match opened {
            // A single FAT partition leaves no choice; what it lacks is for the steps to say.
            Ok((fs, repaired)) if only || holds(&fs, "/cmdline.txt") || holds(&fs, "/config.txt") => {
                return Ok((partition, fs, repaired));
            }
            Ok(_) => {}
            // Kept: "it is damaged" helps more than "there is none".
            Err(source) => last = Some(source),
        }
    }
    Err(match last {
        Some(source) => GoldenError::Fs { image: name.to_owned(), doing: "open its boot file system", source },
        None => GoldenError::Layout {
            image: name.to_owned(),
            what: "it has no boot file system: no FAT partition with cmdline.txt or config.txt".to_owned(),
        },
    })
}

fn holds(tree: &dyn Tree, path: &str) -> bool {
    ImagePath::new(path).is_ok_and(|path| matches!(tree.stat(&path), Ok(Some(_))))
}

fn no_root(others: &[(Partition, VolumeKind)]) -> String {
    // What is there instead is what the person has to change.
    let telling = others
        .iter()
        .filter_map(|(partition, kind)| Some(format!("partition {} is {kind}: {}", partition.number, kind.refusal()?)));
    let all: Vec<String> = telling.collect();
    match all.is_empty() {
        true => "it has no root file system (no ext4 partition)".to_owned(),
        false => format!("it has no root file system that can be edited; {}", all.join("; ")),
    }
}

/// The newest of the superblock's times: made, mounted, written (`s_mkfs_time`, `s_mtime`, `s_wtime`, each with its
/// high byte; Documentation/filesystems/ext4/super.rst).
fn newest_time(window: &dyn ReadAt) -> std::io::Result<Clock> {
    const SUPERBLOCK: u64 = 1024;
    let time = |low: u64, high: u64| -> std::io::Result<i64> {
        let (mut lo, mut hi) = ([0; 4], [0; 1]);
        window.read_at(ByteOffset(SUPERBLOCK + low), &mut lo)?;
        window.read_at(ByteOffset(SUPERBLOCK + high), &mut hi)?;
        // Unsigned, with eight more bits above: the year 2038 is no border.
        Ok(i64::from(u32::from_le_bytes(lo)) | i64::from(hi[0]) << 32)
    };
    let newest = time(0x2c, 0x275)?.max(time(0x30, 0x274)?).max(time(0x108, 0x276)?);
    Ok(Clock { seconds: newest })
}
