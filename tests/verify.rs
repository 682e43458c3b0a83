//! Reading cards back, long after they were written.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cardsmith::flash::receipt::RECEIPT_VERSION;
use cardsmith::flash::verify::{OpenedMedium, VerifyReport, WrongReceipt, expected_with, verify};
use cardsmith::flash::{MediumRecord, Outcome, ProbeReport, Receipt, UnusedSpaceReport, WriteReport};
use cardsmith::image::BlockMap;
use cardsmith::progress::{Progress, Silent};
use cardsmith::units::{ByteRange, ByteSize};

use crate::support::faulty_card::{Bytes, Fault, FaultyCard};
use crate::support::loop_device::LoopDevice;

const MIB: u64 = 1 << 20;

fn map(bytes: &[u8], runs: &[(u64, u64)]) -> BlockMap {
    let runs: Vec<ByteRange> = runs.iter().map(|&(start, len)| ByteRange::new(start, len)).collect();
    BlockMap::digest(&Bytes(bytes.to_vec()), &runs, &mut *Silent.task("", None)).unwrap()
}

fn check(card: &dyn cardsmith::flash::ReadBack, expected: &BlockMap) -> VerifyReport {
    verify(card, expected, &mut *Silent.task("", None), &AtomicBool::new(false)).unwrap()
}

fn image() -> Vec<u8> {
    (0..9 * MIB).map(|n| (n / 13 % 241) as u8).collect()
}

fn receipt(golden: &BlockMap, card: &BlockMap) -> Receipt {
    let only = |a: &BlockMap, b: &BlockMap| {
        a.ranges().iter().filter(|range| !b.ranges().contains(range)).copied().collect::<Vec<_>>()
    };
    let report = WriteReport {
        written: ByteSize(0),
        verified: ByteSize(0),
        held: ByteSize(0),
        repeated: 0,
        probe: ProbeReport::NotProbed,
        unused_space: UnusedSpaceReport::Left,
        durations: vec![],
    };
    let instead_of = only(golden, card).iter().map(|mapped| mapped.range).collect();
    Receipt {
        receipt_version: RECEIPT_VERSION,
        cardsmith: "test".to_owned(),
        run: String::new(),
        recipe: "kiosk".to_owned(),
        card: None,
        activation_id: None,
        golden: golden.fingerprint(),
        medium: MediumRecord { path: "/dev/x".into(), slot: None, model: None, serial: None, size: ByteSize(0) },
        began: String::new(),
        ended: String::new(),
        outcome: Outcome::Verified { report, own: only(card, golden), instead_of },
    }
}

const GOLDEN: [(u64, u64); 2] = [(0, 5 * MIB), (6 * MIB, MIB)];
/// As the golden image, with a block of its own and one that the golden image has and the card has not.
const CARD: [(u64, u64); 3] = [(0, 5 * MIB), (6 * MIB, MIB - 4096), (8 * MIB, 4096)];

fn card_bytes() -> Vec<u8> {
    let mut bytes = image();
    bytes[(2 * MIB) as usize..(2 * MIB + 4096) as usize].fill(7);
    bytes[(8 * MIB) as usize..(8 * MIB + 4096) as usize].fill(8);
    bytes[(7 * MIB - 4096) as usize..(7 * MIB) as usize].fill(9);
    bytes
}

#[test]
fn against_the_manifest_alone_exactly_what_is_the_cards_own_differs() {
    let golden = map(&image(), &GOLDEN);
    let clean = check(&*FaultyCard::holding(image(), vec![]), &golden);
    assert_eq!((clean.checked, clean.differing.len()), (golden.mapped_size(), 0));
    let report = check(&*FaultyCard::holding(card_bytes(), vec![]), &golden);
    let places: Vec<u64> = report.differing.iter().map(|differing| differing.range.start.0 / MIB).collect();
    assert_eq!(places, [0, 6], "the ranges with the card's own blocks in them");
    assert_eq!(report.checked, golden.mapped_size(), "reading goes on behind a difference");
}

#[test]
fn with_its_receipt_every_byte_of_a_card_is_accounted_for() {
    let (golden, own) = (map(&image(), &GOLDEN), map(&card_bytes(), &CARD));
    let expected = expected_with(&golden, &receipt(&golden, &own)).unwrap();
    assert_eq!(expected, own);
    assert!(check(&*FaultyCard::holding(card_bytes(), vec![]), &expected).differing.is_empty());
    // One changed bit anywhere that matters is found: in a golden range, in a card's own, in a shared one.
    for at in [4 * MIB + 3, 8 * MIB + 4000, 2 * MIB + 9] {
        let mut bytes = card_bytes();
        bytes[at as usize] ^= 1;
        let report = check(&*FaultyCard::holding(bytes, vec![]), &expected);
        assert_eq!(report.differing.len(), 1, "{at}");
        assert!(report.differing[0].range.start.0 <= at && at < report.differing[0].range.end().0);
    }
}

#[test]
fn a_receipt_for_another_image_or_of_a_failed_card_is_refused() {
    let (golden, own) = (map(&image(), &GOLDEN), map(&card_bytes(), &CARD));
    let other = receipt(&own, &own);
    assert!(matches!(expected_with(&golden, &other), Err(WrongReceipt::Golden { .. })));
    let mut twice = receipt(&golden, &own);
    if let Outcome::Verified { own, .. } = &mut twice.outcome {
        own.push(own[0]);
    }
    assert!(matches!(expected_with(&golden, &twice), Err(WrongReceipt::Map(_))));
}

#[test]
fn a_receipt_survives_its_text_form_and_other_files_are_refused() {
    let (golden, own) = (map(&image(), &GOLDEN), map(&card_bytes(), &CARD));
    let receipt = receipt(&golden, &own);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("receipt.json");
    std::fs::write(&path, serde_json::to_string(&receipt).unwrap()).unwrap();
    assert_eq!(Receipt::read(&path).unwrap(), receipt);
    let newer = Receipt { receipt_version: 99, ..receipt };
    for text in ["", "{}", "[1]", &serde_json::to_string(&newer).unwrap()] {
        std::fs::write(&path, text).unwrap();
        assert!(Receipt::read(&path).is_err(), "{text}");
    }
}

#[test]
fn a_card_that_is_shorter_or_cannot_be_read_is_a_finding_and_no_error() {
    let golden = map(&image(), &GOLDEN);
    let report = check(&*FaultyCard::holding(image()[..(5 * MIB) as usize].to_vec(), vec![]), &golden);
    assert!(report.differing[0].error.as_ref().unwrap().contains("behind the end"));
    let card = FaultyCard::holding(image(), vec![Fault::ReadFails { at: MIB, times: 99 }]);
    let report = check(&*card, &golden);
    assert_eq!(report.differing.len(), 1);
    assert!(report.differing[0].error.is_some());
}

#[test]
fn files_of_any_length_and_devices_are_read_and_neither_is_changed() {
    let mut bytes = image();
    bytes.truncate((8 * MIB + 777) as usize);
    let map = map(&bytes, &[(0, 3), (4 * MIB + 5, 4096), (8 * MIB, 777)]);
    let file = tempfile::NamedTempFile::new_in("target").unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let before = std::fs::metadata(file.path()).unwrap().modified().unwrap();
    let report = check(&OpenedMedium::open(file.path()).unwrap(), &map);
    assert!(report.differing.is_empty(), "{report:?}");
    assert_eq!(std::fs::metadata(file.path()).unwrap().modified().unwrap(), before);
    assert!(OpenedMedium::open("target".as_ref()).is_err());

    // In memory, where the kernel may refuse direct reads.
    let memory = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    std::fs::write(memory.path(), &bytes).unwrap();
    assert!(check(&OpenedMedium::open(memory.path()).unwrap(), &map).differing.is_empty());

    let Some(device) = LoopDevice::with(16 * MIB, &[]) else { return };
    std::fs::write(&device.path, &bytes).unwrap();
    assert!(check(&OpenedMedium::open(&device.path).unwrap(), &map).differing.is_empty());
}

#[test]
fn a_stopped_verification_says_how_far_it_came() {
    let golden = map(&image(), &GOLDEN);
    let card = Arc::new(FaultyCard::holding(image(), vec![]));
    let report = verify(&**card, &golden, &mut *Silent.task("", None), &AtomicBool::new(true)).unwrap();
    assert!(report.checked < golden.mapped_size());
}
