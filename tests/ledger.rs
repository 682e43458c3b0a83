//! The ledger: numbers without gaps, states that only move the right way, and a file that strangers cannot read.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use cardsmith::ledger::{ActivationState, Bootability, CardState, FileRow, Ledger, LedgerError};
use tempfile::TempDir;

fn ledger() -> (TempDir, Ledger) {
    let dir = TempDir::new().unwrap();
    let ledger = Ledger::open(&dir.path().join("state/ledger.sqlite3")).unwrap();
    (dir, ledger)
}

fn row(n: u8) -> FileRow {
    let id = format!("00000000-0000-4000-8000-0000000000{n:02x}");
    FileRow { id, region: "eu-west-1".into(), name: None, expires: None }
}

fn name(serial: u64) -> String {
    format!("kiosk-{serial:04}")
}

#[test]
fn a_failed_cards_number_goes_to_its_replacement_and_a_verified_ones_never() {
    let (_dir, ledger) = ledger();
    let run = ledger.begin_run("kiosk", None).unwrap();
    let first = ledger.reserve_card(&run, "slot 1", name).unwrap();
    let second = ledger.reserve_card(&run, "slot 2", name).unwrap();
    assert_eq!((first.serial, second.serial, second.name.as_str()), (1, 2, "kiosk-0002"));

    ledger.card_failed(first.key, "verify", "3 MiB differ", Bootability::CannotBoot).unwrap();
    ledger.card_sealing(second.key).unwrap();
    ledger.card_verified(second.key, "{}").unwrap();
    assert_eq!(ledger.next_serials("kiosk", 3).unwrap(), [1, 3, 4]);
    assert_eq!(ledger.reserve_card(&run, "slot 1", name).unwrap().serial, 1);
    assert_eq!(ledger.reserve_card(&run, "slot 1", name).unwrap().serial, 3);

    let other = ledger.begin_run("sign", None).unwrap();
    assert_eq!(ledger.reserve_card(&other, "slot 1", name).unwrap().serial, 1, "each recipe counts for itself");
    ledger.retire_card(second.key).unwrap();
    assert_eq!(ledger.next_serials("kiosk", 1).unwrap(), [4], "a retired card's number stays its own");
}

#[test]
fn two_runs_at_once_never_get_the_same_number_nor_the_same_row() {
    let (_dir, ledger) = ledger();
    let rows: Vec<FileRow> = (0..80).map(row).collect();
    let (mut serials, mut ids) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let ledger = Ledger::open(ledger.path()).unwrap();
                    let run = ledger.begin_run("kiosk", None).unwrap();
                    let all: Vec<&FileRow> = rows.iter().collect();
                    (0..20)
                        .map(|_| {
                            let card = ledger.reserve_card(&run, "slot", name).unwrap();
                            (card.serial, ledger.take_row(card.key, &all).unwrap().unwrap().id.clone())
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        for worker in workers {
            for (serial, id) in worker.join().unwrap() {
                serials.push(serial);
                ids.push(id);
            }
        }
    });
    // The workers dropped their runs without ending them, so nothing was given back in between.
    serials.sort_unstable();
    assert_eq!(serials, (1..=80).collect::<Vec<_>>());
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 80);
}

#[test]
fn a_run_that_lives_is_left_alone_and_a_dead_ones_cards_are_free_again() {
    let (_dir, ledger) = ledger();
    let live = ledger.begin_run("kiosk", None).unwrap();
    let kept = ledger.reserve_card(&live, "slot 1", name).unwrap();
    let dead = ledger.begin_run("kiosk", None).unwrap();
    let lost = ledger.reserve_card(&dead, "slot 2", name).unwrap();
    let sealing = ledger.reserve_card(&dead, "slot 3", name).unwrap();
    let (one, two) = (row(1), row(2));
    ledger.take_row(lost.key, &[&one]).unwrap().unwrap();
    ledger.take_row(sealing.key, &[&two]).unwrap().unwrap();
    ledger.card_sealing(sealing.key).unwrap();
    drop(dead);

    let crashed = ledger.bury_dead_runs().unwrap();
    assert_eq!(
        crashed.iter().map(|card| (card.name.as_str(), card.may_boot)).collect::<Vec<_>>(),
        [("kiosk-0002", false), ("kiosk-0003", true)]
    );
    assert_eq!(ledger.next_serials("kiosk", 2).unwrap(), [2, 3]);
    assert_eq!(
        ledger.free_rows(&[one.id.clone(), two.id.clone()]).unwrap(),
        [one.id],
        "a sealed card may boot with its row"
    );
    assert_eq!(ledger.cards().unwrap()[0].state, CardState::Reserved);
    ledger.card_sealing(kept.key).unwrap();
    assert!(ledger.bury_dead_runs().unwrap().is_empty());

    ledger.release_row(&two.id).unwrap();
    assert_eq!(ledger.free_rows(std::slice::from_ref(&two.id)).unwrap(), [two.id]);
}

#[test]
fn an_activation_follows_its_card() {
    let (_dir, ledger) = ledger();
    let run = ledger.begin_run("kiosk", None).unwrap();
    let states = || ledger.activations().unwrap().iter().map(|a| a.state).collect::<Vec<_>>();

    let good = ledger.reserve_card(&run, "slot", name).unwrap();
    let key = ledger.intend_activation(good.key, "eu-west-1", None, "cardsmith run=x").unwrap();
    assert_eq!(states(), [ActivationState::Intended]);
    ledger.activation_issued(key, &row(1).id, Some(5)).unwrap();
    assert!(matches!(ledger.card_verified(good.key, "{}"), Err(LedgerError::CardState { .. })), "never sealed");
    ledger.card_sealing(good.key).unwrap();
    ledger.card_verified(good.key, "{}").unwrap();
    assert_eq!(states(), [ActivationState::Held]);

    let bad = ledger.reserve_card(&run, "slot", name).unwrap();
    let key = ledger.intend_activation(bad.key, "eu-west-1", None, "cardsmith run=x").unwrap();
    ledger.activation_issued(key, &row(2).id, None).unwrap();
    ledger.card_failed(bad.key, "write", "card pulled", Bootability::CannotBoot).unwrap();
    assert_eq!(states(), [ActivationState::Held, ActivationState::Due]);
    ledger.activation_deleted(key).unwrap();
    assert!(ledger.activation_issued(key, &row(2).id, None).is_err(), "a deleted one does not come back");

    // Two cards with one activation: the database itself refuses.
    let third = ledger.reserve_card(&run, "slot", name).unwrap();
    let key = ledger.intend_activation(third.key, "eu-west-1", None, "cardsmith run=x").unwrap();
    assert!(ledger.activation_issued(key, &row(1).id, None).is_err());
    assert_eq!(states()[2], ActivationState::Intended, "and nothing of the refused change is left");
}

#[test]
fn the_ledger_is_closed_to_others_and_keeps_no_lock_files_behind() {
    let (_dir, ledger) = ledger();
    assert_eq!(ledger.path().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let run = ledger.begin_run("kiosk", None).unwrap();
    ledger.end_run(run).unwrap();
    let names: Vec<_> = ledger.path().parent().unwrap().read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["ledger.sqlite3"]);
}

#[test]
fn a_newer_ledger_and_a_file_that_is_none_are_refused_and_left_alone() {
    let (dir, ledger) = ledger();
    let path = ledger.path().to_owned();
    drop(ledger);
    if crate::support::need("sqlite3") {
        let set = Command::new("sqlite3").arg(&path).arg("PRAGMA user_version = 99").status().unwrap();
        assert!(set.success());
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(Ledger::open(&path), Err(LedgerError::Newer { found: 99, .. })));
        assert_eq!(std::fs::read(&path).unwrap(), before);

        let other = dir.path().join("other.sqlite3");
        assert!(Command::new("sqlite3").arg(&other).arg("CREATE TABLE t (x)").status().unwrap().success());
        assert!(matches!(Ledger::open(&other), Err(LedgerError::NotALedger { .. })));
    }
    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to be looked at twice\n".repeat(40)).unwrap();
    let Err(error) = Ledger::open(&text) else { panic!("opened a text file") };
    assert!(error.to_string().contains("another --ledger"), "{error}");
}
