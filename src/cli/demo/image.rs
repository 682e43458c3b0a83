//! Makes the demo's base image in pure Rust: MBR, FAT32 and ext4, the layout of Raspberry Pi OS in small.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::files::{self, Entry, Node};
use super::machine::{Machine, filler};
use crate::cli::Error;
use crate::fs::ext4::device::PartitionDevice;
use crate::fs::{Attributes, Clock, ImagePath, RootFs, TreeMut};
use crate::image::{ReadAt, Window, WriteAt};
use crate::units::{ByteOffset, ByteRange, ByteSize};

const MIB: u64 = 1 << 20;
const SECTOR: u32 = 512;
/// 8 MiB, where Raspberry Pi OS begins since March 2025.
const BOOT_START: u64 = 8 * MIB;
/// The smallest round size at which FAT32 is allowed with one sector per cluster.
const BOOT_SIZE: u64 = 48 * MIB;
const ROOT_START: u64 = BOOT_START + BOOT_SIZE;
const ROOT_SIZE: u64 = 160 * MIB;
/// 2026-02-03 04:05:06 UTC: when the old machine was last used.
const LAST_USED: Clock = Clock { seconds: 1_770_091_506 };

/// The image's file while it is made.
struct Disk(File);

impl ReadAt for Disk {
    fn size(&self) -> ByteSize {
        ByteSize(ROOT_START + ROOT_SIZE)
    }
    fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buf, at.0)
    }
}

impl WriteAt for Disk {
    fn write_at(&self, at: ByteOffset, bytes: &[u8]) -> io::Result<()> {
        // mkfs writes zeros over all of a new file system; the file is to stay sparse.
        if bytes.iter().all(|&byte| byte == 0) {
            let mut there = vec![0; bytes.len()];
            self.0.read_exact_at(&mut there, at.0)?;
            if there == bytes {
                return Ok(());
            }
        }
        self.0.write_all_at(bytes, at.0)
    }
    fn punch(&self, range: ByteRange) -> io::Result<()> {
        let zeros = vec![0; 1 << 16];
        let mut at = range.start.0;
        while at < range.end().0 {
            let run = (range.end().0 - at).min(zeros.len() as u64);
            let part = usize::try_from(run).ok().and_then(|run| zeros.get(..run)).unwrap_or_default();
            self.0.write_all_at(part, at)?;
            at += run;
        }
        Ok(())
    }
}

/// Makes the image at `path`; one that is there is replaced when the new one is whole.
pub(super) fn make(path: &Path, machine: &Machine) -> Result<(), Error> {
    let failed = |doing: &str, error: &dyn std::error::Error| {
        Error::failed(format!("cannot make the demo's image {}", path.display()))
            .because(&io::Error::other(doing.to_owned()))
            .because(error)
    };
    let dir = path.parent().unwrap_or(Path::new("."));
    // Named when it is whole: an interrupted demo leaves no half of an image.
    let temporary = tempfile::NamedTempFile::new_in(dir).map_err(|e| failed("create a file", &e))?;
    let file = temporary.as_file();
    file.set_len(ROOT_START + ROOT_SIZE).map_err(|e| failed("size the file", &e))?;
    partition_table(file, machine).map_err(|e| failed("write the partition table", &e))?;
    boot(file, machine).map_err(|e| failed("make the boot partition", &e))?;
    let disk: Arc<Disk> = Arc::new(Disk(file.try_clone().map_err(|e| failed("open the file again", &e))?));
    let window =
        Window::new(disk, ByteRange::new(ROOT_START, ROOT_SIZE)).map_err(|e| failed("find the root partition", &e))?;
    root(Arc::new(window), machine).map_err(|e| failed("make the root partition", e.as_ref()))?;
    file.sync_all().map_err(|e| failed("write the file down", &e))?;
    temporary.persist(path).map_err(|e| failed("put the file in its place", &e.error))?;
    Ok(())
}

/// The id at 440, four entries of 16 bytes from 446, and 55 AA at the sector's end. Of an entry only the type, the first
/// sector and their number are set: nobody reads cylinders and heads where there are none.
fn partition_table(file: &File, machine: &Machine) -> io::Result<()> {
    // An MBR has the disk id at 440, its entries from 446 on and its signature at 510. The old cylinder fields stay
    // zero: nobody reads them.
    file.write_all_at(&machine.disk_id, 440)?;
    let sectors = |bytes: u64| u32::try_from(bytes / u64::from(SECTOR)).map_err(io::Error::other);
    // 0x0c is FAT32 with LBA, 0x83 Linux.
    for (at, sys, start, size) in [(446, 0x0c, BOOT_START, BOOT_SIZE), (462, 0x83, ROOT_START, ROOT_SIZE)] {
        file.write_all_at(&[sys], at + 4)?;
        file.write_all_at(&sectors(start)?.to_le_bytes(), at + 8)?;
        file.write_all_at(&sectors(size)?.to_le_bytes(), at + 12)?;
    }
    file.write_all_at(&[0x55, 0xAA], 510)
}

/// The boot partition is made in memory, and only what is not zero goes to the file: it stays sparse.
fn boot(file: &File, machine: &Machine) -> io::Result<()> {
    let size = usize::try_from(BOOT_SIZE).map_err(io::Error::other)?;
    let mut volume = Cursor::new(vec![0_u8; size]);
    let options = fatfs::FormatVolumeOptions::new()
        .fat_type(fatfs::FatType::Fat32)
        // FAT32 has 65,525 clusters at least; 48 MiB have that many only at one sector each.
        .bytes_per_cluster(SECTOR)
        .volume_id(u32::from_le_bytes(machine.disk_id))
        .volume_label(*b"bootfs     ");
    fatfs::format_volume(&mut volume, options)?;
    {
        let fat = fatfs::FileSystem::new(&mut volume, fatfs::FsOptions::new())?;
        let root = fat.root_dir();
        for (name, content) in boot_files(machine) {
            let mut file = root.create_file(name)?;
            file.truncate()?;
            file.write_all(&content)?;
        }
        // Deleted, but not gone: what `rm` leaves on every card.
        let mut note = root.create_file("wifi.txt")?;
        note.write_all(format!("ssid=bench\npsk={}\n", machine.wifi_password).as_bytes())?;
        drop(note);
        root.remove("wifi.txt")?;
        drop(root);
        // Counting makes the library write the free cluster summary, which it leaves open otherwise.
        fat.stats()?;
        fat.unmount()?;
    }
    volume.seek(SeekFrom::Start(0))?;
    let mut block = vec![0; 1 << 16];
    let mut at = BOOT_START;
    while at < BOOT_START + BOOT_SIZE {
        volume.read_exact(&mut block)?;
        // Zeros stay holes.
        if block.iter().any(|&byte| byte != 0) {
            file.write_all_at(&block, at)?;
        }
        at += block.len() as u64;
    }
    Ok(())
}

fn boot_files(machine: &Machine) -> Vec<(&'static str, Vec<u8>)> {
    let cmdline = format!(
        "console=serial0,115200 console=tty1 root=PARTUUID={} rootfstype=ext4 fsck.repair=yes rootwait\n",
        machine.partuuid(2)
    );
    vec![
        ("cmdline.txt", cmdline.into()),
        ("config.txt", b"# stand-in\narm_64bit=1\ndtoverlay=vc4-kms-v3d\n".to_vec()),
        ("issue.txt", files::ISSUE.into()),
        ("kernel8.img", filler("kernel8.img", 6 << 20)),
        ("initramfs8", filler("initramfs8", 4 << 20)),
        ("start4.elf", filler("start4.elf", 1 << 20)),
        ("fixup4.dat", filler("fixup4.dat", 5000)),
        ("bcm2711-rpi-4-b.dtb", filler("bcm2711-rpi-4-b.dtb", 50_000)),
    ]
}

fn root(window: Arc<dyn WriteAt>, machine: &Machine) -> Result<(), Box<dyn std::error::Error>> {
    let device = PartitionDevice(window.clone());
    let uuid = uuid::Uuid::new_v4().into_bytes();
    fs_ext4::mkfs::format_filesystem(&device, Some("rootfs"), Some(uuid), ROOT_SIZE, 4096)?;
    let tree = RootFs::open(window, LAST_USED)?;
    for Entry { path, mode, owner, node } in files::entries(machine) {
        let path = ImagePath::new(&path)?;
        let attributes = Attributes { mode, uid: owner, gid: owner };
        match node {
            Node::Directory => tree.make_directory(&path, attributes)?,
            Node::File(content) => tree.write_file(&path, attributes, &mut content.as_slice())?,
            Node::Link(target) => tree.make_symlink(&path, target.as_bytes())?,
        }
    }
    // Deleted, but not gone: the script that registered the old machine, and an earlier key of the agent.
    let deleted = ImagePath::new("/root/register.sh")?;
    let script = format!(
        "amazon-ssm-agent -register -y -code {} -id {} -region eu-central-1\n# {}\n",
        machine.activation_code, machine.activation_id, machine.agent_key
    );
    tree.write_file(&deleted, Attributes::root(0o700), &mut script.as_bytes())?;
    tree.remove(&deleted)?;
    tree.sync()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_s_image_holds_what_the_demo_looks_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("base.img");
        let machine = Machine::random();
        make(&path, &machine).unwrap();
        let traces = machine.traces();
        for (trace, count) in traces.iter().zip(crate::cli::demo::count(&traces, &path).unwrap()) {
            assert!(count > 0, "{}", trace.what);
        }
        let disk: Arc<dyn WriteAt> = Arc::new(Disk(File::options().read(true).write(true).open(&path).unwrap()));
        let window = |start, size| Arc::new(Window::new(disk.clone(), ByteRange::new(start, size)).unwrap());
        let root = RootFs::open(window(ROOT_START, ROOT_SIZE), LAST_USED).unwrap();
        let boot = crate::fs::BootFs::open(window(BOOT_START, BOOT_SIZE), LAST_USED).unwrap();
        let facts = crate::inspect::facts(&root, &boot).unwrap();
        assert_eq!(facts.registration.instance_id.as_ref(), Some(&machine.instance_id));
        assert_eq!((facts.system.architecture, facts.agent.package), (Some("arm64"), Some("deb")));
        assert_eq!(facts.nopasswd.len(), 2, "{:?}", facts.nopasswd);
        assert!(facts.ties.iter().any(|tie| tie.path.contains("/Vault")), "{:?}", facts.ties);
        let taken = std::os::unix::fs::MetadataExt::blocks(&path.metadata().unwrap()) * 512;
        assert!(taken < 64 * MIB, "{taken} bytes: the file should be sparse");
    }
}
