//! What may be written to and what not. Loop devices stand in for cards; a made-up sysfs stands in for other machines.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cardsmith::flash::devices::{self, Transport};
use cardsmith::flash::gate::{self, GateError, GateOptions};
use cardsmith::flash::{Host, Medium, Refusal};
use cardsmith::units::ByteSize;

use crate::support::loop_device::LoopDevice;

const MIB: u64 = 1 << 20;

fn clear(target: &Path, options: &GateOptions) -> Result<Box<dyn Medium>, GateError> {
    clear_on(&Host::this(), target, options, ByteSize(8 * MIB))
}

fn clear_on(host: &Host, target: &Path, options: &GateOptions, needed: ByteSize) -> Result<Box<dyn Medium>, GateError> {
    let shown = gate::show_all(host, &[target.to_owned()], options, needed)?;
    gate::clear_shown(host, &shown, options, needed).map(|mut media| media.remove(0))
}

fn refused(result: Result<Box<dyn Medium>, GateError>) -> GateError {
    match result {
        Ok(_) => panic!("the gate let it through"),
        Err(error) => {
            assert!(!error.next_step().is_empty());
            error
        }
    }
}

fn fixed_ok(path: &Path) -> GateOptions {
    GateOptions { fixed_ok: vec![path.to_owned()], ..GateOptions::default() }
}

#[test]
fn a_loop_device_counts_as_fixed_until_its_path_is_given_again() {
    let Some(card) = LoopDevice::new(16 * MIB) else { return };
    let error = refused(clear(&card.path, &GateOptions::default()));
    assert!(matches!(&error, GateError::Refused { refusal: Refusal::Fixed, .. }), "{error}");
    assert!(error.next_step().contains(&format!("--fixed-ok {}", card.path.display())), "{}", error.next_step());
    // Another device's path does not count.
    refused(clear(&card.path, &fixed_ok(Path::new("/dev/null"))));
    let cleared = clear(&card.path, &fixed_ok(&card.path)).unwrap();
    assert_eq!(cleared.size(), ByteSize(16 * MIB));
    cleared.check_identity().unwrap();
}

#[test]
fn a_device_that_someone_else_holds_is_refused_by_the_kernel() {
    let Some(card) = LoopDevice::new(16 * MIB) else { return };
    let held = clear(&card.path, &fixed_ok(&card.path)).unwrap();
    let error = refused(clear(&card.path, &fixed_ok(&card.path)));
    assert!(matches!(error, GateError::Busy { .. }), "{error}");
    drop(held);
    clear(&card.path, &fixed_ok(&card.path)).unwrap();
}

#[test]
fn a_mounted_device_is_refused_and_the_mount_point_named() {
    let Some(card) = LoopDevice::new(16 * MIB) else { return };
    let dir = tempfile::Builder::new().prefix("a mount point ").tempdir().unwrap();
    let mounted = card.mount(dir.path());
    let error = refused(clear(&card.path, &fixed_ok(&card.path)));
    let at = dir.path().display().to_string();
    assert!(matches!(&error, GateError::Refused { refusal: Refusal::Mounted { .. }, .. }), "{error}");
    assert!(error.to_string().contains(&at) && error.next_step().contains(&at), "{error}");
    drop(mounted);
    clear(&card.path, &fixed_ok(&card.path)).unwrap();
}

/// The first partition of a loop device that scans for them.
struct Partition(PathBuf);

impl Partition {
    fn on(card: &LoopDevice) -> Option<Partition> {
        let script = "label: dos\nstart=2048, size=20480, type=83\n";
        let mut sfdisk = std::process::Command::new("sfdisk")
            .arg("-q")
            .arg(&card.path)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut sfdisk.stdin.take().unwrap(), script.as_bytes()).unwrap();
        assert!(sfdisk.wait().unwrap().success());
        let partition = PathBuf::from(format!("{}p1", card.path.display()));
        let number = format!("/sys/class/block/{}/dev", partition.file_name().unwrap().to_str().unwrap());
        if !partition.exists() {
            // No udev here: the node is made by hand, for this test's own device.
            let Ok(number) = std::fs::read_to_string(number) else {
                eprintln!("SKIPPED, NOT TESTED: the kernel scans no partitions of loop devices here");
                return None;
            };
            let (major, minor) = number.trim().split_once(':').unwrap();
            let made = std::process::Command::new("mknod").arg(&partition).args(["b", major, minor]).status().unwrap();
            assert!(made.success());
        }
        Some(Partition(partition))
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_mounted_partition_protects_its_disk_and_a_partition_is_no_target() {
    let Some(card) = LoopDevice::with(32 * MIB, &["--partscan"]) else { return };
    let Some(made) = Partition::on(&card) else { return };
    let partition = made.0.clone();
    let error = refused(clear(&partition, &fixed_ok(&partition)));
    assert!(matches!(&error, GateError::Partition { disk: Some(disk), .. } if *disk == card.path), "{error}");

    let dir = tempfile::tempdir().unwrap();
    assert!(std::process::Command::new("mke2fs").args(["-qFt", "ext4"]).arg(&partition).status().unwrap().success());
    assert!(std::process::Command::new("mount").arg(&partition).arg(dir.path()).status().unwrap().success());
    let error = refused(clear(&card.path, &fixed_ok(&card.path)));
    assert!(std::process::Command::new("umount").arg(dir.path()).status().unwrap().success());
    assert!(matches!(&error, GateError::Refused { refusal: Refusal::Mounted { .. }, .. }), "{error}");
}

#[test]
fn a_card_that_is_too_small_is_refused_before_anything_is_written() {
    let Some(card) = LoopDevice::new(4 * MIB) else { return };
    let before = card.bytes();
    let error = refused(clear(&card.path, &fixed_ok(&card.path)));
    let small = Refusal::TooSmall { size: ByteSize(4 * MIB), needed: ByteSize(8 * MIB) };
    assert!(matches!(&error, GateError::Refused { refusal, .. } if *refusal == small), "{error}");
    assert_eq!(card.bytes(), before);
}

#[test]
fn a_read_only_device_is_refused() {
    let Some(card) = LoopDevice::with(16 * MIB, &["--read-only"]) else { return };
    let error = refused(clear(&card.path, &fixed_ok(&card.path)));
    assert!(matches!(&error, GateError::Refused { refusal: Refusal::ReadOnly, .. }), "{error}");
}

#[test]
fn a_link_to_a_device_is_followed_and_judged_as_the_device() {
    let Some(card) = LoopDevice::new(16 * MIB) else { return };
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("by-id");
    symlink(&card.path, &link).unwrap();
    refused(clear(&link, &GateOptions::default()));
    clear(&link, &fixed_ok(&card.path)).unwrap();
    let error = gate::show_all(&Host::this(), &[link, card.path.clone()], &fixed_ok(&card.path), ByteSize(MIB));
    assert!(matches!(error, Err(GateError::Twice { .. })));
}

#[test]
fn the_disk_of_the_running_system_is_refused() {
    let system = devices::list(&Host::this())
        .unwrap()
        .into_iter()
        .find(|device| matches!(device.refusal(true, None), Some(Refusal::System { .. })));
    let Some(system) = system else {
        eprintln!("SKIPPED, NOT TESTED: the root file system lies on no disk that is visible here");
        return;
    };
    // Without --fixed-ok on purpose: should the first check ever be lost, the second one still stands.
    let error = refused(clear(&system.path, &GateOptions::default()));
    assert!(matches!(&error, GateError::Refused { refusal: Refusal::System { .. }, .. }), "{error}");
}

#[test]
fn the_disk_of_the_running_system_is_refused_even_with_fixed_ok() {
    let Some(card) = LoopDevice::new(16 * MIB) else { return };
    let number =
        std::fs::read_to_string(format!("/sys/block/{}/dev", card.path.file_name().unwrap().to_str().unwrap()));
    let host = tempfile::tempdir().unwrap();
    symlink("/sys", host.path().join("sys")).unwrap();
    symlink("/dev", host.path().join("dev")).unwrap();
    std::fs::create_dir_all(host.path().join("proc/self")).unwrap();
    let line = format!("27 1 {} / / rw - ext4 {} rw\n", number.unwrap().trim(), card.path.display());
    std::fs::write(host.path().join("proc/self/mountinfo"), line).unwrap();
    let told = Host::under(host.path());
    let error = refused(clear_on(&told, &card.path, &fixed_ok(&card.path), ByteSize(MIB)));
    assert!(matches!(&error, GateError::Refused { refusal: Refusal::System { .. }, .. }), "{error}");
    assert!(error.next_step().contains("never"), "{}", error.next_step());
}

#[test]
fn what_is_no_card_is_refused_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let none = GateOptions::default();
    assert!(matches!(refused(clear(dir.path(), &none)), GateError::Directory { .. }));
    assert!(matches!(refused(clear(Path::new("/dev/null"), &none)), GateError::NeitherDeviceNorFile { .. }));
    assert!(matches!(refused(clear(Path::new("/dev/sdzz"), &none)), GateError::NotThere { .. }));
    assert!(!Path::new("/dev/sdzz").exists());
    assert!(matches!(refused(clear(&dir.path().join("no/card.img"), &none)), GateError::NotThere { .. }));
    symlink(dir.path().join("nowhere"), dir.path().join("dangling")).unwrap();
    assert!(matches!(refused(clear(&dir.path().join("dangling"), &none)), GateError::NotThere { .. }));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_card_image_appears_only_when_it_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("card.img");
    let card = clear(&target, &GateOptions::default()).unwrap();
    assert!(!target.exists());
    drop(card);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

    clear(&target, &GateOptions::default()).unwrap().finish().unwrap();
    assert_eq!(std::fs::metadata(&target).unwrap().len(), 8 * MIB);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&target).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "a card image holds an activation");

    assert!(matches!(refused(clear(&target, &GateOptions::default())), GateError::Exists { .. }));
    let overwrite = GateOptions { overwrite: true, ..GateOptions::default() };
    clear(&target, &overwrite).unwrap();
    let mut input = overwrite;
    input.inputs.add(&target, "the golden image");
    assert!(matches!(refused(clear(&target, &input)), GateError::Input(_)));
    assert_eq!(std::fs::metadata(&target).unwrap().len(), 8 * MIB);
}

/// A machine's sysfs, procfs and /dev in a folder.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new(mountinfo: &str, swaps: &str) -> Machine {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/self")).unwrap();
        std::fs::create_dir_all(dir.path().join("sys/block")).unwrap();
        std::fs::create_dir_all(dir.path().join("dev/mapper")).unwrap();
        std::fs::write(dir.path().join("proc/self/mountinfo"), mountinfo).unwrap();
        std::fs::write(dir.path().join("proc/swaps"), format!("Filename Type Size Used Priority\n{swaps}")).unwrap();
        Machine(dir)
    }

    /// `place`: the disk's folder below sys/devices. Attributes are files below it.
    fn disk(&self, place: &str, number: &str, attributes: &[(&str, &str)]) -> &Machine {
        let real = self.0.path().join("sys/devices").join(place);
        std::fs::create_dir_all(&real).unwrap();
        let name = real.file_name().unwrap().to_owned();
        let usual = [("dev", number), ("size", "61063168"), ("ro", "0"), ("removable", "0")];
        for (file, value) in usual.iter().chain(attributes) {
            let path = real.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{value}\n")).unwrap();
        }
        symlink(&real, self.0.path().join("sys/block").join(&name)).unwrap();
        std::fs::write(self.0.path().join("dev").join(&name), "").unwrap();
        self
    }

    fn list(&self) -> Vec<cardsmith::flash::Device> {
        devices::list(&Host::under(self.0.path())).unwrap()
    }

    fn find(&self, name: &str) -> cardsmith::flash::Device {
        self.list().into_iter().find(|device| device.path.ends_with(name)).unwrap()
    }
}

#[test]
fn a_bench_that_is_a_raspberry_pi_keeps_its_own_card_and_offers_the_one_in_the_reader() {
    let pi = Machine::new(
        "22 1 179:2 / / rw - ext4 /dev/mmcblk0p2 rw\n23 22 179:1 / /boot/firmware rw - vfat /dev/mmcblk0p1 rw\n",
        "/var/swap file 204796 0 -2\n",
    );
    pi.disk(
        "platform/soc/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0",
        "179:0",
        &[
            ("device/type", "SD"),
            ("device/cid", "1b534d454231515430"),
            ("device/name", "EB1QT"),
            ("mmcblk0p1/partition", "1"),
            ("mmcblk0p1/dev", "179:1"),
            ("mmcblk0p2/partition", "2"),
            ("mmcblk0p2/dev", "179:2"),
        ],
    );
    pi.disk(
        "platform/scb/pci0/usb1/1-1/1-1.3/1-1.3:1.0/host0/target0:0:0/0:0:0:1/block/sda",
        "8:0",
        &[("removable", "1"), ("device/vendor", "Generic"), ("device/model", "STORAGE DEVICE"), ("diskseq", "9")],
    );
    let own = pi.find("mmcblk0");
    let what = vec!["/".to_owned(), "/boot/firmware".to_owned(), "swap".to_owned()];
    assert_eq!(own.refusal(true, None), Some(Refusal::System { what }));
    assert_eq!((own.transport, own.slot.as_deref()), (Transport::Sd, Some("mmc0")));
    assert_eq!(own.serial.as_deref(), Some("1b534d454231515430"));
    let card = pi.find("sda");
    assert_eq!(card.refusal(false, None), None);
    assert_eq!((card.transport, card.slot.as_deref()), (Transport::Usb, Some("usb-1-1.3.lun1")));
    assert_eq!((card.description().as_str(), card.diskseq), ("Generic STORAGE DEVICE", Some(9)));
}

#[test]
fn an_sd_card_in_its_own_slot_is_removable_and_soldered_memory_is_not() {
    let laptop = Machine::new("22 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n", "");
    laptop.disk("pci0/mmc_host/mmc0/mmc0:1/block/mmcblk0", "179:0", &[("device/type", "SD")]);
    laptop.disk("pci0/mmc_host/mmc1/mmc1:1/block/mmcblk1", "179:8", &[("device/type", "MMC")]);
    laptop.disk(
        "pci0/usb1/1-2/1-2:1.0/host0/target0:0:0/0:0:0:0/block/sdb",
        "8:16",
        &[("size", "0"), ("removable", "1")],
    );
    laptop.disk("pci0/ata2/host1/target1:0:0/1:0:0:0/block/sr0", "11:0", &[("removable", "1")]);
    assert_eq!(laptop.find("mmcblk0").refusal(false, None), None);
    assert_eq!(laptop.find("mmcblk1").refusal(false, None), Some(Refusal::Fixed));
    assert_eq!(laptop.find("sdb").refusal(false, None), Some(Refusal::NoMedium));
    assert_eq!(laptop.find("sr0").refusal(true, None), Some(Refusal::Optical));
}

#[test]
fn the_system_is_found_through_encryption_raid_btrfs_overlays_and_loop_files() {
    // / is an overlay over a squashfs in a file on a stick; swap lies on an encrypted partition; /srv is a btrfs of two disks.
    let machine = Machine::new(
        "20 1 8:1 / /run/live rw - ext4 /dev/sda1 rw\n\
         21 1 7:0 / /run/rootfs ro - squashfs /dev/loop0 ro\n\
         22 1 0:40 / / rw - overlay overlay rw,lowerdir=/run/rootfs,upperdir=/run/live/upper\n\
         23 22 0:50 / /srv/with\\040blank rw - btrfs /dev/sdc rw\n\
         24 22 254:1 / /mnt rw - ext4 /dev/mapper/data rw\n",
        "/dev/dm-0 partition 1 0 -2\n",
    );
    let removable = ("removable", "1");
    machine.disk("pci0/block/sda", "8:0", &[removable, ("sda1/partition", "1"), ("sda1/dev", "8:1")]);
    machine.disk("virtual/block/loop0", "7:0", &[("loop/backing_file", "/run/live/filesystem.squashfs")]);
    machine.disk(
        "pci0/block/sdb",
        "8:16",
        &[removable, ("sdb1/partition", "1"), ("sdb1/dev", "8:17"), ("sdb1/holders/dm-0", "")],
    );
    machine.disk("virtual/block/dm-0", "254:0", &[("slaves/sdb1", "")]);
    machine.disk("pci0/block/sdc", "8:32", &[removable]);
    machine.disk("pci0/block/sdd", "8:48", &[removable]);
    machine.disk("pci0/block/sde", "8:64", &[removable, ("holders/md0", "")]);
    machine.disk("pci0/block/sdf", "8:80", &[removable]);
    let pool = machine.0.path().join("sys/fs/btrfs/1234/devices");
    std::fs::create_dir_all(&pool).unwrap();
    for member in ["sdc", "sdd"] {
        std::fs::write(pool.join(member), "").unwrap();
    }
    let what = |name: &str| machine.find(name).refusal(true, None);
    assert_eq!(what("sda"), Some(Refusal::System { what: vec!["/".to_owned()] }));
    assert_eq!(what("loop0"), Some(Refusal::System { what: vec!["/".to_owned()] }));
    assert_eq!(what("sdb"), Some(Refusal::System { what: vec!["swap".to_owned()] }));
    assert_eq!(what("sdc"), Some(Refusal::Mounted { at: vec!["/srv/with blank".to_owned()] }));
    assert_eq!(what("sdd"), Some(Refusal::Mounted { at: vec!["/srv/with blank".to_owned()] }));
    assert_eq!(what("sde"), Some(Refusal::Held { by: vec!["md0".to_owned()] }));
    assert_eq!(what("sdf"), None);
}

#[test]
fn a_removable_disk_that_is_larger_than_any_card_is_only_taken_when_it_is_named_again() {
    let machine = Machine::new("22 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n", "");
    let sectors = |bytes: u64| (bytes / 512).to_string();
    let (card, disk) = (sectors(2 << 40), sectors(4 << 40));
    machine.disk("pci0/usb1/1-2/block/sda", "8:0", &[("removable", "1"), ("size", &card)]);
    machine.disk("pci0/usb1/1-3/block/sdb", "8:16", &[("removable", "1"), ("size", &disk)]);
    assert_eq!(machine.find("sda").refusal(false, None), None);
    let refused = machine.find("sdb").refusal(false, None).unwrap();
    assert_eq!(refused, Refusal::TooLarge { size: ByteSize(4 << 40) });
    assert!(refused.next_step("/dev/sdb").contains("--fixed-ok /dev/sdb"));
    assert_eq!(machine.find("sdb").refusal(true, None), None);
}

#[test]
fn the_disk_below_a_mounted_volume_of_lvm_on_raid_is_found_through_both() {
    let machine = Machine::new("22 1 254:3 / /srv rw - ext4 /dev/mapper/vg-data rw\n", "");
    machine.disk(
        "pci0/block/sda",
        "8:0",
        &[("removable", "1"), ("sda1/partition", "1"), ("sda1/dev", "8:1"), ("sda1/holders/md0", "")],
    );
    machine.disk("virtual/block/md0", "9:0", &[("slaves/sda1", ""), ("holders/dm-3", "")]);
    machine.disk("virtual/block/dm-3", "254:3", &[("slaves/md0", "")]);
    let at = vec!["/srv".to_owned()];
    for name in ["sda", "md0", "dm-3"] {
        assert_eq!(machine.find(name).refusal(true, None), Some(Refusal::Mounted { at: at.clone() }), "{name}");
    }
}

#[test]
fn loop_devices_swap_and_btrfs_members_hold_their_disks_by_whatever_name() {
    // The mount of the btrfs names a device that is not called so here; swap goes by UUID, and to a partition's file.
    let machine = Machine::new(
        "20 1 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n\
         21 1 0:50 / /srv rw - btrfs /dev/mapper/elsewhere rw\n\
         22 1 8:65 / /media/caf\\351 rw shared:7 master:2 - ext4 /dev/sde1 rw\n",
        "/dev/disk/by-uuid/12-34 partition 1 0 -2\n",
    );
    let partition = |name: &str, number: &str| -> Vec<(String, String)> {
        vec![(format!("{name}/partition"), "1".to_owned()), (format!("{name}/dev"), number.to_owned())]
    };
    let disk = |place: &str, number: &str, more: Vec<(String, String)>| {
        let mut all = vec![("removable".to_owned(), "1".to_owned())];
        all.extend(more);
        let all: Vec<(&str, &str)> = all.iter().map(|(file, value)| (file.as_str(), value.as_str())).collect();
        machine.disk(place, number, &all);
    };
    disk("pci0/block/sda", "8:0", vec![]);
    disk("pci0/block/sdb", "8:16", partition("sdb1", "8:17"));
    disk("pci0/block/sdc", "8:32", partition("sdc1", "8:33"));
    disk("pci0/block/sdd", "8:48", partition("sdd1", "8:49"));
    disk("pci0/block/sde", "8:64", partition("sde1", "8:65"));
    disk("pci0/block/sdf", "8:80", vec![]);
    let backed = |name: &str, number: &str, by: &str| {
        machine.disk(&format!("virtual/block/{name}"), number, &[("loop/backing_file", by)]);
    };
    // Nothing of these is mounted; the last one is attached to a loop device.
    backed("loop0", "7:0", "/dev/sda");
    backed("loop1", "7:1", "/dev/sdb1");
    backed("loop2", "7:2", "/dev/loop1");
    let dev = machine.0.path().join("dev");
    for name in ["sdb1", "sdc1", "sdd1"] {
        std::fs::write(dev.join(name), "").unwrap();
    }
    std::fs::create_dir_all(dev.join("disk/by-uuid")).unwrap();
    symlink("../../sdc1", dev.join("disk/by-uuid/12-34")).unwrap();
    let pool = machine.0.path().join("sys/fs/btrfs/0d15ea5e/devices");
    std::fs::create_dir_all(&pool).unwrap();
    std::fs::write(pool.join("sdd1"), "").unwrap();

    let what = |name: &str| machine.find(name).refusal(true, None);
    let loops = |all: &[&str]| Some(Refusal::Looped { by: all.iter().map(|one| (*one).to_owned()).collect() });
    assert_eq!(what("sda"), loops(&["/dev/loop0 (/dev/sda)"]));
    assert_eq!(what("sdb"), loops(&["/dev/loop1 (/dev/sdb1)", "/dev/loop2 (/dev/loop1)"]));
    assert_eq!(what("loop1"), loops(&["/dev/loop2 (/dev/loop1)"]));
    assert_eq!(what("sdc"), Some(Refusal::System { what: vec!["swap".to_owned()] }));
    assert_eq!(what("sdd"), Some(Refusal::Held { by: vec!["btrfs 0d15ea5e".to_owned()] }));
    assert!(matches!(what("sde"), Some(Refusal::Mounted { .. })), "names are bytes");
    assert_eq!((what("loop0"), what("loop2"), what("sdf")), (None, None, None));

    // To write to a loop device is to write to the device that it is attached to.
    backed("loop3", "7:3", "/dev/sdc1");
    backed("loop4", "7:4", "/dev/loop3");
    backed("loop5", "7:5", "/dev/sde");
    for name in ["loop3", "loop4"] {
        assert_eq!(what(name), Some(Refusal::System { what: vec!["swap".to_owned()] }), "{name}");
    }
    assert!(matches!(what("loop5"), Some(Refusal::Mounted { .. })));
}

fn losetup(args: &[&std::ffi::OsStr]) -> String {
    let out = std::process::Command::new("losetup").args(args).output().unwrap();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// A loop device on what is there already, detached when the test ends.
struct Attached(String);

impl Attached {
    fn to(what: &Path) -> Attached {
        Attached(losetup(&["-f".as_ref(), "--show".as_ref(), what.as_os_str()]))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        losetup(&["-d".as_ref(), self.0.as_ref()]);
    }
}

#[test]
fn a_device_with_a_loop_device_on_it_is_refused_although_the_kernel_would_give_it_away() {
    let Some(card) = LoopDevice::new(16 * MIB) else { return };
    let before = card.bytes();
    let refuse = |by: &str| {
        let error = refused(clear(&card.path, &fixed_ok(&card.path)));
        assert!(matches!(&error, GateError::Refused { refusal: Refusal::Looped { .. }, .. }), "{error}");
        assert!(error.to_string().contains(by) && error.next_step().contains("losetup -d"), "{error}");
    };
    {
        let inner = Attached::to(&card.path);
        // The kernel's own defence does not see it.
        let exclusive = i32::try_from(rustix::fs::OFlags::EXCL.bits()).unwrap();
        let mut options = std::fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::custom_flags(options.read(true).write(true), exclusive);
        options.open(&card.path).unwrap();
        refuse(&inner.0);
        let outer = Attached::to(Path::new(&inner.0));
        refuse(&outer.0);
    }
    clear(&card.path, &fixed_ok(&card.path)).unwrap();
    assert!(card.bytes() == before, "it was written to");

    // On a file of a file system that is mounted nowhere any more.
    let dir = tempfile::tempdir().unwrap();
    let mounted = card.mount(dir.path());
    let file = dir.path().join("inner.img");
    std::fs::File::create(&file).unwrap().set_len(4 * MIB).unwrap();
    let inner = Attached::to(&file);
    assert!(std::process::Command::new("umount").arg("-l").arg(dir.path()).status().unwrap().success());
    std::mem::forget(mounted);
    refuse(&inner.0);
}

#[test]
fn a_disk_whose_partition_somebody_holds_is_not_given_away_by_the_kernel() {
    let Some(card) = LoopDevice::with(32 * MIB, &["--partscan"]) else { return };
    let Some(partition) = Partition::on(&card) else { return };
    let exclusive = i32::try_from(rustix::fs::OFlags::EXCL.bits()).unwrap();
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(options.read(true), exclusive);
    // As ZFS, LVM and an array that was not started do, of which sysfs tells nothing.
    let held = options.open(&partition.0).unwrap();
    let error = refused(clear(&card.path, &fixed_ok(&card.path)));
    assert!(matches!(error, GateError::Busy { .. }), "{error}");
    drop(held);
    {
        let on_it = Attached::to(&partition.0);
        let error = refused(clear(&card.path, &fixed_ok(&card.path)));
        assert!(matches!(&error, GateError::Refused { refusal: Refusal::Looped { .. }, .. }), "{error}");
        assert!(error.to_string().contains(&on_it.0), "{error}");
    }
    clear(&card.path, &fixed_ok(&card.path)).unwrap();
}

#[test]
fn a_device_that_is_swapped_to_is_refused() {
    let Some(card) = LoopDevice::new(16 * MIB) else { return };
    let run = |program: &str| std::process::Command::new(program).arg(&card.path).output().unwrap().status.success();
    if !run("mkswap") || !run("swapon") {
        eprintln!("SKIPPED, NOT TESTED: this kernel does not swap to a loop device");
        return;
    }
    let error = refused(clear(&card.path, &fixed_ok(&card.path)));
    assert!(run("swapoff"));
    assert!(matches!(&error, GateError::Refused { refusal: Refusal::System { .. }, .. }), "{error}");
}

#[test]
fn a_medium_that_was_exchanged_since_it_was_shown_is_not_written_to() {
    let Some(reader) = LoopDevice::reader(16 * MIB) else { return };
    let (host, options) = (Host::this(), fixed_ok(&reader.path));
    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other.path(), vec![0x5a; 16 << 20]).unwrap();
    let targets = [reader.path.clone()];
    let shown = gate::show_all(&host, &targets, &options, ByteSize(8 * MIB)).unwrap();
    drop(gate::clear_shown(&host, &shown, &options, ByteSize(8 * MIB)).unwrap());

    reader.take_out();
    reader.put_in(other.path());
    let Err(error) = gate::clear_shown(&host, &shown, &options, ByteSize(8 * MIB)) else {
        panic!("it was let through")
    };
    assert!(matches!(error, GateError::AnotherMedium { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains(reader.path.to_str().unwrap()) && said.contains("medium number"), "{said}");
    assert!(error.next_step().contains("compared"), "{}", error.next_step());
    assert!(std::fs::read(other.path()).unwrap().iter().all(|byte| *byte == 0x5a));
    // Even the same file, put in again, is another medium to who said yes.
    reader.take_out();
    reader.put_in(reader.file.path());
    assert!(gate::clear_shown(&host, &shown, &options, ByteSize(8 * MIB)).is_err());
    gate::show_all(&host, &targets, &options, ByteSize(8 * MIB)).unwrap();
}

#[test]
fn a_card_image_that_was_exchanged_since_it_was_shown_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("card.img");
    let write = |text: &str| std::fs::write(&target, text).unwrap();
    write("old");
    let (host, size) = (Host::this(), ByteSize(MIB));
    let overwrite = GateOptions { overwrite: true, ..GateOptions::default() };
    let shown = gate::show_all(&host, std::slice::from_ref(&target), &overwrite, size).unwrap();
    let exchange = || {
        std::fs::rename(&target, dir.path().join("aside.img")).unwrap();
        write("somebody else's");
    };
    exchange();
    let Err(error) = gate::clear_shown(&host, &shown, &overwrite, size) else { panic!("it was let through") };
    assert!(matches!(error, GateError::AnotherMedium { .. }), "{error}");
    // While it was written.
    let card = clear(&target, &overwrite).unwrap();
    exchange();
    card.finish().unwrap_err();
    assert_eq!(std::fs::read(&target).unwrap(), b"somebody else's");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn two_loop_devices_on_one_file_hold_each_other_and_are_one_target() {
    let Some(card) = LoopDevice::new(16 * MIB) else { return };
    let other = Attached::to(card.file.path());
    let error = refused(clear(&card.path, &fixed_ok(&card.path)));
    assert!(matches!(&error, GateError::Refused { refusal: Refusal::Looped { .. }, .. }), "{error}");
    assert!(error.to_string().contains(&other.0), "{error}");
    let targets = [card.path.clone(), PathBuf::from(&other.0)];
    let options = GateOptions { fixed_ok: targets.to_vec(), ..GateOptions::default() };
    let error = gate::show_all(&Host::this(), &targets, &options, ByteSize(MIB));
    assert!(matches!(error, Err(GateError::Twice { .. })), "{error:?}");
}

#[test]
fn without_a_list_of_mounts_no_device_is_called_free() {
    let machine = Machine::new("", "");
    machine.disk("pci0/block/sda", "8:0", &[("removable", "1")]);
    std::fs::remove_file(machine.0.path().join("proc/self/mountinfo")).unwrap();
    assert!(devices::list(&Host::under(machine.0.path())).is_err());
}
