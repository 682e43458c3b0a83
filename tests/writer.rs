//! A card boots only when all of it was verified: whatever the card does, and wherever the writing stops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use cardsmith::digest::Sha256Digest;
use cardsmith::flash::{
    CardFailure, CardImage, FailureKind, Guard, LeftOnCard, Medium, ProbeReport, Stage, UnusedSpace, UnusedSpaceReport,
    WriteOptions, WriteReport, write_card,
};
use cardsmith::image::{BlockMap, MappedRange};
use cardsmith::progress::{Progress, Silent};
use cardsmith::units::{ByteRange, ByteSize};

use crate::support::faulty_card::{Bytes, Fault, FaultyCard, boots, has_partition_table};

const MIB: usize = 1 << 20;
const IMAGE: usize = 14 * MIB;
const CARD: usize = 32 * MIB;

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..len / 8).flat_map(|_| next().to_le_bytes()).collect()
}

/// Ranges of the map, as (start, length).
const MAP: [(u64, u64); 5] =
    [(0, 8192), (65536, 2 << 20), (5 << 20, 3 << 20), (8 << 20, 1 << 20), (13 << 20, (1 << 20) - 4096)];

/// An image with an MBR, a FAT boot sector and an ext4 magic number in it, and noise everywhere else: also outside of
/// the map, where nobody may look.
fn image() -> Vec<u8> {
    static IMAGE_BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let mut bytes = IMAGE_BYTES.get_or_init(|| noise(7, IMAGE)).clone();
    bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
    bytes[512..520].copy_from_slice(b"EFI PART");
    bytes[8 * MIB + 510..8 * MIB + 512].copy_from_slice(&[0x55, 0xAA]);
    bytes
}

fn card_image(bytes: &[u8]) -> CardImage {
    card_with(bytes, &MAP)
}

fn card_with(bytes: &[u8], map: &[(u64, u64)]) -> CardImage {
    let map = map.iter().map(|&(start, len)| MappedRange {
        range: ByteRange::new(start, len),
        sha256: Sha256Digest::of(&bytes[start as usize..(start + len) as usize]),
    });
    let map = BlockMap::new(map.collect(), ByteSize(bytes.len() as u64)).unwrap();
    CardImage { map, image: Arc::new(Bytes(bytes.to_vec())) }
}

/// What a used card holds: an older system that boots.
fn old() -> Vec<u8> {
    static OLD: OnceLock<Vec<u8>> = OnceLock::new();
    let mut bytes = OLD.get_or_init(|| noise(99, CARD)).clone();
    bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
    bytes[CARD - 512..CARD - 504].copy_from_slice(b"EFI PART");
    bytes
}

/// Most tests are about what happens to space that the image does not use, or about nothing of the kind.
struct Options(WriteOptions);

impl From<UnusedSpace> for Options {
    fn from(unused_space: UnusedSpace) -> Options {
        Options(WriteOptions { unused_space, ..WriteOptions::default() })
    }
}

impl From<WriteOptions> for Options {
    fn from(options: WriteOptions) -> Options {
        Options(options)
    }
}

fn write_with(
    card: &FaultyCard,
    image: &CardImage,
    options: impl Into<Options>,
    cancel: &AtomicBool,
) -> Result<WriteReport, CardFailure> {
    let mut seals = 0;
    let mut before_seal = || {
        seals += 1;
        assert!(!has_partition_table(&card.bytes()), "the ledger hears of it before the first byte");
        Ok(())
    };
    let guard = Guard { cancel, before_seal: &mut before_seal };
    let result = write_card(card, image, options.into().0, &mut *Silent.task("card", None), guard);
    assert!(result.is_err() || seals == 1);
    result
}

fn write(card: &FaultyCard, image: &CardImage) -> Result<WriteReport, CardFailure> {
    write_with(card, image, UnusedSpace::Keep, &AtomicBool::new(false))
}

fn fails(faults: Vec<Fault>) -> (Arc<FaultyCard>, CardFailure) {
    let card = FaultyCard::holding(old(), faults);
    let failure = write(&card, &card_image(&image())).unwrap_err();
    assert!(!failure.what.is_empty() && !failure.detail.is_empty() && !failure.next.is_empty());
    (card, failure)
}

/// The mapped ranges of the card are the image's, and nothing else of the image is on it.
fn assert_is_card(card: &[u8], image: &[u8]) {
    for (start, len) in MAP.map(|(start, len)| (start as usize, len as usize)) {
        assert!(card[start..start + len] == image[start..start + len], "differs in the range at {start}");
    }
}

#[test]
fn a_good_card_reads_as_the_image_where_it_matters_and_is_left_alone_elsewhere() {
    let card = FaultyCard::holding(old(), vec![]);
    let image = image();
    let report = write(&card, &card_image(&image)).unwrap();
    let (bytes, old) = (card.bytes(), old());
    assert_is_card(&bytes, &image);
    assert!(bytes[8192..65536].iter().all(|&b| b == 0), "the first MiB is zero outside of the map");
    assert!(bytes[9 * MIB..13 * MIB] == old[9 * MIB..13 * MIB], "unused-space = keep");
    assert!(bytes[CARD - 4096..].iter().all(|&b| b == 0), "an old second partition table is gone");
    let total: u64 = MAP.iter().map(|range| range.1).sum();
    assert_eq!((report.written.0, report.verified.0, report.repeated), (total, total, 0));
    assert_eq!(report.unused_space, UnusedSpaceReport::Left);
    assert!(matches!(report.probe, ProbeReport::NothingSuspect { samples } if samples > 8), "{:?}", report.probe);
}

#[test]
fn a_card_is_not_asked_for_its_size_where_that_is_not_wanted_and_the_receipt_says_so() {
    let options = WriteOptions { probe: false, unused_space: UnusedSpace::Keep, ..WriteOptions::default() };
    let card = FaultyCard::holding(old(), vec![]);
    let report = write_with(&card, &card_image(&image()), options, &AtomicBool::new(false)).unwrap();
    assert_eq!(report.probe, ProbeReport::NotProbed);
    let old = old();
    assert!(card.bytes()[20 * MIB..CARD - MIB] == old[20 * MIB..CARD - MIB]);
    // A fake is found all the same once the image was written over itself, only later.
    let card = FaultyCard::holding(old, vec![Fault::FoldsAt(8 << 20)]);
    let failure = write_with(&card, &card_image(&image()), options, &AtomicBool::new(false)).unwrap_err();
    assert!(failure.kind.is_verification() && failure.stage == Stage::Verify, "{failure:?}");
    assert!(!boots(&card.bytes()));
}

#[test]
fn what_a_card_keeps_is_put_back_after_it_was_asked_for_its_size() {
    let card = FaultyCard::holding(old(), vec![]);
    write(&card, &card_image(&image())).unwrap();
    let (bytes, old) = (card.bytes(), old());
    assert!(bytes[14 * MIB..CARD - MIB] == old[14 * MIB..CARD - MIB], "unused-space = keep");
}

#[test]
fn at_every_moment_before_the_last_write_a_card_has_no_partition_table() {
    let card = FaultyCard::holding(old(), vec![Fault::FlipsBit { at: 6 << 20, times: 1 }]);
    write(&card, &card_image(&image())).unwrap();
    let old = old();
    assert!(has_partition_table(&old));
    let writes = card.state.lock().unwrap().log.len();
    let mut now = card.replay(&old, 2);
    assert!(!boots(&card.replay(&old, 1)), "the first act is to write over the partition table");
    assert!(!now[..MIB].iter().any(|&b| b != 0), "the second one is to wipe the first MiB");
    for n in 2..writes {
        // The second copy of an old GPT is the second thing to go; without an MBR nobody looks for it.
        assert_ne!(now[510..512], [0x55, 0xAA], "after {n} of {writes} writes");
        assert!(n < 3 || !has_partition_table(&now), "after {n} of {writes} writes");
        let (at, data) = card.state.lock().unwrap().log[n].clone();
        now[at as usize..at as usize + data.len()].copy_from_slice(&data);
    }
    assert!(has_partition_table(&now));
    assert_eq!(card.state.lock().unwrap().log[writes - 1].0, 0, "the partition table is the last write");
}

#[test]
fn a_piece_that_reads_back_different_is_written_again_and_only_that() {
    let card = FaultyCard::holding(old(), vec![Fault::FlipsBit { at: (5 << 20) + 77, times: 2 }]);
    let image = image();
    let report = write(&card, &card_image(&image)).unwrap();
    assert_eq!(report.repeated, 2);
    assert_is_card(&card.bytes(), &image);
    let log = &card.state.lock().unwrap().log;
    assert_eq!(log.iter().filter(|(at, _)| *at == 5 << 20).count(), 3);
    assert_eq!(log.iter().filter(|(at, data)| *at == 8 << 20 && data.len() > 4096).count(), 1);
}

#[test]
fn a_card_that_does_not_keep_what_is_written_is_named_with_the_first_bad_byte() {
    let (card, failure) = fails(vec![Fault::FlipsBit { at: (5 << 20) + 77, times: 99 }]);
    assert_eq!((failure.stage, failure.kind), (Stage::Verify, FailureKind::Verification));
    assert_eq!(failure.left_on_card, LeftOnCard::NotBootable);
    let expected = "3 of 7 MiB read back different, first at byte 5,242,957, after 3 tries";
    assert_eq!(failure.detail, expected);
    assert!(!has_partition_table(&card.bytes()));
}

#[test]
fn a_bad_first_mebibyte_is_wiped_again() {
    for at in [100, 5000, 70_000] {
        let (card, failure) = fails(vec![Fault::FlipsBit { at, times: 6 }]);
        assert!(matches!(failure.stage, Stage::Erase | Stage::Seal), "{:?}", failure.stage);
        assert_eq!(failure.kind, FailureKind::Verification);
        assert!(!boots(&card.bytes()), "{at}");
    }
}

#[test]
fn a_card_that_refuses_writes_fails_wherever_it_begins_to() {
    let good = FaultyCard::holding(old(), vec![]);
    write(&good, &card_image(&image())).unwrap();
    let writes = good.state.lock().unwrap().writes;
    for n in 0..writes {
        let (card, failure) = fails(vec![Fault::RefusesWritesFrom(n)]);
        assert_eq!(failure.kind, FailureKind::Device);
        let bytes = card.bytes();
        if n == 0 {
            assert_eq!(failure.left_on_card, LeftOnCard::OldContent);
        } else {
            assert_eq!(failure.left_on_card == LeftOnCard::NotBootable, bytes[..MIB].iter().all(|&b| b == 0), "{n}");
            assert_ne!(bytes[510..512], [0x55, 0xAA], "{n}");
        }
    }
}

#[test]
fn one_refused_write_is_tried_again() {
    let good = FaultyCard::holding(old(), vec![]);
    write(&good, &card_image(&image())).unwrap();
    let first_body_write = good.state.lock().unwrap().log.iter().position(|(_, data)| data.len() > MIB).unwrap();
    let card = FaultyCard::holding(old(), vec![Fault::RefusesWrite(first_body_write)]);
    write(&card, &card_image(&image())).unwrap();
    assert_is_card(&card.bytes(), &image());
}

#[test]
fn a_worn_card_that_accepts_writes_and_keeps_its_old_data_is_found_at_once() {
    let (card, failure) = fails(vec![Fault::KeepsOld]);
    assert_eq!((failure.stage, failure.kind), (Stage::Erase, FailureKind::Verification));
    assert_eq!(failure.left_on_card, LeftOnCard::OldContent);
    assert!(card.state.lock().unwrap().writes < 10);
    assert!(failure.detail.contains("still holds what it held before"), "{}", failure.detail);
    // One that was empty before looks erased; only something random tells it from a good one.
    let card = FaultyCard::holding(vec![0; CARD], vec![Fault::KeepsOld]);
    let failure = write(&card, &card_image(&image())).unwrap_err();
    assert_eq!((failure.stage, failure.kind), (Stage::Erase, FailureKind::Verification));
    assert_eq!(failure.left_on_card, LeftOnCard::NotBootable);
}

#[test]
fn a_card_that_is_smaller_than_it_says_is_found_before_the_image_is_written() {
    for real in [8 << 20, 16 << 20, 20 << 20] {
        let (card, failure) = fails(vec![Fault::DropsBehind(real)]);
        assert_eq!((failure.stage, failure.kind), (Stage::Probe, FailureKind::Suspect), "{real}");
        assert!(!boots(&card.bytes()));
    }
    for real in [4 << 20, 8 << 20, 16 << 20] {
        let (card, failure) = fails(vec![Fault::FoldsAt(real)]);
        assert_eq!((failure.stage, failure.kind), (Stage::Probe, FailureKind::Suspect), "{real}");
        assert!(!boots(&card.bytes()));
    }
}

#[test]
fn a_card_that_folds_addresses_at_an_odd_size_is_found_when_the_image_is_verified() {
    let (card, failure) = fails(vec![Fault::FoldsAt((7 << 20) + 8192)]);
    assert!(failure.kind.is_verification(), "{failure:?}");
    assert!(!boots(&card.bytes()));
}

#[test]
fn what_is_written_again_is_no_pass_where_it_goes_over_what_was_right() {
    // The image's last range comes out in its first, behind the head; nothing else of it meets anything.
    let fault = || vec![Fault::FoldsAt((11 << 20) + 12288)];
    let options = WriteOptions { probe: false, ..WriteOptions::default() };
    for options in [options, WriteOptions { unused_space: UnusedSpace::Keep, ..options }] {
        let card = FaultyCard::holding(old(), fault());
        let failure = write_with(&card, &card_image(&image()), options, &AtomicBool::new(false)).unwrap_err();
        assert_eq!((failure.stage, failure.kind), (Stage::Verify, FailureKind::Verification), "{failure:?}");
        assert!(!boots(&card.bytes()));
    }
}

#[test]
fn a_card_that_is_pulled_out_fails_and_its_state_is_known_unless_it_was_being_sealed() {
    let good = FaultyCard::holding(old(), vec![]);
    write(&good, &card_image(&image())).unwrap();
    let writes = good.state.lock().unwrap().writes;
    // Before the second write nothing but the nonce is there.
    for n in 2..writes {
        let (card, failure) = fails(vec![Fault::VanishesAt(n)]);
        let sealing = failure.stage == Stage::Seal;
        assert_eq!(sealing, n >= writes - 2, "{n}");
        let left = if sealing { LeftOnCard::Unknown } else { LeftOnCard::NotBootable };
        assert_eq!(failure.left_on_card, left, "{n}");
        assert_ne!(card.bytes()[510..512], [0x55, 0xAA]);
    }
}

#[test]
fn another_card_of_the_same_size_is_noticed_before_it_is_sealed_and_is_not_written_to_again() {
    let good = FaultyCard::holding(old(), vec![]);
    write(&good, &card_image(&image())).unwrap();
    let writes = good.state.lock().unwrap().writes;
    let (card, failure) = fails(vec![Fault::ExchangedAt(writes - 3)]);
    assert_eq!((failure.stage, failure.kind), (Stage::Verify, FailureKind::Exchanged));
    assert_eq!(card.state.lock().unwrap().writes, writes - 2);
    assert!(!has_partition_table(&card.bytes()));
}

#[test]
fn a_card_that_was_changed_before_the_first_write_is_not_touched() {
    let card = FaultyCard::holding(old(), vec![Fault::ExchangedBefore]);
    let failure = write(&card, &card_image(&image())).unwrap_err();
    assert_eq!((failure.kind, failure.left_on_card), (FailureKind::Exchanged, LeftOnCard::Untouched));
    assert_eq!(card.state.lock().unwrap().writes, 0);
}

#[test]
fn a_sync_that_fails_is_a_card_that_fails() {
    let good = FaultyCard::holding(old(), vec![]);
    write(&good, &card_image(&image())).unwrap();
    let syncs = good.state.lock().unwrap().syncs;
    for n in 0..syncs {
        let (card, failure) = fails(vec![Fault::SyncFails(n)]);
        assert_eq!((failure.kind, failure.left_on_card), (FailureKind::Device, LeftOnCard::NotBootable), "{n}");
        assert!(!boots(&card.bytes()), "{n}");
    }
}

#[test]
fn what_cannot_be_read_back_counts_as_bad_and_one_bad_read_as_a_second_try() {
    let card = FaultyCard::holding(old(), vec![Fault::ReadFails { at: 6 << 20, times: 1 }]);
    assert_eq!(write(&card, &card_image(&image())).unwrap().repeated, 1);
    let (card, failure) = fails(vec![Fault::ReadFails { at: 6 << 20, times: 99 }]);
    assert_eq!((failure.stage, failure.kind), (Stage::Verify, FailureKind::Verification));
    assert!(!has_partition_table(&card.bytes()));
}

#[test]
fn a_person_can_stop_at_any_write() {
    let good = FaultyCard::holding(old(), vec![]);
    write(&good, &card_image(&image())).unwrap();
    let writes = good.state.lock().unwrap().writes;
    for n in 0..writes - 2 {
        let cancel = Arc::new(AtomicBool::new(false));
        let set = cancel.clone();
        let hook = Fault::Hook(Box::new(move |number| set.store(number >= n, Ordering::Relaxed)));
        let card = FaultyCard::holding(old(), vec![hook]);
        let failure = write_with(&card, &card_image(&image()), UnusedSpace::Keep, &cancel).unwrap_err();
        assert_eq!((failure.kind, failure.left_on_card), (FailureKind::Cancelled, LeftOnCard::NotBootable), "{n}");
        assert!(!has_partition_table(&card.bytes()), "{n}");
    }
}

#[test]
fn a_ledger_that_cannot_be_written_keeps_the_card_from_being_sealed() {
    let card = FaultyCard::holding(old(), vec![]);
    let cancel = AtomicBool::new(false);
    let guard = Guard { cancel: &cancel, before_seal: &mut || Err("disk full".to_owned()) };
    let failure =
        write_card(&*card, &card_image(&image()), WriteOptions::default(), &mut *Silent.task("card", None), guard)
            .unwrap_err();
    assert_eq!((failure.kind, failure.left_on_card), (FailureKind::Preparation, LeftOnCard::NotBootable));
    assert!(!has_partition_table(&card.bytes()));
}

#[test]
fn a_golden_image_that_rotted_is_not_written_as_if_it_were_good() {
    for at in [100, 6 << 20, (13 << 20) + 5] {
        let mut rotten = card_image(&image());
        let mut bytes = image();
        bytes[at] ^= 1;
        rotten.image = Arc::new(Bytes(bytes));
        let card = FaultyCard::holding(old(), vec![]);
        let failure = write(&card, &rotten).unwrap_err();
        assert_eq!((failure.kind, failure.left_on_card), (FailureKind::Source, LeftOnCard::NotBootable));
        assert!(!has_partition_table(&card.bytes()));
    }
}

#[test]
fn blank_space_is_discarded_zeroed_or_left_as_asked_and_told_as_it_went() {
    let go = |faults, unused_space| {
        let card = FaultyCard::holding(old(), faults);
        let report = write_with(&card, &card_image(&image()), unused_space, &AtomicBool::new(false)).unwrap();
        assert_is_card(&card.bytes(), &image());
        (card.bytes(), report.unused_space)
    };
    let (bytes, report) = go(vec![], UnusedSpace::Zero);
    let gaps = [9 * MIB..13 * MIB, 20 * MIB..CARD];
    assert!(gaps.iter().all(|gap| bytes[gap.clone()].iter().all(|&b| b == 0)));
    assert!(matches!(report, UnusedSpaceReport::Zeroed { bytes } if bytes.0 > 20 << 20), "{report:?}");
    let (bytes, report) = go(vec![Fault::DiscardsToOnes], UnusedSpace::Discard);
    assert!(bytes[20 * MIB..30 * MIB].iter().all(|&b| b == 0xFF));
    assert_eq!(report, UnusedSpaceReport::Discarded);
    let (_, report) = go(vec![], UnusedSpace::Discard);
    assert!(matches!(report, UnusedSpaceReport::NotDiscarded { .. }), "{report:?}");
}

#[test]
fn a_card_that_is_too_small_is_not_touched() {
    let card = FaultyCard::holding(old()[..8 * MIB].to_vec(), vec![]);
    let failure = write(&card, &card_image(&image())).unwrap_err();
    assert_eq!(failure.left_on_card, LeftOnCard::Untouched);
    assert_eq!(card.state.lock().unwrap().writes, 0);
    assert_eq!(card.record().size.0, 8 << 20);
}

#[test]
fn a_map_whose_ranges_lie_across_sectors_is_written_in_whole_sectors() {
    let bytes = image();
    let ranges = [(3u64, 700u64), (2 << 20, 1001), ((2 << 20) + 1001, 3), (4 << 20, 4 << 20), (8 << 20, 13)];
    let odd = card_with(&bytes, &ranges);
    let card = FaultyCard::holding(old(), vec![]);
    write_with(&card, &odd, UnusedSpace::Zero, &AtomicBool::new(false)).unwrap();
    let on_card = card.bytes();
    for (start, len) in ranges.map(|(start, len)| (start as usize, len as usize)) {
        assert!(on_card[start..start + len] == bytes[start..start + len], "{start}");
    }
    assert!(on_card[9 * MIB..].iter().all(|&b| b == 0));
}
