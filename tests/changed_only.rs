//! `--changed-only`: a card that carries an older version gets what differs, and is verified as a whole.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cardsmith::flash::{CardImage, Guard, UnusedSpace, UnusedSpaceReport, WriteOptions, WriteReport, write_card};
use cardsmith::image::BlockMap;
use cardsmith::progress::{Progress, Silent};
use cardsmith::units::ByteRange;

use crate::crash::golden;
use crate::support::binary::Home;
use crate::support::fake_ssm::FakeSsm;
use crate::support::faulty_card::{Bytes, Fault, FaultyCard, boots};
use crate::support::loop_device::LoopDevice;

const MIB: usize = 1 << 20;
const CARD: usize = 48 * MIB;
const USED: [(u64, u64); 4] = [(0, 4096), (1 << 20, 3 << 20), (8 << 20, 16 << 20), ((25 << 20) + 4096, 1 << 20)];

fn version(n: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..30 * MIB).map(|at| (at / 13 % 241) as u8).collect();
    bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
    bytes[9 * MIB..9 * MIB + 100].fill(n);
    bytes
}

fn card_image(bytes: &[u8]) -> CardImage {
    let used: Vec<ByteRange> = USED.iter().map(|&(start, len)| ByteRange::new(start, len)).collect();
    let map = BlockMap::digest(&Bytes(bytes.to_vec()), &used, &mut *Silent.task("", None)).unwrap();
    CardImage { map, image: Arc::new(Bytes(bytes.to_vec())) }
}

fn write(card: &FaultyCard, bytes: &[u8], unused_space: UnusedSpace) -> WriteReport {
    let options = WriteOptions { unused_space, changed_only: true, ..WriteOptions::default() };
    let cancel = AtomicBool::new(false);
    let guard = Guard { cancel: &cancel, before_seal: &mut || Ok(()) };
    let report = write_card(card, &card_image(bytes), options, &mut *Silent.task("", None), guard).unwrap();
    assert_holds(&card.bytes(), bytes);
    report
}

fn assert_holds(card: &[u8], image: &[u8]) {
    for (start, len) in USED.map(|(start, len)| (start as usize, len as usize)) {
        assert!(card[start..start + len] == image[start..start + len], "differs in the range at {start}");
    }
}

/// What a card holds that was written with version 1 some time ago, and used since.
fn old_card() -> Vec<u8> {
    let mut bytes = version(1);
    bytes.resize(CARD, 0);
    bytes[25 * MIB..25 * MIB + 20].copy_from_slice(b"an old card's secret");
    bytes[40 * MIB..40 * MIB + 20].copy_from_slice(b"another, far behind!");
    bytes
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    aho_corasick::AhoCorasick::new([text]).unwrap().is_match(bytes)
}

#[test]
fn only_the_pieces_that_differ_are_written_and_all_of_them_are_verified() {
    let card = FaultyCard::holding(old_card(), vec![]);
    let report = write(&card, &version(2), UnusedSpace::Keep);
    // The piece with the change, and the one that begins in the first MiB.
    assert_eq!(report.written.0, 4096 + (4 << 20));
    assert_eq!(report.held.0 + report.written.0, report.verified.0);
    assert_eq!(report.unused_space, UnusedSpaceReport::Left);
    let state = card.state.lock().unwrap();
    let large = state.log.iter().filter(|(at, data)| *at >= MIB as u64 && data.len() > 4096);
    let places: Vec<u64> = large.map(|(at, _)| *at).filter(|at| *at < (CARD - MIB) as u64).collect();
    assert!(places.iter().all(|at| (1 << 20..4 << 20).contains(at) || (8 << 20..12 << 20).contains(at)), "{places:?}");
    assert!(has(&state.bytes, b"an old card's secret"), "unused-space = keep");
}

#[test]
fn a_card_that_holds_something_else_altogether_is_written_as_a_whole() {
    let card = FaultyCard::holding(vec![0xA5; CARD], vec![]);
    let report = write(&card, &version(2), UnusedSpace::Keep);
    assert_eq!((report.held.0, report.written), (0, report.verified));
}

#[test]
fn what_the_old_card_left_in_free_space_goes_as_the_recipe_says() {
    let card = FaultyCard::holding(old_card(), vec![]);
    let report = write(&card, &version(2), UnusedSpace::Zero);
    assert!(matches!(report.unused_space, UnusedSpaceReport::Zeroed { .. }));
    let bytes = card.bytes();
    assert!(!has(&bytes, b"an old card's secret") && !has(&bytes, b"another, far behind!"));
    assert!(report.held.0 > 20 << 20, "zeros that are there are not written: {report:?}");

    // A discard takes the long runs (this device fills them with ones), and short ones become zeros; the image stays.
    let card = FaultyCard::holding(old_card(), vec![Fault::DiscardsToOnes]);
    let report = write(&card, &version(2), UnusedSpace::Discard);
    assert_eq!(report.unused_space, UnusedSpaceReport::Discarded);
    let bytes = card.bytes();
    assert!(!has(&bytes, b"an old card's secret") && !has(&bytes, b"another, far behind!"));
    assert!(report.held.0 > 15 << 20, "the image's own pieces were discarded: {report:?}");
}

#[test]
fn a_piece_that_cannot_be_read_is_written_and_verified_like_on_any_card() {
    let card = FaultyCard::holding(old_card(), vec![Fault::ReadFails { at: 20 << 20, times: 1 }]);
    let report = write(&card, &version(1), UnusedSpace::Keep);
    assert_eq!(report.written.0, 4096 + (4 << 20));
}

#[test]
fn a_card_written_twice_by_the_binary_saves_most_of_it_and_keeps_nothing_of_its_first_activation() {
    let home = Home::new();
    golden(&home);
    let size = std::fs::metadata(home.path("aws.img")).unwrap().len() + 8 * MIB as u64;
    let Some(card) = LoopDevice::new(size) else { return };
    card.file.as_file().write_all_at(b"left by its first life", size - (2 << 20)).unwrap();
    let aws = FakeSsm::start();
    let flash = |more: &[&str]| {
        let mut command = home.command([
            "flash",
            "aws.manifest.json",
            "--allow-role",
            "nodes",
            "--yes",
            "--json",
            "--ledger",
            "l.sqlite3",
            "--to",
        ]);
        command.arg(&card.path).arg("--fixed-ok").arg(&card.path).args(more).envs(aws.env());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let events = String::from_utf8(output.stdout).unwrap();
        let mut events = events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let receipt = events.find(|event| event["event"] == "receipt").unwrap();
        (receipt, String::from_utf8(output.stderr).unwrap())
    };
    let (first, _) = flash(&[]);
    let (second, _) = flash(&["--changed-only"]);
    let bytes = |receipt: &serde_json::Value, what: &str| receipt["report"][what].as_u64().unwrap();
    assert_eq!(bytes(&first, "held"), 0);
    assert!(bytes(&second, "held") > bytes(&second, "written"), "{second:#}");
    assert!(bytes(&second, "verified") >= bytes(&first, "verified"));

    let (on_card, codes) = (card.bytes(), aws.codes());
    assert!(boots(&on_card) && codes.len() == 2);
    assert!(!has(&on_card, codes[0].as_bytes()), "the first activation is still on the card");
    assert!(has(&on_card, codes[1].as_bytes()));
    assert!(!has(&on_card, b"left by its first life"));
    let verify =
        home.command(["verify", "aws.manifest.json", "--ledger", "l.sqlite3"]).arg(&card.path).output().unwrap();
    assert_eq!(verify.status.code(), Some(0), "{}", String::from_utf8_lossy(&verify.stderr));
}
