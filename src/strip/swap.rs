//! Swap files, also those that a machine was hibernated into: they hold what was in the old machine's memory.

use std::collections::BTreeSet;

use super::choices::Strip;
use super::named_in_settings;
use super::rule::Severity::Error;
use super::rule::{Rule, rule};
use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::Class::Secret;
use crate::prepare::{Class, Severity, StepError, View, Volume};

const SOURCE: &str = "mkswap(8); dphys-swapfile(8), CONF_SWAPFILE; rpi-swap, swap.conf(5); systemd.swap(5); \
    util-linux, libblkid, swap.c";
/// What makes a swap file again at boot: dphys-swapfile to bookworm, rpi-swap since trixie.
const MAKERS: [&str; 3] =
    ["/etc/dphys-swapfile", "/etc/rpi/swap.conf", "/usr/lib/systemd/system-generators/rpi-swap-generator"];
/// Where people and installers put swap files that nothing names.
pub const USUAL: [&str; 9] = [
    "/var/swap",
    "/swap",
    "/swap*",
    "/swap/*",
    "/var/swap*",
    "/var/swap/*",
    "/mnt/swap*",
    "/home/swap*",
    "/var/lib/swap*",
];
/// Settings that name swap files, and what is in front of the name.
pub const NAMED_IN: &[(&[&str], &str)] = &[
    (&["/etc/fstab"], r"^\s*(/\S+)\s+\S+\s+swap\b"),
    // People start swap by hand, too.
    (
        &["/etc/rc.local", "/etc/crontab", "/etc/cron.d/*", "/etc/systemd/system/*.service"],
        r"\bswapon\s+(?:-\S+\s+)*(/\S+)",
    ),
    (
        &["/etc/systemd/system/*.swap", "/etc/systemd/system/*.swap.d/*.conf", "/usr/lib/systemd/system/*.swap"],
        r#"^\s*What\s*=\s*"?(/[^"\n]+)"#,
    ),
];
/// Settings of what makes its file again, which need not hold a mark: zram writes pages into it as they are.
pub const MADE_BY: &[(&[&str], &str)] = &[
    (&["/etc/dphys-swapfile"], r#"^\s*CONF_SWAPFILE\s*=\s*["']?(/[^"'\s#]+)"#),
    (
        &["/etc/rpi/swap.conf", "/etc/rpi/swap.conf.d/*.conf", "/usr/lib/rpi/swap.conf.d/*.conf"],
        r#"^\s*Path\s*=\s*"?(/[^"\n]+)"#,
    ),
    (
        &[
            "/etc/systemd/zram-generator.conf",
            "/etc/systemd/zram-generator.conf.d/*.conf",
            "/usr/lib/systemd/zram-generator.conf",
        ],
        r"^\s*writeback-device\s*=\s*(/\S+)",
    ),
];
/// Where files are looked into that nothing names, and how deep.
pub const LOOKED_IN: [(&str, usize); 6] = [("/", 0), ("/var", 3), ("/home", 3), ("/mnt", 2), ("/opt", 2), ("/srv", 2)];
/// So many names are gone through below one of those; that there are more is said.
pub const MOST: usize = 50_000;
/// What ends the first page of a swap file; the others than mkswap's stand there while memory is saved in it.
pub const MARKS: [&[u8; 10]; 6] =
    [b"SWAPSPACE2", b"SWAP-SPACE", b"S1SUSPEND\0", b"S2SUSPEND\0", b"ULSUSPEND\0", b"LINHIB0001"];
/// How large a page may be: 4 KiB, 16 KiB (Pi 5), and those of other machines.
pub const PAGES: [u64; 5] = [4096, 8192, 16_384, 32_768, 65_536];
/// mkswap refuses less than ten pages.
pub const SMALLEST: u64 = 40 << 10;

/// The first page of a swap file, as mkswap writes it.
const fn page() -> [u8; 4096] {
    let mut page = [0; 4096];
    let (mut at, mark) = (0, MARKS[0]);
    while at < mark.len() {
        page[4096 - mark.len() + at] = mark[at];
        at += 1;
    }
    // What was in memory, which mkswap does not wipe.
    let memory = b"k7Qm2Vw9Zr4Tn6Ys8Lp1Bd3FhJkPq5";
    let mut at = 0;
    while at < memory.len() {
        page[4086 - memory.len() + at] = memory[at];
        at += 1;
    }
    // Version 1, nine more pages, and a label.
    page[1024] = 1;
    page[1028] = 9;
    page[1052] = b'o';
    page[1053] = b'k';
    page
}
static EXAMPLE: [u8; 4096] = page();

/// The rules.
pub const RULES: &[Rule] = &[rule(
    "swap",
    "a swap file, which holds what was in the old machine's memory; goes where it is made again at boot",
    Secret,
)
.at(&USUAL)
.part(Error)
.audited_as("swap")
.named(&["swap"])
.back("dphys-swapfile and rpi-swap make the file again")
.source(SOURCE)
.example_bytes(&EXAMPLE)];

/// Proposes that swap files go which are made again at boot; says so of the others.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>, strip: &Strip) -> Result<(), StepError> {
    if strip.keeps("swap") {
        return Ok(());
    }
    let (mounted, made) = (named(view, NAMED_IN)?, named(view, MADE_BY)?);
    let mut made_again = false;
    for maker in MAKERS {
        made_again |= view.root().stat(&ImagePath::new(maker)?)?.is_some();
    }
    let mut paths: BTreeSet<ImagePath> = mounted.union(&made).cloned().collect();
    for place in USUAL {
        for path in view.find(place)? {
            paths.insert(view.root().resolve(&path)?);
        }
    }
    // What nothing names may be somebody's virtual machine: it is named, and stays.
    let strangers: BTreeSet<ImagePath> = looked_for(view)?.into_iter().filter(|path| !paths.contains(path)).collect();
    for path in paths.into_iter().chain(strangers.iter().cloned()) {
        // What zram wrote to has no mark, but whole pages.
        let is_backing = made.contains(&path) && has_pages(view, &path)?;
        if !is_backing && !is_swap(view, &path)? {
            continue;
        }
        // What nothing swaps to is a leftover, and nobody misses it.
        let is_leftover = !strangers.contains(&path) && !mounted.contains(&path);
        if is_leftover && (made_again || !made.contains(&path)) {
            let why =
                "a swap file, which holds what was in the old machine's memory; what is used is made again at boot";
            view.remove(Volume::Root, &path, Class::Secret.because(why, SOURCE))?;
        } else {
            let text = format!(
                "is a swap file that would not be made again, so it stays; it may hold what was in the old machine's \
                 memory, and every card gets it. On the old card, run swapoff and mkswap before reading the card back. \
                 [strip] remove = [\"{path}\"] removes it, keep = [\"swap\"] says that it is meant"
            );
            view.leave("swap", Severity::Warning, vec![path.to_string()], &text);
        }
    }
    Ok(())
}

/// Large files of whole pages that may be swap files, wherever people put such.
fn looked_for(view: &mut View<'_>) -> Result<Vec<ImagePath>, FsError> {
    let mut found = Vec::new();
    for (place, deepest) in LOOKED_IN {
        let (mut ahead, mut seen) = (vec![(ImagePath::new(place)?, 0)], 0_usize);
        while let Some((directory, depth)) = ahead.pop() {
            if view.root().stat(&directory)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
                continue;
            }
            for entry in view.root().list(&directory)? {
                seen += 1;
                let path = directory.join(&entry.name)?;
                match entry.kind {
                    FileKind::Directory if depth < deepest => ahead.push((path, depth + 1)),
                    FileKind::File if has_pages(view, &path)? => found.push(path),
                    _ => {}
                }
            }
            if seen > MOST {
                view.warn(format!("{place} holds more than {MOST} names: not all were looked at for swap files"));
                break;
            }
        }
    }
    Ok(found)
}

/// The files that settings name, with links followed.
fn named(view: &View<'_>, settings: &[(&[&str], &'static str)]) -> Result<BTreeSet<ImagePath>, FsError> {
    let mut named = BTreeSet::new();
    for (places, expression) in settings {
        for path in named_in_settings::named(view, places, expression)? {
            named.insert(view.root().resolve(&path)?);
        }
    }
    Ok(named)
}

fn has_pages(view: &View<'_>, path: &ImagePath) -> Result<bool, FsError> {
    let is_whole = |size: u64| size >= SMALLEST && size.is_multiple_of(4096);
    Ok(view.root().stat(path)?.is_some_and(|stat| stat.kind == FileKind::File && is_whole(stat.size)))
}

/// Whether a page of this file ends with a mark.
fn is_swap(view: &View<'_>, path: &ImagePath) -> Result<bool, FsError> {
    if view.root().stat(path)?.is_none_or(|stat| stat.kind != FileKind::File) {
        return Ok(false);
    }
    for page in PAGES {
        let mut mark = [0; 10];
        let read = view.root().read_part(path, page.saturating_sub(10), &mut mark)?;
        if read == mark.len() && MARKS.contains(&&mark) {
            return Ok(true);
        }
    }
    Ok(false)
}
