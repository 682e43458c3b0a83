//! The machine's id.
//!
//! Both an empty `/etc/machine-id` and one that says `uninitialized` make systemd invent an id at the next boot. But
//! `uninitialized` also makes that boot a *first boot* (`ConditionFirstBoot=`): unit presets are applied again, and
//! services that the operator disabled on the old card come back. So an image that was in use gets the empty file. A
//! fresh image keeps what its makers chose (pi-gen: empty until 2025-06, `uninitialized` since): nobody has disabled
//! anything there yet. The file must exist even though systemd would also do without, because it mounts a temporary
//! one over it while the root file system is still read-only. See machine-id(5), "First Boot Semantics".

use super::choices::Strip;
use super::rule::Severity::Error;
use super::rule::{Rule, rule};
use crate::fs::{Attributes, FileKind, ImagePath, Tree};
use crate::prepare::{Class, Content, StepError, View, Volume};

const LIMIT: u64 = 4096;
const SOURCE: &str = "machine-id(5), First Boot Semantics";

/// The rules.
pub const RULES: &[Rule] = &[rule(
    "machine-id",
    "the machine's id, on which the agent's fingerprint, leases and journals are built; becomes an empty file",
    Class::Identity,
)
.at(&["/etc/machine-id", "/var/lib/dbus/machine-id"])
.part(Error)
.audited_as("machine-id")
.named(&["machine-id"])
.back("systemd makes a new one at the first boot; dbus links to it")
.source(SOURCE)
.example("0f1e2d3c4b5a69788796a5b4c3d2e1f0\n")];

/// Proposes that the image loses its id.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>, strip: &Strip) -> Result<(), StepError> {
    if strip.keeps("machine-id") {
        view.warn("the recipe keeps the machine id: all cards share it, and SSM takes them for clones of one machine");
        return Ok(());
    }
    let path = view.root().resolve(&ImagePath::new("/etc/machine-id")?)?;
    let empty = || Content::Bytes(Vec::new());
    let attributes = Attributes::root(0o444);
    match view.root().stat(&path)? {
        Some(stat) if stat.kind == FileKind::File => {
            let held = if stat.size > LIMIT { Vec::new() } else { view.root().read(&path, LIMIT)? };
            let fresh = stat.size == 0 || held.trim_ascii() == b"uninitialized";
            if !fresh {
                let why = "the machine's id; systemd makes a new one at the first boot and applies no presets";
                view.write(Volume::Root, &path, empty(), attributes, Class::Identity.because(why, SOURCE))?;
            }
        }
        Some(_) => view.warn(format!("{path} is not a regular file: systemd cannot keep a machine id there")),
        // Without /etc there is no system that could need one.
        None if view.root().stat(&ImagePath::new("/etc")?)?.is_some() => {
            let why = "the file must be there for systemd to make a machine id while the root is still read-only";
            view.write(Volume::Root, &path, empty(), attributes, Class::Identity.because(why, SOURCE))?;
        }
        None => {}
    }
    let copy = ImagePath::new("/var/lib/dbus/machine-id")?;
    let (stat, leads_to) = (view.root().stat(&copy)?, view.root().resolve(&copy)?);
    let is_elsewhere = |kind| kind == FileKind::Symlink && leads_to != path;
    if stat.is_some_and(|stat| stat.kind == FileKind::File || is_elsewhere(stat.kind)) {
        let why = "a copy of the machine's id; dbus makes a link to the real one again";
        view.remove(Volume::Root, &copy, Class::Identity.because(why, "dbus-uuidgen(1); tmpfiles.d/dbus.conf"))?;
    }
    Ok(())
}
