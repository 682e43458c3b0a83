//! The machine's id.
//!
//! Both an empty `/etc/machine-id` and one that says `uninitialized` make systemd invent an id at the next boot. But
//! `uninitialized` also makes that boot a *first boot* (`ConditionFirstBoot=`): unit presets are applied again, and
//! services that the operator disabled on the old card come back. So an image that was in use gets the empty file. A
//! fresh image keeps what its makers chose (pi-gen: empty until 2025-06, `uninitialized` since): nobody has disabled
//! anything there yet. The file must exist even though systemd would also do without, because it mounts a temporary
//! one over it while the root file system is still read-only. See machine-id(5), "First Boot Semantics".

use crate::fs::{Attributes, FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, View, Volume};

const LIMIT: u64 = 4096;
const SOURCE: &str = "machine-id(5), First Boot Semantics";

/// Proposes that the image loses its id.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>) -> Result<(), FsError> {
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
    if view.root().stat(&copy)?.is_some_and(|stat| stat.kind == FileKind::File) {
        let why = "a copy of the machine's id; dbus makes a link to the real one again";
        view.remove(Volume::Root, &copy, Class::Identity.because(why, "dbus-uuidgen(1); tmpfiles.d/dbus.conf"))?;
    }
    Ok(())
}
