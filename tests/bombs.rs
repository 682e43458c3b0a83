//! Archives of a few KiB with more in them than any card holds: each ends early, with a clear message, in little memory.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::{Duration, Instant};

use cardsmith::progress::Silent;
use cardsmith::source::{LARGEST_DECODED, LargestImage, SourceSpec, open_spec};
use cardsmith::units::ByteSize;
use serde_json::json;

use crate::strangers::synthetic;
use crate::support::binary::{Home, Run, names_in};
use crate::support::loop_device::LoopDevice;
use crate::support::oracle::sha256_hex;
use crate::support::{need, need_root, run};

const MIB: u64 = 1 << 20;
const FRAME: u64 = 64 * MIB;

/// A zstd archive of so many zeros: one frame again and again, some 33 bytes for each MiB.
pub fn zstd_zeros(bytes: u64) -> Vec<u8> {
    let frame = zstd::encode_all(std::io::Read::take(std::io::repeat(0), FRAME), 1).unwrap();
    frame.repeat(usize::try_from(bytes / FRAME).unwrap())
}

/// Bombs of each kind: their file names.
fn bombs(home: &Home) -> Vec<&'static str> {
    fs::write(home.path("zeros.img.zst"), zstd_zeros(1 << 40)).unwrap();
    let mut names = vec!["zeros.img.zst"];
    for (tool, name) in [("xz -0 -T1", "zeros.img.xz"), ("gzip -1", "zeros.img.gz")] {
        if need(tool.split(' ').next().unwrap()) {
            let script =
                format!("head -c {FRAME} /dev/zero | {tool} > one; for i in $(seq 64); do cat one; done > {name}");
            run(Command::new("sh").args(["-c", &script]).current_dir(home.path("")));
            names.push(name);
        }
    }
    if need("zip") {
        let script = format!("truncate -s {} z.img && zip -q -1 zeros.zip z.img && rm z.img", 2 * FRAME);
        run(Command::new("sh").args(["-c", &script]).current_dir(home.path("")));
        names.push("zeros.zip");
    }
    names
}

/// Runs the binary with little memory, and says how long it took.
fn bounded(home: &Home, args: &[&str]) -> (Run, Duration) {
    let mut command = home.command(["x"]);
    // What `Home` sets, with a shell in between that bounds the memory.
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v 2500000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_cardsmith")]).args(args);
    shell.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?)))).current_dir(home.path(""));
    command = shell;
    let began = Instant::now();
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let run = Run { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
    (run, began.elapsed())
}

#[test]
fn a_base_image_that_decodes_to_more_than_the_card_ends_at_the_card_s_size() {
    if !need_root() {
        return;
    }
    let home = Home::new();
    let Some(card) = LoopDevice::new(96 * MIB) else { return };
    card.file.as_file().write_all_at(b"what was there before", 510).unwrap();
    let before = card.bytes();
    let device = card.path.to_str().unwrap();
    for bomb in bombs(&home) {
        fs::write(home.path("k.toml"), format!("name = \"k\"\n[image]\nsource = \"{bomb}\"\n")).unwrap();
        let (run, took) = bounded(&home, &["flash", "k.toml", "--to", device, "--fixed-ok", device, "--yes"]);
        let run = run.fails_with(1);
        run.says("decodes to more than the card holds (96.0 MiB)");
        assert!(took < Duration::from_secs(10), "{bomb}: {took:?}");
        assert!(card.bytes() == before, "{bomb}");
        assert_eq!(names_in(&home.cache().join("images")), Vec::<String>::new(), "{bomb}");
    }
}

#[test]
fn an_image_that_decodes_to_more_than_its_manifest_states_gives_no_card() {
    let home = Home::new();
    let manifest = synthetic();
    for bomb in bombs(&home) {
        let mut manifest = manifest.clone();
        manifest["image"]["file"] = json!(bomb);
        manifest["image"]["file_sha256"] = json!(sha256_hex(&fs::read(home.path(bomb)).unwrap()));
        manifest["recipe"].as_object_mut().unwrap().remove("activation");
        fs::write(home.path("bomb.manifest.json"), manifest.to_string()).unwrap();
        for command in [&["flash", "bomb.manifest.json", "--to", "card.img"][..], &["diff", "bomb.manifest.json", bomb]]
        {
            let (run, took) = bounded(&home, command);
            let run = run.fails_with(1);
            // While cards are written from it, the first range that is another one may be found sooner.
            let sooner = command[0] == "flash" && run.err.contains("are not what the manifest says");
            assert!(sooner || run.err.contains("bytes that its manifest states"), "{}", run.err);
            assert!(took < Duration::from_secs(20), "{bomb}: {took:?}");
            assert!(!home.path("card.img").exists());
            assert_eq!(names_in(&home.cache().join("images")), Vec::<String>::new(), "{bomb}");
        }
    }
}

#[test]
fn what_nobody_bounds_is_decoded_to_a_limit_that_is_told() {
    let home = Home::new();
    let cache = home.path("cache");
    fs::write(home.path("zeros.img.zst"), zstd_zeros(1 << 40)).unwrap();
    let spec = || SourceSpec::file(home.path("zeros.img.zst"), None);
    let error = open_spec(&spec().at_most(LargestImage::of_card(ByteSize(1 << 30))), &cache, &Silent).unwrap_err();
    assert!(error.to_string().contains("than the card holds ("), "{error}");
    assert_eq!(names_in(&cache.join("images")), Vec::<String>::new());
    // A card or a manifest may say less than the general bound, never more.
    assert_eq!(LargestImage::of_manifest(ByteSize(1 << 62)), LargestImage::default());
    assert_eq!(LargestImage::default().size, LARGEST_DECODED);
    let told = LargestImage::default().to_string();
    assert!(told.contains("256.0 GiB") && told.contains("unpack it"), "{told}");

    // A raw file has no end that one could wait for: its size is known at once.
    File::create(home.path("raw.img")).unwrap().set_len(7 << 60).unwrap_or(());
    let file = File::create(home.path("raw.img")).unwrap();
    if file.set_len(3 << 40).is_ok() {
        for command in [&["inspect", "raw.img"][..], &["audit", "raw.img"], &["diff", "raw.img", "raw.img"]] {
            let (run, took) = bounded(&home, command);
            run.fails_with(1).says("more than any card");
            assert!(took < Duration::from_secs(5), "{took:?}");
        }
    }
}

#[test]
fn archives_that_ask_for_memory_or_lie_about_their_sizes_are_refused() {
    let home = Home::new();
    // zstd: a frame that wants a window of 2 GiB (RFC 8878, 3.1.1.1.2), then one block that is a run of zeros.
    let mut window = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 21 << 3];
    window.extend([0x03 | (0x80 << 3) as u8, 0x00, 0x00, 0x00]);
    fs::write(home.path("window.img.zst"), window).unwrap();
    // xz: the first block header asks for a dictionary of 4 GiB, with the right checksum (the .xz file format, 3.1).
    if need("xz") {
        run(Command::new("sh")
            .args(["-c", "head -c 1000 /dev/zero | xz -0 > dictionary.img.xz"])
            .current_dir(home.path("")));
        let mut bytes = fs::read(home.path("dictionary.img.xz")).unwrap();
        let size = (usize::from(bytes[12]) + 1) * 4;
        let place = 12 + (2..size).find(|at| bytes[12 + at..].starts_with(&[0x21, 0x01])).unwrap() + 2;
        bytes[place] = 40;
        let sum = crc32(&bytes[12..12 + size - 4]);
        bytes[12 + size - 4..12 + size].copy_from_slice(&sum.to_le_bytes());
        fs::write(home.path("dictionary.img.xz"), bytes).unwrap();
    }
    for name in ["window.img.zst", "dictionary.img.xz"].into_iter().filter(|name| home.path(name).exists()) {
        let (run, took) = bounded(&home, &["inspect", name]);
        run.fails_with(1).says("cut off or damaged");
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
    }

    // zip: more than the directory says, more than is taken, and a directory that is larger than any.
    if need("zip") {
        let make = "truncate -s 32M z.img && zip -q -1 honest.zip z.img && rm z.img";
        run(Command::new("sh").args(["-c", make]).current_dir(home.path("")));
        let mut bytes = fs::read(home.path("honest.zip")).unwrap();
        let entry = bytes.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
        bytes[entry + 24..entry + 28].copy_from_slice(&(4_u32 << 20).to_le_bytes());
        fs::write(home.path("short.zip"), &bytes).unwrap();
        let (run, took) = bounded(&home, &["inspect", "short.zip"]);
        run.fails_with(1).says("cut off or damaged").says("larger than its declared");
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    fs::write(home.path("names.zip"), many_names(65_000, 300)).unwrap();
    let (run, took) = bounded(&home, &["inspect", "names.zip"]);
    run.fails_with(1).says("its directory is larger than");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(names_in(&home.cache().join("images")), Vec::<String>::new());
}

/// A zip archive of empty files with long names: a directory and next to nothing else (APPNOTE, 4.3.12 and 4.3.16).
fn many_names(count: u16, length: usize) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.resize(64, 0);
    let start = bytes.len() as u32;
    for number in 0..count {
        let name = format!("{number:0length$}");
        bytes.extend(b"PK\x01\x02");
        bytes.extend([0; 24]);
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend([0; 16]);
        bytes.extend(name.as_bytes());
    }
    let size = bytes.len() as u32 - start;
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    [count, count].into_iter().for_each(|count| bytes.extend(count.to_le_bytes()));
    [size, start].into_iter().for_each(|place| bytes.extend(place.to_le_bytes()));
    bytes.extend([0, 0]);
    bytes
}

/// CRC-32 as xz has it, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
