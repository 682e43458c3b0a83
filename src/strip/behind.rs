//! What stands behind a symlink. A rule means the bytes: where a link keeps them elsewhere in the image, they share the
//! fate of the link; unless the system needs what is there.

use std::cell::OnceCell;
use std::collections::HashSet;

use super::forms::paths::is_firmware;
use super::mounts::{Mount, Mounted, mounts};
use super::needed::is_needed;
use super::packages::of_packages;
use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{View, Volume};

/// What a link leads to.
pub(super) enum Behind {
    /// Nothing that holds bytes: the link leads nowhere, in a circle, or to a device.
    Nothing,
    /// A file or a directory.
    Own(Volume, ImagePath),
    /// What stays, and why.
    Needed(Volume, ImagePath, Needed),
    /// A place on a device that is neither of the two file systems of the image.
    Elsewhere(ImagePath, String),
}

/// Why something stays that a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needed {
    /// It is in one of the directories that hold only programs.
    System,
    /// It is one of the directories that make up a system.
    Folder,
    /// No system can be without it.
    Always,
    /// A home, or all of them.
    Home,
    /// A package brought it, and a person may have put something into it.
    Settings,
    /// A package brought it, so it is on every system.
    Package,
    /// The firmware or the kernel.
    Firmware,
}

impl Needed {
    /// As the end of a sentence.
    pub(super) fn words(self) -> &'static str {
        match self {
            Needed::System => "it is a part of the system",
            Needed::Folder => "it is one of the folders that make up the system",
            Needed::Always => "no system can be without it",
            Needed::Home => "it is a home",
            Needed::Settings => "it is the settings of a package",
            Needed::Package => "a package brought it",
            Needed::Firmware => "it belongs to what starts the system",
        }
    }

    /// Whether everybody has it, so that it can be no secret.
    pub(super) fn is_public(self) -> bool {
        matches!(self, Needed::System | Needed::Package | Needed::Firmware)
    }
}

/// Looks behind links of the image as it is. What it needs to know is read when it is first asked for.
#[derive(Default)]
pub(super) struct Looker {
    packages: OnceCell<HashSet<Vec<u8>>>,
    homes: OnceCell<Vec<ImagePath>>,
    mounts: OnceCell<Vec<Mount>>,
}

impl Looker {
    /// What a link of the root file system leads to.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub(super) fn behind(&self, view: &View<'_>, link: &ImagePath) -> Result<Behind, FsError> {
        let root = view.original(Volume::Root);
        let at = match root.resolve(link) {
            Ok(at) => at,
            Err(FsError::LinkLoop { .. }) => return Ok(Behind::Nothing),
            Err(error) => return Err(error),
        };
        let (volume, at) = match mounted(self.mounts(root)?, &at, root.stat(&at)?.is_some()) {
            Mounted::Root => (Volume::Root, at),
            Mounted::Boot(path) => (Volume::Boot, path),
            Mounted::Memory => return Ok(Behind::Nothing),
            Mounted::Device(device) => return Ok(Behind::Elsewhere(at, device)),
        };
        let Some(stat) = view.original(volume).stat(&at)? else { return Ok(Behind::Nothing) };
        if !matches!(stat.kind, FileKind::File | FileKind::Directory) {
            return Ok(Behind::Nothing);
        }
        Ok(match self.needed(view, volume, &at, stat.kind)? {
            Some(why) => Behind::Needed(volume, at, why),
            None => Behind::Own(volume, at),
        })
    }

    /// Why something stays, if it does.
    ///
    /// # Errors
    /// Where the image cannot be read.
    pub(super) fn needed(
        &self,
        view: &View<'_>,
        volume: Volume,
        at: &ImagePath,
        kind: FileKind,
    ) -> Result<Option<Needed>, FsError> {
        if is_needed(volume, at) {
            return Ok(Some(Needed::Always));
        }
        if volume == Volume::Boot {
            // FAT knows names without regard to case.
            let lower = ImagePath::new(at.as_bytes().to_ascii_lowercase())?;
            if is_needed(volume, &lower) {
                return Ok(Some(Needed::Always));
            }
            let is_overlays = lower.as_bytes().starts_with(b"/overlays");
            let stays = at.name().is_none() || is_overlays || is_firmware(at.as_bytes());
            return Ok(stays.then_some(Needed::Firmware));
        }
        let parts: Vec<&[u8]> = at.components().collect();
        let is_programs = match parts.as_slice() {
            [b"usr", b"local", _, ..] => false,
            [first, ..] => is_of_programs(first),
            [] => false,
        };
        let is_large = match parts.as_slice() {
            [] | [_] => true,
            [b"srv" | b"mnt" | b"media" | b"data" | b"opt" | b"run" | b"tmp", _] => false,
            [_, _] => true,
            _ => false,
        };
        if is_programs {
            return Ok(Some(Needed::System));
        }
        if self.homes(view)?.iter().any(|home| home.is_within(at)) {
            return Ok(Some(Needed::Home));
        }
        if is_large && kind == FileKind::Directory {
            return Ok(Some(Needed::Folder));
        }
        let is_packaged = self.packages(view.original(Volume::Root))?.contains(at.as_bytes());
        let is_setting = at.as_bytes().starts_with(b"/etc/") && kind == FileKind::File;
        Ok(is_packaged.then_some(if is_setting { Needed::Settings } else { Needed::Package }))
    }

    fn mounts(&self, root: &dyn Tree) -> Result<&[Mount], FsError> {
        match self.mounts.get() {
            Some(known) => Ok(known),
            None => {
                let read = mounts(root)?;
                Ok(self.mounts.get_or_init(|| read))
            }
        }
    }

    fn homes(&self, view: &View<'_>) -> Result<&[ImagePath], FsError> {
        match self.homes.get() {
            Some(known) => Ok(known),
            None => {
                let read = view.find("~/")?;
                Ok(self.homes.get_or_init(|| read))
            }
        }
    }

    fn packages(&self, root: &dyn Tree) -> Result<&HashSet<Vec<u8>>, FsError> {
        match self.packages.get() {
            Some(known) => Ok(known),
            None => {
                let first = |path: &[u8]| path.split(|&b| b == b'/').nth(1).is_some_and(is_of_programs);
                let read = of_packages(root, |path| !first(path) || path.starts_with(b"/usr/local/"))?;
                Ok(self.packages.get_or_init(|| read))
            }
        }
    }
}

/// Whether a directory below the root holds programs, devices and what the kernel makes, and nothing of a machine's life.
fn is_of_programs(name: &[u8]) -> bool {
    [&b"usr"[..], b"bin", b"sbin", b"boot", b"dev", b"proc", b"sys"].contains(&name) || name.starts_with(b"lib")
}

fn mounted(mounts: &[Mount], at: &ImagePath, is_there: bool) -> Mounted {
    // What the root file system holds below a place where something is mounted is hidden, and is in the image all the same.
    if is_there {
        return Mounted::Root;
    }
    mounts.iter().find_map(|mount| mount.leads(at)).unwrap_or(Mounted::Root)
}
