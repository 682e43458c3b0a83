//! Cards that misbehave, over FUSE and a loop device, in one batch with a good one.

use std::sync::OnceLock;
use std::time::Duration;

use cardsmith::golden::Manifest;
use cardsmith::ledger::{ActivationState, Ledger};
use serde_json::Value;

use crate::crash::golden;
use crate::faults::{flash, in_body, receipt_of, size_of_golden};
use crate::support::binary::Home;
use crate::support::dice::Dice;
use crate::support::fake_ssm::FakeSsm;
use crate::support::faulty_card::boots;
use crate::support::fuse_card::FuseCard;

const MIB: u64 = 1 << 20;
const BLOCK: usize = 4096;
/// What differs between two cards: a host name, an activation, and what the file systems count along.
const OWN_BLOCKS: usize = 64;

/// What the kernel lets go of only when the server behind the card is gone.
fn stalls(fault: &str) -> bool {
    fault.starts_with("stall")
}

fn fault(home: &Home, size: u64, dice: &mut Dice) -> String {
    let anywhere = dice.roll(size as usize) as u64 / 512 * 512 + 7;
    let at = if dice.roll(4) == 0 { anywhere } else { in_body(home) + dice.roll(MIB as usize) as u64 };
    match dice.roll(13) {
        0 => format!("write-eio={at}"),
        1 => "write-drop".to_owned(),
        2 => format!("write-drop={at}"),
        3 => format!("wrap={}", (MIB + dice.roll((size - MIB) as usize) as u64) / 4096 * 4096),
        4 => format!("fsync-eio={}", dice.roll(8)),
        5 => format!("read-flip={at}"),
        6 => format!("read-eio={at}"),
        7 => format!("write-short={at}"),
        8 => format!("write-enospc={at}"),
        9 => format!("lose-after={}", dice.roll(60)),
        10 if dice.roll(3) == 0 => format!("stall={at}"),
        // Pulled out at some moment.
        _ => format!("pull={}", dice.roll(2500)),
    }
}

/// A good card and one or two bad ones. What says PASS holds the image, what fails does not boot, and every activation is
/// on a card that said PASS, or deleted.
pub fn batch(dice: &mut Dice) -> usize {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    static GOLDEN: OnceLock<Home> = OnceLock::new();
    let home = GOLDEN.get_or_init(|| {
        let home = Home::new();
        golden(&home);
        home
    });
    // The ledger has one place in this home.
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(home.path(&format!("ledger.sqlite3{end}")));
    }
    let size = size_of_golden(home) + 8 * MIB;
    let faults: Vec<String> = (0..=dice.roll(2)).map(|_| fault(home, size, dice)).collect();
    let card = |fault: &str| {
        let words: Vec<&str> = [fault].into_iter().filter(|f| !f.is_empty() && !f.starts_with("pull")).collect();
        FuseCard::new(size, &words).expect("this machine has FUSE")
    };
    let cards: Vec<FuseCard> = [""].into_iter().chain(faults.iter().map(String::as_str)).map(card).collect();
    let aws = FakeSsm::start();
    let kill = |server| {
        let _ = rustix::process::kill_process(server, rustix::process::Signal::KILL);
    };
    let pulled = faults
        .iter()
        .zip(&cards[1..])
        .filter_map(|(fault, card)| Some((fault.strip_prefix("pull=")?.parse().unwrap(), card.server())));
    for (wait, server) in pulled.collect::<Vec<_>>() {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(wait));
            kill(server);
        });
    }
    let hanging: Vec<_> =
        faults.iter().zip(&cards[1..]).filter(|(fault, _)| stalls(fault)).map(|(_, card)| card.server()).collect();
    let count = cards.len();
    let (_, receipts, said) = flash(home, &aws, &cards, &[], |receipts| {
        if receipts.len() == count {
            hanging.iter().copied().for_each(kill);
        }
    });
    // A card that is gone before the run begins is refused, and nothing is written to any.
    if receipts.is_empty() {
        assert!(said.contains("nothing was written") && aws.live().is_empty(), "{faults:?}: no receipt: {said}");
        return 0;
    }
    assert_eq!(receipts.len(), count, "{faults:?}: {said}");
    let good = receipt_of(&cards[0], &receipts);
    assert_eq!(good["outcome"], "verified", "{faults:?}: the good card: {good:#}");
    let right = cards[0].bytes();
    for (fault, card) in faults.iter().zip(&cards[1..]) {
        judge(home, fault, receipt_of(card, &receipts), &card.bytes(), &right);
    }
    accounted_for(home, &aws, &receipts, &faults);
    count
}

fn judge(home: &Home, fault: &str, receipt: &Value, bytes: &[u8], right: &[u8]) {
    if receipt["outcome"] == "verified" {
        assert!(boots(bytes), "{fault}: PASS, and it does not boot");
        let map = Manifest::read(&home.path("aws.manifest.json")).unwrap().map;
        let blocks =
            map.ranges().iter().flat_map(|r| (r.range.start.0 as usize..r.range.end().0 as usize).step_by(BLOCK));
        // Where addresses are folded, what counts is what a reader sees; the file behind the card holds it elsewhere. Such
        // a card is a fake, and passes where nothing of the image meets anything else of it: see flash's capacity.rs.
        let fold = fault.strip_prefix("wrap=").map_or(bytes.len(), |size| size.parse().unwrap());
        let differing: Vec<usize> = blocks
            .filter(|&at| {
                let len = BLOCK.min(right.len() - at);
                bytes[at % fold..at % fold + len] != right[at..at + len]
            })
            .collect();
        assert!(
            differing.len() < OWN_BLOCKS,
            "{fault}: PASS, and {} blocks are not those of the good card, from {:?} on: {receipt}",
            differing.len(),
            differing.first()
        );
        return;
    }
    let failure = &receipt["failure"];
    assert!(failure["next"].as_str().is_some_and(|next| !next.is_empty()), "{fault}: no next step: {receipt:#}");
    let left = failure["left_on_card"].as_str().unwrap_or_default();
    // Nobody can tell what a card holds that does not answer.
    let known = !matches!(left, "may-boot" | "unknown");
    assert!(!known || boots(bytes) == (left == "old-content"), "{fault}: said to be left: {left}: {failure:#}");
    if boots(bytes) {
        assert!(bytes[512..].iter().all(|&byte| byte == 0) || !known, "{fault}: FAIL, and it boots something new");
    }
}

/// Every activation at AWS is on a card that was verified, or on one of which nobody knows.
fn accounted_for(home: &Home, aws: &FakeSsm, receipts: &[Value], faults: &[String]) {
    let ledger = Ledger::open(&home.path("ledger.sqlite3")).unwrap();
    let verified: Vec<&str> = receipts
        .iter()
        .filter(|receipt| receipt["outcome"] == "verified")
        .map(|receipt| receipt["activation_id"].as_str().unwrap())
        .collect();
    let live = aws.live();
    for id in &verified {
        assert!(live.iter().any(|activation| activation.id == *id), "{faults:?}: a verified card lost its activation");
    }
    let unknown = receipts
        .iter()
        .filter(|receipt| matches!(receipt["failure"]["left_on_card"].as_str(), Some("may-boot" | "unknown")))
        .count();
    assert!(live.len() <= verified.len() + unknown, "{faults:?}: activations that nobody holds: {receipts:#?}");
    let record = ledger.activations().unwrap();
    for activation in &live {
        let known = record.iter().find(|a| a.id.as_ref() == Some(&activation.id));
        assert!(known.is_some(), "{faults:?}: an activation that is not in the ledger");
        let held = known.is_some_and(|known| known.state == ActivationState::Held);
        assert_eq!(held && unknown == 0, verified.contains(&activation.id.as_str()) && unknown == 0, "{faults:?}");
    }
}
