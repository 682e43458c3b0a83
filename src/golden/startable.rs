//! What a card needs to start at all. What the base image had of it, the golden image has, or it is none.

use std::collections::BTreeSet;

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::pattern::is_like;
use crate::prepare::{SETTINGS_LIMIT, View};

/// What the kernel starts, in its order (init/main.c, kernel_init), and where systemd lies.
const INITS: [&str; 5] = ["/sbin/init", "/etc/init", "/bin/init", "/usr/lib/systemd/systemd", "/lib/systemd/systemd"];

/// One thing that a card needs to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What the kernel starts first.
    Init,
    /// The program that `init=` on the kernel's command line names; there also where nothing is named.
    NamedInit,
    /// A kernel that the firmware would load.
    Kernel,
    /// The kernel's command line.
    CommandLine,
    /// Who there is.
    Passwd,
    /// What is mounted where.
    Fstab,
}

const ALL: [Part; 6] = [Part::Init, Part::NamedInit, Part::Kernel, Part::CommandLine, Part::Passwd, Part::Fstab];

impl Part {
    /// For a person.
    fn words(self) -> &'static str {
        match self {
            Part::Init => "an init (/sbin/init, /usr/lib/systemd/systemd)",
            Part::NamedInit => "the program that init= in cmdline.txt names",
            Part::Kernel => "a kernel on the boot partition (kernel*.img, or what kernel= in config.txt names)",
            Part::CommandLine => "cmdline.txt on the boot partition",
            Part::Passwd => "/etc/passwd",
            Part::Fstab => "/etc/fstab",
        }
    }
}

/// These parts for a person.
pub fn listed(parts: &BTreeSet<Part>) -> String {
    parts.iter().map(|part| part.words()).collect::<Vec<_>>().join(", ")
}

/// What an image has of what it needs.
///
/// # Errors
/// Where the image cannot be read.
pub fn parts(root: &dyn Tree, boot: &dyn Tree) -> Result<BTreeSet<Part>, FsError> {
    let mut parts = BTreeSet::new();
    for part in ALL {
        let is_there = match part {
            Part::Init => any_file(root, &INITS)?,
            Part::NamedInit => has_named_init(root, boot)?,
            Part::Kernel => has_kernel(boot)?,
            Part::CommandLine => any_file(boot, &["/cmdline.txt"])?,
            Part::Passwd => any_file(root, &["/etc/passwd"])?,
            Part::Fstab => any_file(root, &["/etc/fstab"])?,
        };
        if is_there {
            parts.insert(part);
        }
    }
    Ok(parts)
}

/// Says at the end of a plan what cards could not start without: what the edits take away stops the golden image, what the
/// base image never had is a warning.
///
/// # Errors
/// Where the image cannot be read.
pub fn judge(view: &mut View<'_>, root: &dyn Tree, boot: &dyn Tree) -> Result<(), FsError> {
    let had = parts(root, boot)?;
    let has = parts(&view.root(), &view.boot())?;
    let lost: BTreeSet<Part> = had.difference(&has).copied().collect();
    if !lost.is_empty() {
        view.block(format!("no card would start: the edits take away {}", listed(&lost)));
    }
    let never: BTreeSet<Part> = ALL.into_iter().filter(|part| !had.contains(part) && !has.contains(part)).collect();
    if !never.is_empty() {
        view.warn(format!("whether cards start cannot be told: the base image does not have {}", listed(&never)));
    }
    Ok(())
}

fn any_file(tree: &dyn Tree, paths: &[&str]) -> Result<bool, FsError> {
    for path in paths {
        if is_file(tree, &ImagePath::new(path)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_file(tree: &dyn Tree, path: &ImagePath) -> Result<bool, FsError> {
    let at = match tree.resolve(path) {
        Ok(at) => at,
        Err(FsError::LinkLoop { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(tree.stat(&at)?.is_some_and(|stat| stat.kind == FileKind::File && stat.size > 0))
}

/// What a file of settings on the boot partition says; nothing where there is none.
fn settings(boot: &dyn Tree, name: &str) -> Result<String, FsError> {
    let path = ImagePath::new(name)?;
    match boot.stat(&path)? {
        Some(stat) if stat.kind == FileKind::File => Ok(boot.text(&path, SETTINGS_LIMIT)?.unwrap_or_default()),
        _ => Ok(String::new()),
    }
}

fn has_named_init(root: &dyn Tree, boot: &dyn Tree) -> Result<bool, FsError> {
    let words = settings(boot, "/cmdline.txt")?;
    // The last one counts, as for every parameter of the kernel.
    let named = words.split_whitespace().filter_map(|word| word.strip_prefix("init=")).next_back();
    match named.map(ImagePath::new) {
        None => Ok(true),
        Some(Ok(path)) => is_file(root, &path),
        Some(Err(_)) => Ok(false),
    }
}

fn has_kernel(boot: &dyn Tree) -> Result<bool, FsError> {
    let config = settings(boot, "/config.txt")?;
    let values = |key: &'static str| {
        config
            .lines()
            .filter_map(move |line| line.trim().strip_prefix(key)?.trim_start().strip_prefix('='))
            .map(str::trim)
    };
    // Whatever model a section is for: one kernel is enough to be a system.
    let prefixes: Vec<&str> = values("os_prefix").chain([""]).collect();
    for name in values("kernel") {
        for prefix in &prefixes {
            if let Ok(path) = ImagePath::new(format!("/{prefix}{name}"))
                && is_file(boot, &path)?
            {
                return Ok(true);
            }
        }
    }
    for prefix in prefixes {
        // A prefix need not be a directory; in its directory, the firmware takes the usual names.
        let Ok(directory) = ImagePath::new(format!("/{prefix}")) else { continue };
        if boot.stat(&directory)?.is_none_or(|stat| stat.kind != FileKind::Directory) {
            continue;
        }
        for entry in boot.list(&directory)? {
            let is_kernel = is_like(&entry.name.to_ascii_lowercase(), b"kernel*.img");
            if is_kernel && is_file(boot, &directory.join(&entry.name)?)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::mem_tree::MemTree;
    use crate::prepare::{Class, Volume};

    fn system() -> MemTree {
        MemTree::with(&[
            ("/usr/lib/systemd/systemd", "a program"),
            ("/usr/sbin/init", "-> ../lib/systemd/systemd"),
            ("/sbin", "-> usr/sbin"),
            ("/etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            ("/etc/fstab", "/dev/mmcblk0p2 / ext4\n"),
        ])
    }

    #[test]
    fn what_the_edits_take_away_stops_the_image_and_what_was_never_there_is_said() {
        let boot = MemTree::with(&[
            ("/cmdline.txt", "console=tty1 init=/usr/lib/none init=/sbin/init\n"),
            ("/config.txt", "[all]\nos_prefix=new/\nkernel = vmlinuz\n"),
            ("/new/vmlinuz", "a kernel"),
        ]);
        let root = system();
        assert_eq!(parts(&root, &boot).unwrap().len(), ALL.len());
        for (path, volume, lost) in [
            ("/usr/lib/systemd", Volume::Root, "/sbin/init"),
            ("/etc", Volume::Root, "/etc/passwd"),
            ("/new/vmlinuz", Volume::Boot, "kernel"),
        ] {
            let mut view = View::new(&root, &boot);
            view.remove(volume, path, Class::Identity.because("gone", "test")).unwrap();
            judge(&mut view, &root, &boot).unwrap();
            assert!(
                view.plan().blockers().any(|found| found.text.contains(lost)),
                "{path}: {:?}",
                view.plan().findings
            );
        }
        let mut view = View::new(&root, &boot);
        judge(&mut view, &root, &boot).unwrap();
        assert_eq!(view.plan().findings, []);
        let (root, boot) = (MemTree::new(), MemTree::with(&[("/cmdline.txt", "x\n")]));
        let mut view = View::new(&root, &boot);
        judge(&mut view, &root, &boot).unwrap();
        assert_eq!(view.plan().blockers().count(), 0);
        assert!(view.plan().findings.iter().any(|found| found.text.contains("kernel")), "{:?}", view.plan().findings);
    }
}
