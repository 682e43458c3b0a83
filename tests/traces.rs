//! What is searched for in a golden image: all of what was stripped, however much and however large it is.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use cardsmith::digest::Sha256Digest;
use cardsmith::golden::Manifest;

use crate::support::binary::Home;
use crate::support::mounted::Mounted;
use crate::support::pi_image::PiImage;
use crate::support::{need_builder, need_root};

const ACCEPT: &str = "[sudo]\nlockout = \"accept\"\n";

#[test]
fn a_log_is_searched_to_its_end_and_holes_take_no_time() {
    if !need_builder() || !need_root() {
        return;
    }
    let image = PiImage::fresh().build();
    let ids = ["mi-0a1b2c3d4e5f60718", "mi-0f1e2d3c4b5a69780", "mi-00112233445566778"];
    {
        let root = Mounted::read_write(&image.root());
        let at = |path: &str| root.path().join(path);
        let mut log = File::create(at("var/log/big.log")).unwrap();
        let line = b"Nov 29 12:00:00 kiosk kernel: nothing has happened here, and it took a while\n";
        for _ in 0..130_000 {
            log.write_all(line).unwrap();
        }
        // Behind the first window, and over the border of two.
        log.write_all_at(format!("{}\n", ids[0]).as_bytes(), 9 << 20).unwrap();
        log.write_all_at(format!("{}\n", ids[1]).as_bytes(), (8 << 20) - 7).unwrap();
        // lastlog has a record for each number that a user may have: with a high one it claims a TiB.
        let mut lastlog = File::create(at("var/log/lastlog")).unwrap();
        lastlog.seek(SeekFrom::Start(1 << 40)).unwrap();
        lastlog.write_all(ids[2].as_bytes()).unwrap();
    }
    let out = image.beside("g.img");
    Home::new().run(["golden", image.recipe(ACCEPT).to_str().unwrap(), "--out", out.to_str().unwrap()]).succeeds();
    let manifest = Manifest::read(&image.beside("g.manifest.json")).unwrap();
    for id in ids {
        assert!(manifest.traces.digests.contains(&Sha256Digest::of(id.as_bytes())), "{id} was not searched for");
    }
}

#[test]
fn more_than_twenty_thousand_traces_are_searched_for() {
    if !need_builder() || !need_root() {
        return;
    }
    let image = PiImage::fresh().build();
    {
        let root = Mounted::read_write(&image.root());
        let mut log = File::create(root.path().join("var/log/amazon-ids.log")).unwrap();
        let ids: String =
            (0..30_000_u64).map(|n| format!("mi-{:017x}\n", 0x0abc_def0_1234_5678_u64 ^ (n << 20))).collect();
        log.write_all(ids.as_bytes()).unwrap();
    }
    let out = image.beside("g.img");
    Home::new().run(["golden", image.recipe(ACCEPT).to_str().unwrap(), "--out", out.to_str().unwrap()]).succeeds();
    let manifest = Manifest::read(&image.beside("g.manifest.json")).unwrap();
    assert!(manifest.traces.searched >= 30_000, "{}", manifest.traces.searched);
    // One that comes late in every order, and is still on the card: nothing hides behind the others.
    let last = format!("mi-{:017x}", 0x0abc_def0_1234_5678_u64 ^ (29_999 << 20));
    {
        let root = Mounted::read_write(&image.root());
        fs::create_dir_all(root.path().join("opt/kept")).unwrap();
        fs::write(root.path().join("opt/kept/inventory.txt"), format!("old node: {last}\n")).unwrap();
    }
    let again = image.beside("again.img");
    let run = Home::new().run(["golden", image.recipe(ACCEPT).to_str().unwrap(), "--out", again.to_str().unwrap()]);
    run.exits(1).says("1 of ").says("in 1 place").says("/opt/kept/inventory.txt");
    assert!(!again.exists());
}
