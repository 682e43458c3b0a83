//! The real binary and cards that fail in every way that we know of, side by side with good ones.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use cardsmith::ledger::{ActivationState, CardState, Ledger};
use serde_json::Value;

use crate::crash::golden;
use crate::support::binary::Home;
use crate::support::fake_ssm::FakeSsm;
use crate::support::faulty_card::{boots, has_partition_table};
use crate::support::fuse_card::FuseCard;

const MIB: u64 = 1 << 20;

/// What must come of a card with one fault: its stage, kind, a word of its letter, and whether it still has what it had.
struct Bad {
    fault: String,
    stage: &'static [&'static str],
    kind: &'static str,
    says: &'static str,
    keeps_old: bool,
}

fn bad(fault: impl Into<String>, stage: &'static [&'static str], kind: &'static str, says: &'static str) -> Bad {
    Bad { fault: fault.into(), stage, kind, says, keeps_old: false }
}

pub fn size_of_golden(home: &Home) -> u64 {
    std::fs::metadata(home.path("aws.img")).unwrap().len()
}

/// An offset at the beginning of the image's longest used run, where no sample of the probe is likely to lie.
pub fn in_body(home: &Home) -> u64 {
    let manifest: Value = serde_json::from_slice(&std::fs::read(home.path("aws.manifest.json")).unwrap()).unwrap();
    let ranges = manifest["map"].as_array().unwrap();
    let in_bytes = |range: &Value| (range["start"].as_u64().unwrap(), range["len"].as_u64().unwrap());
    let body = ranges.iter().map(in_bytes).filter(|(start, _)| *start >= 2 * MIB);
    let (start, len) = body.max_by_key(|(_, len)| *len).unwrap();
    assert!(len > MIB);
    start + 5
}

/// Flashes all of `cards` in one run; `meanwhile` sees how many receipts there are. Answers exit code, receipts and
/// all that was said.
pub fn flash(
    home: &Home,
    aws: &FakeSsm,
    cards: &[FuseCard],
    more: &[&str],
    mut meanwhile: impl FnMut(&[Value]),
) -> (Option<i32>, Vec<Value>, String) {
    let mut command = home.command(["flash", "aws.manifest.json", "--allow-role", "nodes", "--yes", "--json"]);
    command.args(["--ledger", "ledger.sqlite3"]);
    for card in cards {
        command.arg("--to").arg(&card.path).arg("--fixed-ok").arg(&card.path);
    }
    command.args(more).envs(aws.env()).env("CARDSMITH_IO_TIMEOUT", "4");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let heard = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let (mut receipts, mut said) = (Vec::new(), String::new());
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        said += &line;
        if event["event"] == "receipt" {
            receipts.push(event);
            meanwhile(&receipts);
        }
    }
    let code = child.wait().unwrap().code();
    said += &heard.join().unwrap();
    for code in aws.codes() {
        assert!(!said.contains(&code), "an activation code was printed");
    }
    (code, receipts, said)
}

pub fn receipt_of<'a>(card: &FuseCard, receipts: &'a [Value]) -> &'a Value {
    let mut of_card = receipts.iter().filter(|receipt| receipt["medium"]["path"] == card.path.to_str().unwrap());
    of_card.next().unwrap_or_else(|| panic!("no receipt for {}: {receipts:?}", card.path.display()))
}

/// Every activation at AWS is on a card that was verified, and every card's in the ledger says what became of it.
fn assert_accounted_for(home: &Home, aws: &FakeSsm, receipts: &[Value]) {
    let mut verified: Vec<&str> = receipts
        .iter()
        .filter(|receipt| receipt["outcome"] == "verified")
        .map(|receipt| receipt["activation_id"].as_str().unwrap())
        .collect();
    let live = aws.live();
    let mut live: Vec<&str> = live.iter().map(|activation| activation.id.as_str()).collect();
    verified.sort_unstable();
    live.sort_unstable();
    assert_eq!(live, verified, "{receipts:#?}");
    let ledger = Ledger::open(&home.path("ledger.sqlite3")).unwrap();
    let cards = ledger.cards().unwrap();
    assert_eq!(cards.iter().filter(|card| card.state == CardState::Verified).count(), verified.len());
    assert!(cards.iter().all(|card| matches!(card.state, CardState::Verified | CardState::Failed)), "{cards:?}");
    for activation in ledger.activations().unwrap() {
        let held = activation.id.as_deref().is_some_and(|id| verified.contains(&id));
        assert_eq!(activation.state == ActivationState::Held, held, "{activation:?}");
    }
}

fn assert_failed_as(bad: &Bad, card: &FuseCard, receipt: &Value) {
    let failure = &receipt["failure"];
    assert_eq!(receipt["outcome"], "failed", "{}: {receipt:#}", bad.fault);
    assert_eq!(failure["kind"], bad.kind, "{}: {failure:#}", bad.fault);
    assert!(bad.stage.contains(&failure["stage"].as_str().unwrap()), "{}: {failure:#}", bad.fault);
    let said = format!("{} {}", failure["what"], failure["detail"]);
    assert!(said.contains(bad.says), "{}: {said}", bad.fault);
    assert!(failure["activation"].as_str().unwrap().contains("deleted"), "{}: {failure:#}", bad.fault);
    assert_ne!(failure["next"], "");
    let bytes = card.bytes();
    if bad.keeps_old {
        assert_eq!(failure["left_on_card"], "old-content");
        assert!(boots(&bytes), "what cannot be written is not wiped either");
    } else {
        assert_eq!(failure["left_on_card"], "not-bootable", "{}", bad.fault);
        assert!(!has_partition_table(&bytes), "{}", bad.fault);
    }
}

/// One batch with a card for every fault, and a good one first and last.
fn batch(more: &[&str], faults: impl FnOnce(u64, u64) -> Vec<Bad>, code: i32) {
    let home = Home::new();
    golden(&home);
    let size = size_of_golden(&home) + 8 * MIB;
    let bad = faults(in_body(&home), size);
    let card = |fault: &str| FuseCard::new(size, &[fault].into_iter().filter(|f| !f.is_empty()).collect::<Vec<_>>());
    let all = [""].into_iter().chain(bad.iter().map(|bad| bad.fault.as_str())).chain([""]);
    let Some(cards) = all.map(card).collect::<Option<Vec<_>>>() else { return };
    let aws = FakeSsm::start();
    // A card that stalls is given up by cardsmith; the kernel lets go of the process only when it is pulled.
    let stalled: Vec<usize> = (0..bad.len()).filter(|&n| bad[n].fault.starts_with("stall")).collect();
    let count = cards.len();
    let servers: Vec<rustix::process::Pid> = stalled.iter().map(|&n| cards[n + 1].server()).collect();
    let (exit, receipts, said) = flash(&home, &aws, &cards, more, |receipts| {
        if receipts.len() == count {
            for &server in &servers {
                rustix::process::kill_process(server, rustix::process::Signal::KILL).unwrap();
            }
        }
    });
    assert_eq!(receipts.len(), count, "{said}");
    for (bad, card) in bad.iter().zip(&cards[1..]) {
        assert_failed_as(bad, card, receipt_of(card, &receipts));
    }
    for good in [&cards[0], &cards[count - 1]] {
        assert_eq!(receipt_of(good, &receipts)["outcome"], "verified", "{said}");
        assert!(boots(&good.bytes()));
    }
    assert_eq!(exit, Some(code), "{said}");
    assert_accounted_for(&home, &aws, &receipts);
}

#[test]
fn each_faulty_card_of_a_batch_has_its_own_verdict_and_the_good_ones_are_written() {
    let faults = |body: u64, size: u64| {
        vec![
            bad(format!("write-eio={body}"), &["write"], "device", "Input/output error"),
            Bad { keeps_old: true, ..bad("write-drop", &["erase"], "verification", "still holds what it held before") },
            bad(format!("write-drop={}", size - 20 * MIB), &["probe"], "suspect", "it says that it holds"),
            bad(format!("wrap={}", 128 * MIB), &["probe"], "suspect", "came out at"),
            bad(format!("wrap={}", 140 * MIB), &["probe"], "suspect", "came out at"),
        ]
    };
    batch(&[], faults, 4);
}

#[test]
fn a_card_that_stalls_or_does_not_sync_or_read_back_is_given_up_and_the_others_go_on() {
    let faults = |body: u64, _| {
        vec![
            bad(format!("stall={body}"), &["write"], "hung", "no answer within"),
            bad("fsync-eio=3", &["erase", "blank", "write"], "device", "Input/output error"),
            bad(format!("read-flip={body}"), &["verify"], "verification", "read back different"),
            bad(format!("read-eio={body}"), &["verify"], "verification", "Input/output error"),
        ]
    };
    batch(&["--no-probe"], faults, 4);
}
