//! Partition tables: made by sfdisk, judged by what sfdisk says of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use cardsmith::image::partition_table::PartitionError;
use cardsmith::image::{ImageFile, Memory, PartitionTable, TableKind, VolumeKind};

use crate::support;

/// A blank image of `mib` MiB that `sfdisk` partitioned by `script`.
fn partitioned(dir: &Path, mib: u64, script: &str) -> PathBuf {
    let path = dir.join("disk.img");
    std::fs::File::create(&path).unwrap().set_len(mib << 20).unwrap();
    support::run_with_input(Command::new("sfdisk").arg("-q").arg(&path), script.as_bytes());
    path
}

fn read(path: &Path) -> Result<PartitionTable, PartitionError> {
    PartitionTable::read(&ImageFile::open(path).unwrap())
}

/// What sfdisk reads from the same image: (number, start, sectors, uuid).
fn by_sfdisk(path: &Path) -> Vec<(u32, u64, u64)> {
    let out = Command::new("sfdisk").arg("-J").arg(path).env("PATH", support::path()).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let list = json["partitiontable"]["partitions"].as_array().unwrap();
    list.iter()
        .map(|p| {
            let node = p["node"].as_str().unwrap();
            let number = node.trim_start_matches(path.to_str().unwrap()).parse().unwrap();
            (number, p["start"].as_u64().unwrap(), p["size"].as_u64().unwrap())
        })
        .collect()
}

fn ours(table: &PartitionTable) -> Vec<(u32, u64, u64)> {
    table.partitions.iter().map(|p| (p.number, p.range.start.0 / 512, p.range.len.0 / 512)).collect()
}

#[test]
fn an_mbr_is_read_as_sfdisk_reads_it() {
    if !support::need("sfdisk") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = "label: dos\nlabel-id: 0x4f2a9c31\nunit: sectors\n1: start=16384, size=73728, type=c\n3: start=90112, size=4096, type=82\n2: start=94208, type=83\n";
    let path = partitioned(dir.path(), 64, script);
    let table = read(&path).unwrap();
    assert_eq!((table.kind, table.disk_id.as_str()), (TableKind::Mbr, "4f2a9c31"));
    let mut expected = by_sfdisk(&path);
    expected.sort_unstable();
    assert_eq!(ours(&table), expected);
    assert_eq!(table.partition(2).unwrap().part_uuid, "4f2a9c31-02");
    assert_eq!(table.partition(1).unwrap().type_text, "0x0c FAT32 (LBA)");
}

#[test]
fn a_gpt_is_read_as_sfdisk_reads_it_also_where_the_capture_is_longer_than_the_disk_was() {
    if !support::need("sfdisk") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = "label: gpt\nlabel-id: 01234567-89AB-4DEF-8123-456789ABCDEF\n\
                  1: start=16384, size=73728, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, uuid=AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE\n\
                  5: start=90112, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4\n";
    let path = partitioned(dir.path(), 64, script);
    let table = read(&path).unwrap();
    assert_eq!(table.kind, TableKind::Gpt);
    assert_eq!(table.disk_id, "01234567-89ab-4def-8123-456789abcdef");
    assert_eq!(ours(&table), by_sfdisk(&path));
    assert_eq!(table.partition(1).unwrap().part_uuid, "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee");
    assert_eq!(table.partition(5).unwrap().type_text, "Linux filesystem");
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(80 << 20).unwrap();
    assert_eq!(read(&path).unwrap(), table);
}

#[test]
fn a_damaged_gpt_is_refused_wherever_a_bit_falls_over() {
    if !support::need("sfdisk") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = partitioned(dir.path(), 16, "label: gpt\nstart=2048, size=2048\nstart=4096, size=2048\n");
    let sound = std::fs::read(&path).unwrap();
    // The header is 92 bytes of sector 1; the entries begin with sector 2.
    for at in (512..512 + 92).chain(1024..1024 + 256) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        let result = PartitionTable::read(&Memory::new(bytes));
        assert!(matches!(result, Err(PartitionError::DamagedGpt { .. })), "byte {at}: {result:?}");
    }
}

/// An MBR with these (type, first sector, sectors) in an image of `sectors` sectors.
fn mbr(entries: &[(u8, u32, u32)], sectors: usize) -> Memory {
    let mut bytes = vec![0; sectors * 512];
    bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
    for (i, &(sys, first, count)) in entries.iter().enumerate() {
        let entry = &mut bytes[446 + 16 * i..462 + 16 * i];
        entry[4] = sys;
        entry[8..12].copy_from_slice(&first.to_le_bytes());
        entry[12..16].copy_from_slice(&count.to_le_bytes());
    }
    Memory::new(bytes)
}

#[test]
fn tables_that_make_no_sense_are_refused_by_name() {
    let refusal = |entries: &[(u8, u32, u32)]| PartitionTable::read(&mbr(entries, 100)).unwrap_err();
    assert!(matches!(refusal(&[]), PartitionError::NoPartitions { kind: TableKind::Mbr }));
    assert!(matches!(refusal(&[(0x83, 10, 91)]), PartitionError::OutOfRange { number: 1, .. }));
    assert!(matches!(refusal(&[(0x83, u32::MAX, u32::MAX)]), PartitionError::OutOfRange { .. }));
    assert!(matches!(refusal(&[(0x83, 0, 50)]), PartitionError::Senseless { number: 1, .. }));
    assert!(matches!(refusal(&[(0x83, 10, 0)]), PartitionError::Senseless { number: 1, .. }));
    assert!(matches!(refusal(&[(0x0C, 10, 20), (0x83, 29, 20)]), PartitionError::Overlap { first: 1, second: 2, .. }));
    assert!(matches!(refusal(&[(0x83, 30, 20), (0x0C, 10, 60)]), PartitionError::Overlap { first: 2, second: 1, .. }));
    for extended in [0x05, 0x0F, 0x85] {
        assert!(matches!(refusal(&[(0x0C, 10, 20), (extended, 30, 20)]), PartitionError::Extended { number: 2, .. }));
    }
    assert!(matches!(refusal(&[(0xEE, 1, 99)]), PartitionError::DamagedGpt { .. }));
    assert!(matches!(PartitionTable::read(&Memory::new(vec![])), Err(PartitionError::TooShort { .. })));
    assert!(matches!(PartitionTable::read(&Memory::new(vec![7; 51200])), Err(PartitionError::NoTable)));
    let table = PartitionTable::read(&mbr(&[(0x0C, 10, 20), (0x83, 30, 70)], 100)).unwrap();
    assert_eq!(ours(&table), [(1, 10, 20), (2, 30, 70)]);
}

/// Known as `kind`, and as that where somebody takes the bare volume for the image of a card.
#[track_caller]
fn assert_known(path: &Path, kind: VolumeKind, how: &str) {
    let image = ImageFile::open(path).unwrap();
    assert_eq!(VolumeKind::probe(&image).unwrap(), kind, "{how}");
    let refused = PartitionTable::read(&image).unwrap_err();
    assert!(matches!(&refused, PartitionError::BareVolume { found } if *found == kind), "{how}: {refused:?}");
}

#[test]
fn volumes_are_known_by_their_content() {
    // What makes it, by which tool, how many MiB large.
    let kinds = [
        ("mke2fs", "mke2fs -q -F -t ext2 $1", 48, VolumeKind::Ext2),
        ("mke2fs", "mke2fs -q -F -t ext3 $1", 48, VolumeKind::Ext3),
        ("mke2fs", "mke2fs -q -F -t ext4 $1", 48, VolumeKind::Ext4),
        ("mke2fs", "mke2fs -q -F -t ext4 -b 1024 -O ^64bit,^huge_file $1", 48, VolumeKind::Ext4),
        ("mkfs.fat", "mkfs.fat -F 12 $1", 1, VolumeKind::Fat12),
        ("mkfs.fat", "mkfs.fat -F 16 $1", 48, VolumeKind::Fat16),
        ("mkfs.fat", "mkfs.fat -F 32 -s 1 $1", 48, VolumeKind::Fat32),
        ("mkswap", "mkswap -q $1", 48, VolumeKind::Swap),
        (
            "cryptsetup",
            "echo x | cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 $1 -",
            48,
            VolumeKind::Luks,
        ),
        (
            "cryptsetup",
            "echo x | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 $1 -",
            48,
            VolumeKind::Luks,
        ),
        ("mkfs.btrfs", "mkfs.btrfs -q $1", 320, VolumeKind::Btrfs),
        ("mksquashfs", "mksquashfs /etc/hostname $1 -noappend -quiet -no-progress", 1, VolumeKind::Squashfs),
    ];
    for (tool, script, mib, kind) in kinds {
        if !support::need(tool) {
            continue;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(mib << 20).unwrap();
        support::run(Command::new("sh").args(["-c", &format!("set -e; {script}"), "sh"]).arg(file.path()));
        assert_known(file.path(), kind, script);
    }
    if support::need("pvcreate")
        && support::need_root()
        && let Some(device) = support::loop_device::LoopDevice::new(64 << 20)
    {
        let config = "devices{use_devicesfile=0}";
        support::run(Command::new("pvcreate").args(["-qq", "-y", "--config", config]).arg(&device.path));
        assert_known(&device.path, VolumeKind::Lvm2, "pvcreate");
    }
    let made = |at: usize, magic: &[u8]| {
        let mut bytes = vec![0; 80 << 10];
        bytes[at..at + magic.len()].copy_from_slice(magic);
        VolumeKind::probe(&Memory::new(bytes)).unwrap()
    };
    // Kinds whose tools nobody needs for anything else here: by the magics of their documentation.
    assert_eq!(made(0, b"XFSB"), VolumeKind::Xfs);
    assert_eq!(made(1024, b"\x10\x20\xF5\xF2"), VolumeKind::F2fs);
    assert_eq!(made(1024, b"\xE2\xE1\xF5\xE0"), VolumeKind::Erofs);
    assert_eq!(made(0x8001, b"CD001"), VolumeKind::Iso9660);
    assert_eq!(made(100, b"x"), VolumeKind::Unknown);
    assert_eq!(made(0, b""), VolumeKind::Empty);
    for kind in [VolumeKind::Luks, VolumeKind::Lvm2, VolumeKind::Btrfs, VolumeKind::Squashfs, VolumeKind::Unknown] {
        assert!(kind.refusal().is_some(), "{kind} is no root file system that can be edited");
    }
    assert_eq!(VolumeKind::Ext4.refusal(), None);
}

#[test]
fn tables_with_right_checksums_and_wrong_numbers_never_panic_and_never_leave_the_image() {
    if !support::need("sfdisk") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = partitioned(dir.path(), 2, "label: gpt\nstart=2048, size=512\nstart=2560, size=512\n");
    let sound = std::fs::read(&path).unwrap();
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    };
    let mut state = 0x1234_5678_9ABC_DEF1u64;
    let mut roll = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..4000u32 {
        let mut bytes = sound.clone();
        for _ in 0..1 + roll() % 4 {
            // Extremes are likelier to hurt than noise.
            let value = [0, 1, 0xFF, 0x7F, 0x80, roll() as u8][(roll() % 6) as usize];
            let at = match round % 3 {
                0 => 440 + roll() % 72,
                1 => 512 + 16 + roll() % 76,
                _ => 1024 + roll() % 256,
            };
            bytes[at as usize] = value;
        }
        let entries = crc(&bytes[1024..1024 + 128 * 128]);
        bytes[512 + 88..512 + 92].copy_from_slice(&entries.to_le_bytes());
        bytes[512 + 16..512 + 20].fill(0);
        let header = crc(&bytes[512..512 + 92]);
        bytes[512 + 16..512 + 20].copy_from_slice(&header.to_le_bytes());
        let size = bytes.len() as u64;
        match PartitionTable::read(&Memory::new(bytes)) {
            Ok(table) => {
                accepted += 1;
                assert!(table.partitions.iter().all(|p| p.range.end().0 <= size && p.range.len.0 > 0));
                let all = &table.partitions;
                assert!(
                    all.iter()
                        .enumerate()
                        .all(|(i, a)| all[i + 1..].iter().all(|b| a.range.intersect(&b.range).is_none()))
                );
            }
            Err(_) => refused += 1,
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused: the mutations reach nothing");
}
