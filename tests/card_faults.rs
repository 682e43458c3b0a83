//! One card of three fails, in every way that the device trait can show: the verdict is about that card only, no
//! partition table is left on it, and its number and activation go to the next one.

use std::time::Duration;

use cardsmith::flash::{FailureKind, FlashJob, IoTimeout, LeftOnCard, Outcome, Receipt, Stage, WriteOptions, flash};
use cardsmith::ledger::CardState;

use crate::flash::{Bench, CODE_AT, NAME_AT, at, code, faulty};
use crate::support::faulty_card::{Fault, State, boots, has_partition_table};

fn options() -> WriteOptions {
    // Long enough for a busy machine; a megabyte may take a second more.
    let io_timeout = IoTimeout { pause: Duration::from_millis(500), times: 1 };
    WriteOptions { io_timeout, ..WriteOptions::default() }
}

/// Where in a good card's run things happen, counted from 0.
struct Moments {
    /// The first write of the image's body.
    body: usize,
    writes: usize,
    /// The first read of what was written.
    reads: usize,
    syncs: usize,
}

fn moments() -> Moments {
    let bench = Bench::with(1);
    let (card, medium) = faulty(vec![]);
    bench.run(1, |job| flash(&FlashJob { options: options(), ..*job }, vec![medium]));
    let state: &State = &card.state.lock().unwrap();
    assert!(state.finished);
    let body = state.log.iter().position(|(at, data)| *at == 1 << 20 && data.len() == 1 << 20).unwrap();
    Moments { body, writes: state.writes, reads: state.reads, syncs: state.syncs }
}

/// Flashes three cards, the last with this fault: what it gives back when it fails early is taken by none of the others.
fn last_of_three(fault: Fault) -> (Bench, Receipt, Vec<u8>) {
    let bench = Bench::with(4);
    let ((first, a), (second, b), (bad, c)) = (faulty(vec![]), faulty(vec![]), faulty(vec![fault]));
    let outcome = bench.run(3, |job| flash(&FlashJob { options: options(), ..*job }, vec![a, b, c]));
    // Whatever hangs comes back now, when it is too late.
    bad.release();
    for good in [&first, &second] {
        assert!(boots(&good.bytes()), "another card was harmed: {:?}", outcome.receipts);
    }
    assert_eq!(at(&first.bytes(), CODE_AT, 20), code(0));
    assert_eq!(at(&second.bytes(), CODE_AT, 20), code(1));
    let of_last = |receipt: &&Receipt| receipt.card.as_ref().is_some_and(|card| card.serial == 3);
    let receipt = outcome.receipts.iter().find(of_last).unwrap().clone();
    std::thread::sleep(Duration::from_millis(20));
    let bytes = bad.bytes();
    (bench, receipt, bytes)
}

#[test]
fn every_fault_has_its_verdict_and_harms_no_other_card_and_no_activation() {
    use FailureKind::{Device, Exchanged, Hung, Suspect, Verification};
    let Moments { body, syncs, .. } = moments();
    let cases: Vec<(&str, Fault, FailureKind, &[Stage])> = vec![
        ("writes fail", Fault::RefusesWritesFrom(body), Device, &[Stage::Write]),
        ("a bit is stored flipped", Fault::FlipsBit { at: (1 << 20) + 9, times: 99 }, Verification, &[Stage::Verify]),
        (
            "a bit is read flipped",
            Fault::FlipsRead { at: (4 << 20) + 70_001, times: 99 },
            Verification,
            &[Stage::Verify],
        ),
        ("reads fail", Fault::ReadFails { at: (4 << 20) + 70_001, times: 99 }, Verification, &[Stage::Verify]),
        ("writes are dropped", Fault::KeepsOld, Verification, &[Stage::Erase]),
        ("writes are dropped from the middle on", Fault::DropsFrom(body), Verification, &[Stage::Verify]),
        ("addresses fold", Fault::FoldsAt(8 << 20), Suspect, &[Stage::Probe]),
        ("addresses fold at an odd size", Fault::FoldsAt((3 << 20) + 8192), Suspect, &[Stage::Probe, Stage::Verify]),
        ("the end is not there", Fault::DropsBehind(9 << 20), Suspect, &[Stage::Probe]),
        ("it shrinks", Fault::ShrinksAt(body, 2 << 20), Device, &[Stage::Write]),
        ("it shrinks behind the image", Fault::ShrinksAt(body, 7 << 20), Exchanged, &[Stage::Verify]),
        ("it disappears", Fault::VanishesAt(body), Device, &[Stage::Write]),
        ("another card comes", Fault::ExchangedAt(body), Exchanged, &[Stage::Verify]),
        ("the first sync fails", Fault::SyncFails(0), Device, &[Stage::Erase]),
        ("the last sync before sealing fails", Fault::SyncFails(syncs - 3), Device, &[Stage::Write]),
        ("a write hangs", Fault::StallsWrite(body), Hung, &[Stage::Write]),
        ("the first write hangs", Fault::StallsWrite(0), Hung, &[Stage::Erase]),
        ("a sync hangs", Fault::StallsSync(syncs - 3), Hung, &[Stage::Write]),
    ];
    for (name, fault, kind, stages) in cases {
        let pulled = matches!(fault, Fault::VanishesAt(_));
        let (bench, receipt, bytes) = last_of_three(fault);
        let failure = receipt.failure().unwrap_or_else(|| panic!("{name}: {receipt:?}"));
        assert!(failure.kind == kind || (kind == Suspect && failure.kind.is_verification()), "{name}: {failure:?}");
        assert!(stages.contains(&failure.stage), "{name}: {failure:?}");
        assert!(!failure.detail.is_empty() && !failure.next.is_empty(), "{name}");
        assert!(!has_partition_table(&bytes), "{name}");
        assert!(pulled || failure.left_on_card != LeftOnCard::MayBoot, "{name}: {failure:?}");
        assert!(failure.activation.contains("free again"), "{name}: {}", failure.activation);
        let states = bench.states();
        assert_eq!(states.iter().filter(|(_, state)| *state == CardState::Verified).count(), 2, "{name}");
        // The number and the activation are the next card's.
        let (next, medium) = faulty(vec![]);
        bench.flash(vec![medium]);
        assert_eq!(at(&next.bytes(), NAME_AT, 10), "kiosk-0003", "{name}");
        assert_eq!(at(&next.bytes(), CODE_AT, 20), code(2), "{name}");
    }
}

#[test]
fn a_card_that_hangs_while_it_is_sealed_may_boot_later_and_its_activation_is_not_used_again() {
    let Moments { writes, .. } = moments();
    let (bench, receipt, bytes) = last_of_three(Fault::StallsWrite(writes - 1));
    let failure = receipt.failure().unwrap();
    assert_eq!(
        (failure.kind, failure.stage, failure.left_on_card),
        (FailureKind::Hung, Stage::Seal, LeftOnCard::Unknown)
    );
    assert!(failure.activation.contains("not used again"), "{}", failure.activation);
    assert!(boots(&bytes), "the write that hung arrived late: this is what must be reckoned with");
    let (next, medium) = faulty(vec![]);
    bench.flash(vec![medium]);
    assert_ne!(at(&next.bytes(), CODE_AT, 20), code(2));
}

#[test]
fn what_goes_wrong_once_is_done_again_and_the_card_is_good() {
    let Moments { body, reads, .. } = moments();
    let cases = [
        ("a write is short", Fault::WritesHalf(body), 0),
        ("a write is torn", Fault::TearsWrite(body), 1),
        ("a bit is read flipped", Fault::FlipsRead { at: (1 << 20) + 77, times: 1 }, 1),
        // The last three are those of the sealed first MiB and the look before it.
        ("a read fails", Fault::RefusesRead(reads - 4), 1),
    ];
    for (name, fault, repeated) in cases {
        let (_, receipt, bytes) = last_of_three(fault);
        let Outcome::Verified { report, .. } = &receipt.outcome else { panic!("{name}: {receipt:?}") };
        assert_eq!(report.repeated, repeated, "{name}");
        assert!(boots(&bytes), "{name}");
    }
}
