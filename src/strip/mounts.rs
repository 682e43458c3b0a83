//! What the Pi mounts where, by its `/etc/fstab` (fstab(5)): a link into the boot partition leads to nothing in the root
//! file system.

use crate::fs::{FsError, ImagePath, Tree};
use crate::prepare::SETTINGS_LIMIT;

/// Where Raspberry Pi OS mounts the boot partition: since bookworm, and before.
const BOOT: [&str; 2] = ["/boot/firmware", "/boot"];
/// File systems that hold nothing when the power is off.
const IN_MEMORY: [&[u8]; 6] = [b"tmpfs", b"ramfs", b"proc", b"sysfs", b"devtmpfs", b"devpts"];

/// A line of fstab.
pub(super) struct Mount {
    at: ImagePath,
    device: Vec<u8>,
    kind: Vec<u8>,
}

/// What holds a path while the Pi runs.
pub(super) enum Mounted {
    /// The root file system.
    Root,
    /// The boot partition: the path there.
    Boot(ImagePath),
    /// Memory.
    Memory,
    /// Another device, as fstab names it.
    Device(String),
}

/// The lines of fstab that are about places below the root, deepest first. Without one for the boot partition, it is
/// taken to be where the system has it by itself.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn mounts(root: &dyn Tree) -> Result<Vec<Mount>, FsError> {
    let path = root.resolve(&ImagePath::new("/etc/fstab")?)?;
    let content = match root.stat(&path)? {
        Some(stat) if stat.kind == crate::fs::FileKind::File => root.read(&path, SETTINGS_LIMIT)?,
        _ => Vec::new(),
    };
    let mut mounts: Vec<Mount> = content.split(|&byte| byte == b'\n').filter_map(line).collect();
    if !mounts.iter().any(Mount::is_boot) {
        let (device, kind) = (b"the boot partition".to_vec(), b"vfat".to_vec());
        mounts.push(Mount { at: ImagePath::new(BOOT[0])?, device, kind });
    }
    mounts.sort_by_key(|mount| std::cmp::Reverse(mount.at.components().count()));
    Ok(mounts)
}

fn line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let device = fields.next().filter(|device| !device.starts_with(b"#"))?;
    let at = ImagePath::new(unescaped(fields.next()?)).ok().filter(|at| at.name().is_some())?;
    Some(Mount { at, device: unescaped(device), kind: fields.next()?.to_vec() })
}

/// `\040` stands for a blank, and so on.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), field);
    while let Some((&byte, behind)) = rest.split_first() {
        let code = behind.get(..3).filter(|_| byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(code) => {
                bytes.push(code);
                rest = behind.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    bytes
}

impl Mount {
    fn is_boot(&self) -> bool {
        let is_fat = [&b"vfat"[..], b"msdos", b"auto"].contains(&self.kind.as_slice());
        is_fat && BOOT.iter().any(|place| self.at.as_bytes() == place.as_bytes())
    }

    /// Where a path leads, if it is in what is mounted here.
    pub(super) fn leads(&self, path: &ImagePath) -> Option<Mounted> {
        if !path.is_within(&self.at) {
            return None;
        }
        let below = path.as_bytes().get(self.at.as_bytes().len()..).unwrap_or_default();
        Some(match self {
            _ if self.is_boot() => Mounted::Boot(ImagePath::new([b"/", below].concat()).ok()?),
            _ if IN_MEMORY.contains(&self.kind.as_slice()) => Mounted::Memory,
            _ => Mounted::Device(crate::printable::Printable::of(&self.device).to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::mem_tree::{MemTree, at};

    fn leads(fstab: &str, path: &str) -> String {
        let root = MemTree::with(&[("/etc/fstab", fstab)]);
        let mounts = mounts(&root).unwrap();
        match mounts.iter().find_map(|mount| mount.leads(&at(path))) {
            None | Some(Mounted::Root) => "root".to_owned(),
            Some(Mounted::Boot(path)) => format!("boot:{path}"),
            Some(Mounted::Memory) => "memory".to_owned(),
            Some(Mounted::Device(device)) => device,
        }
    }

    #[test]
    fn what_is_mounted_where_is_read_from_fstab() {
        let fstab = "proc /proc proc defaults 0 0\nPARTUUID=1-01 /boot vfat defaults 0 2\n# /dev/sdb1 /srv ext4\n\
                     /dev/sda1 /mnt/my\\040data ext4 defaults 0 0\ntmpfs /var/tmp tmpfs size=1m 0 0\n";
        assert_eq!(leads(fstab, "/boot/keys/a"), "boot:/keys/a");
        assert_eq!(leads(fstab, "/mnt/my data/a"), "/dev/sda1");
        assert_eq!(leads(fstab, "/var/tmp/a"), "memory");
        assert_eq!(leads(fstab, "/srv/a"), "root");
        assert_eq!(leads("", "/boot/firmware/a"), "boot:/a");
    }
}
