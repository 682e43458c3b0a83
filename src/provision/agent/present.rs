//! What an image already has: the agent in one of its forms, and its architecture.

use std::fmt;

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::View;

/// dpkg's status file of a full desktop has some 3 MiB.
const LIMIT: u64 = 64 << 20;

/// The agent, as an image has it.
pub(super) enum Found {
    /// From the Debian package.
    Package { version: String },
    /// A snap, installed or to be installed at the first boot.
    Snap { seeded: bool },
    /// The program alone, which dpkg knows nothing of.
    Program,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Package { version } => write!(f, "the image has the agent, package version {version}"),
            Found::Snap { seeded: false } => f.write_str("the image has the agent as a snap"),
            Found::Snap { seeded: true } => f.write_str("the image installs the agent as a snap at its first boot"),
            Found::Program => f.write_str("the image has the agent's program, but not from a package"),
        }
    }
}

/// The agent that is in the image, if any.
pub(super) fn agent(view: &View<'_>) -> Result<Option<Found>, FsError> {
    let installed = stanzas(&status(view)?)
        .into_iter()
        .find(|stanza| stanza.field("Package") == Some("amazon-ssm-agent") && stanza.is_installed())
        .and_then(|stanza| stanza.field("Version").map(str::to_owned));
    let program = file(view, "/usr/bin/amazon-ssm-agent")?;
    match installed {
        Some(version) if program => return Ok(Some(Found::Package { version })),
        _ if program => return Ok(Some(Found::Program)),
        _ => {}
    }
    let any = |pattern: &'static str| -> Result<bool, FsError> { Ok(!view.find(pattern)?.is_empty()) };
    if any("/snap/amazon-ssm-agent/current")? || any("/var/lib/snapd/snaps/amazon-ssm-agent_*.snap")? {
        return Ok(Some(Found::Snap { seeded: false }));
    }
    if any("/var/lib/snapd/seed/snaps/amazon-ssm-agent_*.snap")? {
        return Ok(Some(Found::Snap { seeded: true }));
    }
    Ok(None)
}

/// The architectures of an image.
pub(super) struct Architecture {
    /// In dpkg's words: arm64, armhf, amd64.
    pub(super) native: String,
    pub(super) has_armhf_libc: bool,
}

/// From dpkg, or from the header of a program that every image has.
pub(super) fn architecture(view: &View<'_>) -> Result<Option<Architecture>, FsError> {
    let status = status(view)?;
    let stanzas = stanzas(&status);
    let installed = |package: &str| {
        stanzas.iter().filter(move |s| s.field("Package") == Some(package) && s.is_installed()).collect::<Vec<_>>()
    };
    let has_armhf_libc = installed("libc6").iter().any(|stanza| stanza.field("Architecture") == Some("armhf"));
    let by_dpkg = installed("dpkg").first().and_then(|stanza| stanza.field("Architecture")).map(str::to_owned);
    let native = match by_dpkg {
        Some(native) => Some(native),
        None => by_program(view)?,
    };
    Ok(native.map(|native| Architecture { native, has_armhf_libc }))
}

/// The machine that /usr/bin/dpkg or /bin/sh is for (ELF header, e_machine).
fn by_program(view: &View<'_>) -> Result<Option<String>, FsError> {
    for path in ["/usr/bin/dpkg", "/bin/sh"] {
        let path = view.root().resolve(&ImagePath::new(path)?)?;
        if view.root().stat(&path)?.is_none_or(|stat| stat.kind != FileKind::File) {
            continue;
        }
        let mut header = [0; 20];
        if view.root().read_part(&path, 0, &mut header)? < header.len() || !header.starts_with(b"\x7fELF") {
            continue;
        }
        // Little-endian only: Debian has no big-endian Pi.
        let name = match (header.get(5), header.get(18..)) {
            (Some(1), Some([0xb7, 0])) => "arm64",
            (Some(1), Some([0x28, 0])) => "armhf",
            (Some(1), Some([0x3e, 0])) => "amd64",
            (Some(1), Some([0x03, 0])) => "i386",
            (Some(1), Some([0xf3, 0])) => "riscv64",
            _ => continue,
        };
        return Ok(Some(name.to_owned()));
    }
    Ok(None)
}

fn file(view: &View<'_>, path: &str) -> Result<bool, FsError> {
    let path = view.root().resolve(&ImagePath::new(path)?)?;
    Ok(view.root().stat(&path)?.is_some_and(|stat| stat.kind == FileKind::File))
}

fn status(view: &View<'_>) -> Result<String, FsError> {
    let path = view.root().resolve(&ImagePath::new("/var/lib/dpkg/status")?)?;
    Ok(view.root().text(&path, LIMIT)?.unwrap_or_default())
}

struct Stanza<'t>(&'t str);

fn stanzas(status: &str) -> Vec<Stanza<'_>> {
    status.split("\n\n").map(Stanza).collect()
}

impl<'t> Stanza<'t> {
    fn field(&self, name: &str) -> Option<&'t str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    }

    fn is_installed(&self) -> bool {
        self.field("Status").is_some_and(|status| status.ends_with(" installed"))
    }
}
