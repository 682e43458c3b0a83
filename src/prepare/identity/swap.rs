//! Swap files: they hold what was in the old machine's memory.

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, View, Volume};

const LIMIT: u64 = 1 << 20;
const SOURCE: &str = "dphys-swapfile(8), CONF_SWAPFILE; rpi-swap";
/// What makes a swap file again at boot: dphys-swapfile to bookworm, rpi-swap since trixie.
const MAKERS: [&str; 3] =
    ["/etc/dphys-swapfile", "/etc/rpi/swap.conf", "/usr/lib/systemd/system-generators/rpi-swap-generator"];

/// Proposes that swap files go which are made again at boot; says so of the others.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>) -> Result<(), FsError> {
    let fstab = text(view, "/etc/fstab")?;
    let dphys = text(view, "/etc/dphys-swapfile")?;
    let in_fstab: Vec<&str> = fstab.lines().filter_map(swap_file_of).collect();
    let configured = dphys.lines().find_map(|line| line.trim().strip_prefix("CONF_SWAPFILE=")).unwrap_or("/var/swap");
    let mut made_again = false;
    for maker in MAKERS {
        made_again |= view.root().stat(&ImagePath::new(maker)?)?.is_some();
    }
    let mut names = vec!["/var/swap", configured.trim_matches('"')];
    names.extend(&in_fstab);
    names.sort_unstable();
    names.dedup();
    for name in names {
        let Ok(path) = ImagePath::new(name) else { continue };
        if !is_swap(view, &path)? {
            continue;
        }
        if made_again && !in_fstab.contains(&name) {
            let why = "a swap file, which holds what was in the old machine's memory; it is made again at boot";
            view.remove(Volume::Root, &path, Class::Secret.because(why, SOURCE))?;
        } else {
            view.warn(format!(
                "{path} is a swap file that would not be made again, so it stays; it may hold what was in the old \
                 machine's memory. On the old card, run swapoff and make it anew before reading the card back"
            ));
        }
    }
    Ok(())
}

fn text(view: &View<'_>, path: &str) -> Result<String, FsError> {
    let path = view.root().resolve(&ImagePath::new(path)?)?;
    Ok(view.root().text(&path, LIMIT)?.unwrap_or_default())
}

/// The file that a line of fstab swaps to; not a device, which is no part of this file system.
fn swap_file_of(line: &str) -> Option<&str> {
    let mut fields = line.split_whitespace();
    let (what, kind) = (fields.next()?, fields.nth(1)?);
    (kind == "swap" && what.starts_with('/') && !what.starts_with("/dev/")).then_some(what)
}

/// Whether mkswap wrote this file: its mark ends the first page, of 4, 16 (Pi 5) or 64 KiB.
fn is_swap(view: &View<'_>, path: &ImagePath) -> Result<bool, FsError> {
    const MARK: &[u8] = b"SWAPSPACE2";
    if view.root().stat(path)?.is_none_or(|stat| stat.kind != FileKind::File) {
        return Ok(false);
    }
    for page in [4096u64, 16_384, 65_536] {
        let mut mark = [0; MARK.len()];
        let read = view.root().read_part(path, page.saturating_sub(MARK.len() as u64), &mut mark)?;
        if read == MARK.len() && mark == MARK {
            return Ok(true);
        }
    }
    Ok(false)
}
