//! Each field of small ext4 file systems spoilt in turn: where `e2fsck -fn` finds damage, our own check has to, because it
//! is alone where e2fsprogs are not installed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cardsmith::fs::check;
use cardsmith::fs::ext4::Superblock;
use cardsmith::fs::ext4::groups::{Groups, table_blocks};
use cardsmith::fs::ext4::inode::{INLINE_FLAG, Inode, InodeKind, slot_at};
use cardsmith::fs::ext4::mapping::Mapping;
use cardsmith::image::bytes::Memory;

/// What mke2fs makes of each; no two have the same structures. Those with checksums test that these are looked at; the
/// others, what is behind them.
const KINDS: &[(&str, &str, &[&str])] = &[
    ("plain", "1800", &["-b", "1024", "-g", "1024", "-I", "128", "-O", "^metadata_csum,^64bit,^has_journal"]),
    ("wide", "5000", &["-b", "1024", "-O", "^metadata_csum,64bit,orphan_file,inline_data", "-J", "size=1"]),
    (
        "block maps",
        "1800",
        &["-b", "1024", "-O", "^metadata_csum,^64bit,^has_journal,^extent,extent,^flex_bg,sparse_super2"],
    ),
    ("checksums", "5000", &["-b", "1024", "-O", "metadata_csum,metadata_csum_seed,orphan_file", "-J", "size=1"]),
    ("uninit_bg", "1800", &["-b", "1024", "-g", "1024", "-O", "^metadata_csum,^64bit,uninit_bg,^has_journal"]),
];

/// So that each run spoils the same bytes.
const ID: &str = "7d1c2b1e-5f0a-4c3e-9a51-2f6b8d9e0c41";
const SEED: &str = "hash_seed=1b4e28ba-2fa1-41d2-883f-0016d3cca427";

struct Sample {
    bytes: Vec<u8>,
    /// Where something stands: a name for the table, and the bytes to be spoilt.
    spots: Vec<(&'static str, usize, usize)>,
}

#[derive(Clone)]
struct Mutation {
    kind: usize,
    what: &'static str,
    from: usize,
    at: usize,
    byte: u8,
}

fn tree(top: &Path) {
    fs::create_dir(top.join("large")).unwrap();
    for n in 0..90 {
        let name = top.join(format!("large/a name that is long enough to need several blocks {n}"));
        if n == 0 {
            fs::write(name, "x").unwrap()
        } else {
            fs::hard_link(top.join("large/a name that is long enough to need several blocks 0"), name).unwrap()
        }
    }
    fs::create_dir_all(top.join("d/e")).unwrap();
    fs::write(top.join("d/small"), "small").unwrap();
    fs::write(top.join("d/e/blocks"), vec![7; 20_000]).unwrap();
    symlink("short", top.join("d/fast")).unwrap();
    symlink("a/".repeat(60), top.join("d/slow")).unwrap();
    // Ten extents, which need a node of their own.
    let holes = File::create(top.join("holes")).unwrap();
    (0..10).for_each(|n| holes.write_all_at(&[n as u8 + 1; 1024], n * 4096).unwrap());
}

fn quiet(command: &mut Command) -> i32 {
    let output =
        command.env("LC_ALL", "C").env("E2FSPROGS_FAKE_TIME", "1760000000").stdin(Stdio::null()).output().unwrap();
    output.status.code().unwrap()
}

fn sample(blocks: &str, options: &[&str]) -> Sample {
    let directory = tempfile::tempdir().unwrap();
    let (top, path) = (directory.path().join("tree"), directory.path().join("disk"));
    fs::create_dir(&top).unwrap();
    tree(&top);
    let mut make = Command::new("mke2fs");
    make.args(["-q", "-F", "-t", "ext4", "-N", "64", "-U", ID, "-E", SEED, "-d"])
        .arg(&top)
        .args(options)
        .arg(&path)
        .arg(blocks);
    assert_eq!(quiet(&mut make), 0, "{options:?}");
    // Files of an ext3 that became an ext4 keep their block maps.
    quiet(Command::new("tune2fs").args(["-O", "extent"]).arg(&path));
    let value = directory.path().join("value");
    fs::write(&value, [b'v'; 300]).unwrap();
    let requests = format!(
        "mknod d/fifo p\nmknod d/null c 1 3\nea_set d/small user.a word\nea_set d/e/blocks user.large -f {}\nea_set d/e/blocks user.b w\n",
        value.display()
    );
    let script = directory.path().join("script");
    fs::write(&script, requests).unwrap();
    quiet(Command::new("debugfs").arg("-w").arg("-f").arg(&script).arg(&path));
    // mke2fs makes no hash trees.
    quiet(Command::new("e2fsck").arg("-fyD").arg(&path));
    assert_eq!(quiet(Command::new("e2fsck").arg("-fn").arg(&path)), 0, "{options:?}");
    let bytes = fs::read(&path).unwrap();
    let spots = spots(&bytes);
    Sample { bytes, spots }
}

fn spots(bytes: &[u8]) -> Vec<(&'static str, usize, usize)> {
    let image = Memory::new(bytes.to_vec());
    let sb = Superblock::read(&image).unwrap();
    let groups = Groups::read(&image, &sb).unwrap();
    let block = |n: u64| (n * sb.block_size()) as usize;
    let mut spots = vec![("superblock", 1024, 0x2B8), ("superblock", 1024 + 0x3F8, 8)];
    spots.push((
        "group descriptors",
        block(u64::from(sb.first_data_block) + 1),
        sb.groups as usize * usize::from(sb.descriptor_bytes),
    ));
    for (number, group) in (0u32..).zip(&groups.all) {
        let (in_blocks, in_inodes) = (sb.group_blocks(number) as usize / 8, sb.inodes_per_group as usize / 8);
        spots.push(("block bitmap", block(group.block_bitmap), 12));
        spots.push(("block bitmap", block(group.block_bitmap) + in_blocks - 3, 5));
        spots.push(("padding of bitmaps", block(group.block_bitmap) + sb.block_bytes as usize - 4, 4));
        spots.push(("inode bitmap", block(group.inode_bitmap), in_inodes));
        spots.push(("padding of bitmaps", block(group.inode_bitmap) + in_inodes, 2));
        spots.push(("padding of bitmaps", block(group.inode_bitmap) + sb.block_bytes as usize - 2, 2));
    }
    let mut seen = BTreeMap::new();
    for number in 1..=sb.inodes {
        let inode = Inode::read(&image, &sb, &groups, number).unwrap();
        let group = (number - 1) / sb.inodes_per_group;
        let used = groups.inode_bitmap(&image, &sb, group).unwrap().has((number - 1) % sb.inodes_per_group);
        let mapping = if used { Mapping::of(&image, &sb, &inode).unwrap_or_default() } else { Mapping::default() };
        let features = (
            used,
            inode.entry_kind(),
            inode.flags(),
            inode.xattr_block() != 0,
            mapping.nodes.len(),
            inode.raw.get(0xA0..0xA4).map(<[u8]>::to_vec),
        );
        if number > 11 && seen.insert(features, number).is_some() {
            continue;
        }
        let at = slot_at(&sb, &groups, number).unwrap().0 as usize;
        spots.push((
            if number < 11 {
                "special inodes"
            } else if used {
                "inodes"
            } else {
                "free inodes"
            },
            at,
            inode.raw.len().min(0xC0),
        ));
        if !used {
            continue;
        }
        // Reserved blocks behind the backups are the resize inode's.
        for &node in mapping.nodes.iter().take(2) {
            spots.push((if inode.flags() & 0x80000 != 0 { "extent trees" } else { "block maps" }, block(node), 36));
            spots.push(("extent trees", block(node) + sb.block_bytes as usize - 6, 6));
        }
        if inode.xattr_block() != 0 {
            spots.push(("attribute blocks", block(inode.xattr_block()), 80));
            spots.push(("attribute blocks", block(inode.xattr_block() + 1) - 4, 4));
        }
        let blocks: Vec<u64> = mapping.extents.iter().flat_map(|e| e.physical..e.physical + e.count).collect();
        match inode.kind() {
            InodeKind::Directory if inode.flags() & INLINE_FLAG == 0 => {
                let indexed = inode.flags() & 0x1000 != 0;
                for (n, &b) in blocks.iter().take(3).enumerate() {
                    spots.push((
                        if indexed {
                            if n == 0 { "hash trees" } else { "leaves of hash trees" }
                        } else {
                            "directories"
                        },
                        block(b),
                        100,
                    ));
                    spots.push(("directories", block(b) + sb.block_bytes as usize - 12, 12));
                }
            }
            InodeKind::File if number == sb.journal_inode => spots.push(("journal", block(blocks[0]), 0x60)),
            InodeKind::File if number == sb.orphan_file_inode => {
                spots.push(("orphan file", block(blocks[0]), 8));
                spots.push(("orphan file", block(blocks[0]) + sb.block_bytes as usize - 8, 8));
            }
            InodeKind::Symlink if !blocks.is_empty() => spots.push(("slow links", block(blocks[0]) + 100, 30)),
            _ => {}
        }
    }
    let _ = table_blocks(&sb);
    spots
}

fn mutations(samples: &[Sample], step: usize) -> Vec<Mutation> {
    let mut all = Vec::new();
    let mut known = BTreeSet::new();
    for (kind, sample) in samples.iter().enumerate() {
        for &(what, from, len) in &sample.spots {
            for at in from..from + len {
                let old = sample.bytes[at];
                for byte in [old ^ 1, old ^ 0x80, 0, 0xFF, b'/'] {
                    if byte != old && known.insert((kind, at, byte)) {
                        all.push(Mutation { kind, what, from, at, byte });
                    }
                }
            }
        }
    }
    all.into_iter().step_by(step).collect()
}

#[derive(Default, Clone, Copy)]
struct Row {
    tried: usize,
    damage: usize,
    found: usize,
    stricter: usize,
}

#[test]
fn what_e2fsck_finds_in_each_field_our_check_finds_too() {
    for tool in ["mke2fs", "e2fsck", "debugfs"] {
        if Command::new(tool).arg("-V").output().is_err() {
            eprintln!("SKIPPED, NOT TESTED: no {tool}");
            return;
        }
    }
    let samples: Vec<Sample> = KINDS.iter().map(|(_, blocks, options)| sample(blocks, options)).collect();
    for (sample, (name, ..)) in samples.iter().zip(KINDS) {
        check::check(Memory::new(sample.bytes.clone())).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    // All of them take some minutes: MUTATION_STEP=1. The step is a prime, so that it meets every field sooner or later.
    let step = std::env::var("MUTATION_STEP").ok().and_then(|n| n.parse().ok()).unwrap_or(97);
    let all = mutations(&samples, step);
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let directory = tempfile::tempdir().unwrap();
                let files: Vec<_> = samples
                    .iter()
                    .enumerate()
                    .map(|(n, sample)| {
                        let path = directory.path().join(n.to_string());
                        fs::write(&path, &sample.bytes).unwrap();
                        (File::options().write(true).open(&path).unwrap(), path)
                    })
                    .collect();
                while let Some(mutation) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let sample = &samples[mutation.kind];
                    let (file, path) = &files[mutation.kind];
                    file.write_all_at(&[mutation.byte], mutation.at as u64).unwrap();
                    let output = Command::new("e2fsck")
                        .arg("-fn")
                        .arg(path)
                        .env("LC_ALL", "C")
                        .stdin(Stdio::null())
                        .output()
                        .unwrap();
                    let mut bytes = sample.bytes.clone();
                    bytes[mutation.at] = mutation.byte;
                    let ours = check::check(Memory::new(bytes));
                    file.write_all_at(&sample.bytes[mutation.at..=mutation.at], mutation.at as u64).unwrap();
                    results.lock().unwrap().push((mutation.clone(), output, ours));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(mutation, ..)| (mutation.kind, mutation.at, mutation.byte));
    let mut table: BTreeMap<&str, Row> = BTreeMap::new();
    let mut missed = Vec::new();
    for (mutation, output, ours) in &results {
        let row = table.entry(mutation.what).or_default();
        let damage = output.status.code() != Some(0);
        row.tried += 1;
        row.damage += usize::from(damage);
        row.found += usize::from(damage && ours.is_err());
        row.stricter += usize::from(!damage && ours.is_err());
        let place = format!(
            "{}: {} +{:#x} = {:#04x} (was {:#04x})",
            KINDS[mutation.kind].0,
            mutation.what,
            mutation.at - mutation.from,
            mutation.byte,
            samples[mutation.kind].bytes[mutation.at]
        );
        if damage && ours.is_ok() {
            let said = String::from_utf8_lossy(&output.stdout)
                .lines()
                .filter(|l| !l.starts_with("Pass ") && !l.trim().is_empty())
                .take(2)
                .collect::<Vec<_>>()
                .join("; ");
            missed.push(format!(
                "{place}: {said} {}",
                String::from_utf8_lossy(&output.stderr).lines().skip(1).collect::<Vec<_>>().join("; ")
            ));
        }
        if let (false, Err(e)) = (damage, ours)
            && std::env::var_os("MUTATION_STRICT").is_some()
        {
            println!("stricter: {place}: {e}");
        }
    }
    println!("| structure | mutations | e2fsck finds | we find | we alone |\n|---|---|---|---|---|");
    for (what, row) in &table {
        println!("| {what} | {} | {} | {} | {} |", row.tried, row.damage, row.found, row.stricter);
    }
    assert!(missed.is_empty(), "{} missed:\n{}", missed.len(), missed.join("\n"));
}
