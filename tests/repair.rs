//! Cards whose power was cut: our repair gives the same files as the Linux kernel's.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use cardsmith::fs::ext4::Superblock;
use cardsmith::fs::ext4::groups::Groups;
use cardsmith::fs::ext4::inode::slot_at;
use cardsmith::fs::repair::repair;
use cardsmith::fs::{BootFs, Clock, FsError, RootFs, check};
use cardsmith::image::overlay::Overlay;
use cardsmith::image::{ReadAt, WriteAt};
use cardsmith::units::ByteOffset;
use std::sync::Arc;

use crate::bootfs::{assert_fat_clean, fat, get};
use crate::support::ext4_disk::{Disk, FEATURE_SETS, FileBytes, run};
use crate::support::need;

const CLOCK: Clock = Clock { seconds: 1_760_000_000 };

/// A disk as it is when the power goes while files are written, deleted and still open. A process of its own does that,
/// which takes its open files away with it, so that the disk can be unmounted.
fn power_cut(options: &[&str]) -> Disk {
    let disk = Disk::ext4(64, options, |top| {
        fs::create_dir_all(top.join("etc")).unwrap();
        for n in 0..50 {
            fs::write(top.join(format!("etc/old-{n}")), vec![n as u8; 3000]).unwrap();
        }
    });
    let cut = disk.copy();
    let script = r#"
        set -e; cd "$1"
        for n in $(seq 0 29); do rm etc/old-$n; head -c $((5000 * (n + 1))) /dev/zero | tr '\0' x > etc/new-$n; done
        mkdir gone
        for n in 3 4 5 6; do eval "exec $n> open-$n"; head -c $((100000 * (n - 3))) /dev/zero >&$n; sync open-$n; done
        exec 7< gone; rmdir gone
        rm open-3 open-4 open-5 open-6
        echo words > last; sync last .
        cp --sparse=always "$2" "$3"
    "#;
    disk.mounted("rw,commit=1000", |top| {
        run(std::process::Command::new("bash").args(["-c", script, "-"]).arg(top).arg(&disk.path).arg(&cut.path));
    });
    cut
}

#[test]
fn a_power_cut_card_is_repaired_to_what_the_kernel_makes_of_it() {
    if !need("mke2fs") || !need("e2fsck") || !need("bash") {
        return;
    }
    for (name, options) in FEATURE_SETS.iter().filter(|(name, _)| *name != "no journal") {
        let cut = power_cut(options);
        let untouched = cut.sha256();
        let overlay = cut.overlay();
        assert!(matches!(RootFs::open(overlay.clone(), CLOCK), Err(FsError::Corrupt { .. })), "{name}: nothing to do");
        let report = repair(overlay.clone(), CLOCK).unwrap_or_else(|e| panic!("{name}: {e}")).unwrap();
        assert!(report.by.starts_with("cardsmith"), "{name}: {report}");
        assert!(report.to_string().contains("replayed"), "{name}: {report}");
        assert_eq!(*name == "trixie", report.to_string().contains("orphan file"), "{name}: {report}");
        let ours = Disk::from_bytes(&overlay);
        ours.assert_clean(name);
        let theirs = cut.copy();
        theirs.mounted("rw", |_| {});
        assert_eq!(ours.kernel_tree(), theirs.kernel_tree(), "{name}");
        assert!(ours.kernel_tree().contains_key("/last"), "{name}");
        check::check(overlay.clone()).unwrap();
        RootFs::open(overlay.clone(), CLOCK).unwrap();
        assert_eq!(repair(overlay, CLOCK).unwrap(), None, "{name}: the second repair");
        assert_eq!(cut.sha256(), untouched, "{name}: the input changed");
    }
}

#[test]
fn the_same_power_cut_is_repaired_to_the_same_bytes() {
    if !need("mke2fs") || !need("bash") {
        return;
    }
    let cut = power_cut(FEATURE_SETS[2].1);
    let digest = || {
        let overlay = cut.overlay();
        repair(overlay.clone(), CLOCK).unwrap().unwrap();
        Disk::from_bytes(&overlay).sha256()
    };
    let first = digest();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(first, digest());
}

#[test]
fn what_we_cannot_repair_is_left_to_e2fsck_and_said_so() {
    if !need("mke2fs") || !need("e2fsck") {
        return;
    }
    let disk = Disk::ext4(24, &["-O", "^metadata_csum"], |top| fs::write(top.join("x"), [1; 9000]).unwrap());
    let overlay = disk.overlay();
    let (inode, descriptor) = {
        let sb = Superblock::read(&overlay).unwrap();
        let groups = Groups::read(&overlay, &sb).unwrap();
        (slot_at(&sb, &groups, 12).unwrap().0, (u64::from(sb.first_data_block) + 1) * sb.block_size())
    };
    let repaired = |at: u64, by: &str| {
        let overlay = disk.overlay();
        overlay.write_at(ByteOffset(at), &[9, 9]).unwrap();
        let report = repair(overlay.clone(), CLOCK).unwrap().unwrap();
        assert!(report.by.contains(by), "{report}");
        let ours = Disk::from_bytes(&overlay);
        ours.assert_clean("wrong counts");
        assert_eq!(ours.kernel_tree(), disk.kernel_tree());
        check::check(overlay.clone()).unwrap();
        assert_eq!(repair(overlay, CLOCK).unwrap(), None);
    };
    // Free counts of the superblock and of a group: ours. How much a file has allocated: e2fsck's.
    repaired(0x40C, "cardsmith");
    repaired(descriptor + 0x0C, "cardsmith");
    repaired(inode + 0x1C, "e2fsck");
}

#[test]
fn a_journal_of_fast_commits_is_refused_because_only_linux_replays_it() {
    if !need("mke2fs") || !need("bash") {
        return;
    }
    let cut = power_cut(&["-O", "fast_commit"]);
    let overlay = cut.overlay();
    let result = repair(overlay.clone(), CLOCK);
    assert!(matches!(&result, Err(FsError::Unsupported { what, .. }) if what.contains("mount it once")), "{result:?}");
    assert_eq!(overlay.changed(), []);
}

#[test]
fn damage_beyond_repair_is_refused_and_leaves_the_overlay_as_it_was() {
    if !need("mke2fs") || !need("e2fsck") {
        return;
    }
    let disk = Disk::ext4(24, &["-O", "^metadata_csum"], |top| fs::write(top.join("x"), [1; 9000]).unwrap());
    // The root directory's inode becomes a file.
    let overlay = disk.overlay();
    let table = {
        let sb = Superblock::read(&overlay).unwrap();
        let groups = Groups::read(&overlay, &sb).unwrap();
        groups.all[0].inode_table * sb.block_size()
    };
    File::options().write(true).open(&disk.path).unwrap().write_all_at(&[0xA4, 0x81], table + 256).unwrap();
    let overlay = disk.overlay();
    let result = repair(overlay.clone(), CLOCK);
    assert!(matches!(result, Err(FsError::Corrupt { .. })), "{result:?}");
    assert_eq!(overlay.changed(), []);
}

#[test]
fn a_fat_that_was_in_use_is_made_clean() {
    if !need("mkfs.vfat") || !need("mcopy") || !need("fsck.fat") {
        return;
    }
    for (options, mib) in [(&["-F", "12"][..], 8), (&["-F", "16"], 40), (&["-F", "32"], 64)] {
        let disk = fat(options, mib, &[("/config.txt", &[3; 70_000]), ("/short.txt", &[4; 100])]);
        let overlay = Arc::new(Overlay::new(Arc::new(FileBytes(File::open(&disk.path).unwrap()))).unwrap());
        assert_eq!(repair(overlay.clone(), CLOCK).unwrap(), None, "{options:?}");
        let mut volume = cardsmith::fs::fat::FatVolume::read(&overlay).unwrap();
        // In use, two lost clusters, a file that claims too little, and copies of the table that differ.
        overlay.write_at(ByteOffset(if options[1] == "32" { 0x41 } else { 0x25 }), &[1]).unwrap();
        let lost = volume.clusters / 2;
        let end = volume.end_mark();
        volume.set_entry(&*overlay, lost, lost + 1).unwrap();
        volume.set_entry(&*overlay, lost + 1, end).unwrap();
        let tree = cardsmith::fs::fat::FatTree::read(&overlay, &volume).unwrap();
        let large = tree.nodes.iter().find(|node| node.size == 70_000).unwrap();
        overlay.write_at(ByteOffset(large.entry_at.unwrap() + 28), &9_000u32.to_le_bytes()).unwrap();
        let at = volume.table_start + volume.table_bytes + u64::from(lost) + 100;
        let mut byte = [0];
        overlay.read_at(ByteOffset(at), &mut byte).unwrap();
        overlay.write_at(ByteOffset(at), &[!byte[0]]).unwrap();

        let report = repair(overlay.clone(), CLOCK).unwrap().unwrap().to_string();
        for said in ["in use", "2 clusters", "1 files", "copies"] {
            assert!(report.contains(said), "{options:?}: {report}");
        }
        let ours = Disk::from_bytes(&overlay);
        assert_fat_clean(&ours, "repaired");
        assert_eq!(get(&ours.path, "/config.txt"), [3; 9_000]);
        assert_eq!(get(&ours.path, "/short.txt"), [4; 100]);
        BootFs::open(overlay.clone(), CLOCK).unwrap();
        assert_eq!(repair(overlay, CLOCK).unwrap(), None);
    }
}
