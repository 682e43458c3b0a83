//! kill -9 at every boundary between two acts of a two-card run, one after the other, and what the next command finds.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use crate::aws_activations::{Bench, Said};
use crate::support::binary::Home;
use crate::support::fake_ssm::{FakeSsm, Fault};
use cardsmith::ledger::{ActivationState, CardState, Ledger};

/// The environment that kills the program at its `n`-th boundary.
#[track_caller]
fn dies_at(n: &str) -> (&'static str, &str) {
    if !cfg!(feature = "fault-points") {
        panic!("this program has no fault points: run scripts/test, or cargo with --features fault-points");
    }
    ("CARDSMITH_FAULT_AT", n)
}

/// The cards that a Pi would boot, with the activation that each holds.
fn bootable(bench: &Bench) -> Vec<(String, String)> {
    let mut cards = Vec::new();
    for entry in bench.dir.path().read_dir().unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".card") else { continue };
        let text = std::fs::read_to_string(entry.path()).unwrap();
        if text.ends_with("BOOTABLE\n") {
            cards.push((name.to_owned(), text.lines().next().unwrap().to_owned()));
        }
    }
    cards.sort();
    cards
}

fn sweep(bench: &Bench) -> Said {
    let mut command = crate::support::binary::command(bench.dir.path());
    command.args(["activations", "sweep", "--ledger"]).arg(bench.dir.path().join("ledger.sqlite3"));
    command.envs(bench.aws.env()).env("CARDSMITH_AWS_TIMEOUT", "2");
    Said(command.output().unwrap())
}

/// What must be true after one sweep, whatever happened before.
fn assert_accounted_for(bench: &Bench, said: &Said, when: &str) {
    let ledger = bench.ledger();
    let held: Vec<(String, String)> = ledger
        .activations()
        .unwrap()
        .into_iter()
        .filter(|a| a.state == ActivationState::Held && a.card_state == CardState::Verified)
        .map(|a| (a.card, a.id.unwrap()))
        .collect();
    let cards = bootable(bench);
    // Every activation at AWS is on a card that was verified, and on that card only.
    for activation in bench.aws.live() {
        let on: Vec<_> = cards.iter().filter(|(_, id)| *id == activation.id).collect();
        assert_eq!(on.len(), 1, "{when}: {} is on {on:?}\n{}", activation.id, said.text());
        assert!(held.contains(on[0]), "{when}: {} is not in the ledger as held\n{}", activation.id, said.text());
    }
    // And every card that was verified has its activation still.
    for (card, id) in &held {
        assert!(bench.aws.live().iter().any(|a| a.id == *id), "{when}: {card} lost its activation\n{}", said.text());
    }
    let mut ids: Vec<&String> = cards.iter().map(|(_, id)| id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), cards.len(), "{when}: two cards with one activation");
    let mut numbers: Vec<_> =
        ledger.cards().unwrap().into_iter().filter(|c| c.state == CardState::Verified).map(|c| c.serial).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), held.len(), "{when}: two cards with one number");
    bench.assert_no_code(said);
}

/// Kills a run of two cards at its `n`-th boundary. `None` once it survives.
fn killed_at(n: u64, more: &[(&str, &str)]) -> Option<(Bench, Said)> {
    let bench = Bench::new();
    let at = n.to_string();
    let mut env = vec![dies_at(&at)];
    env.extend_from_slice(more);
    let said = bench.run(2, &env);
    if said.0.status.signal() == Some(9) {
        return Some((bench, said));
    }
    assert_eq!(said.code(), Some(0), "{}", said.text());
    None
}

#[test]
fn after_kill_9_at_any_boundary_one_sweep_accounts_for_every_activation() {
    let mut boundaries = 0;
    while let Some((bench, said)) = killed_at(boundaries + 1, &[]) {
        boundaries += 1;
        bench.assert_no_code(&said);
        let said = sweep(&bench);
        assert_eq!(said.code(), Some(0), "boundary {boundaries}: {}", said.text());
        assert_accounted_for(&bench, &said, &format!("boundary {boundaries}"));
    }
    // Two cards: reserve, intend, call, issued, seal, verified, each before and after; and the run around them.
    assert!(boundaries >= 2 * (2 * 6 + 2), "only {boundaries} boundaries were visited");
}

#[test]
fn after_kill_9_the_next_run_accounts_for_everything_before_it_begins() {
    let mut boundaries = 0;
    while let Some((bench, _)) = killed_at(boundaries + 1, &[("BENCH_FAIL", "1")]) {
        boundaries += 1;
        let said = bench.run(2, &[]);
        assert_eq!(said.code(), Some(0), "boundary {boundaries}: {}", said.text());
        assert_accounted_for(&bench, &said, &format!("boundary {boundaries}"));
        let verified = bench.ledger().cards().unwrap().into_iter().filter(|c| c.state == CardState::Verified);
        let serials: Vec<u64> = verified.map(|card| card.serial).collect();
        assert_eq!(serials, (1..=serials.len() as u64).collect::<Vec<_>>(), "boundary {boundaries}: a gap");
    }
    assert!(boundaries >= 28, "only {boundaries} boundaries were visited");
}

#[test]
fn kill_9_while_a_sweep_is_at_work_leaves_it_to_the_next_sweep() {
    for n in 1.. {
        let bench = Bench::new();
        bench.aws.fail_next("CreateActivation", Fault::LoseAnswer);
        // Dies right after the first question's answer was lost, long before the second one.
        let died = bench.run(1, &[dies_at("13")]);
        assert_eq!(died.0.status.signal(), Some(9), "{}", died.text());
        assert_eq!(bench.aws.live().len(), 1, "AWS made it, and nobody knows");
        assert_eq!(bench.states().len(), 1);
        let mut command = crate::support::binary::command(bench.dir.path());
        command.args(["activations", "sweep", "--ledger"]).arg(bench.dir.path().join("ledger.sqlite3"));
        command.envs(bench.aws.env()).envs([dies_at(&n.to_string())]);
        let output = command.output().unwrap();
        let survived = output.status.signal().is_none();
        let said = sweep(&bench);
        assert_eq!(said.code(), Some(0), "{}", said.text());
        assert!(bench.aws.live().is_empty(), "sweep died at {n}: {}", said.text());
        if survived {
            assert!(n > 4, "the sweep has no boundaries");
            return;
        }
    }
}

/// A golden image of the demo's machine whose recipe has its activations made by AWS; made with no tool but ours.
pub fn golden(home: &Home) {
    // What the demo itself is about is tested elsewhere; here its base image is wanted.
    let _ = home.run(["demo", "demo"]);
    let recipe = std::fs::read_to_string(home.path("demo/kiosk.toml")).unwrap();
    let recipe = recipe.replace("path = \"activations.csv\"\n", "region = \"eu-west-1\"\nrole = \"nodes\"\n");
    std::fs::write(home.path("demo/aws.toml"), recipe.replace("from = \"file\"", "from = \"aws\"")).unwrap();
    home.run(["golden", "demo/aws.toml", "--out", "aws.img"]).succeeds();
}

/// Which activations' codes are on the image, and whether a Pi would boot it.
fn on_card(path: &Path, codes: &[String]) -> (Vec<usize>, bool) {
    let bytes = std::fs::read(path).unwrap();
    let found = aho_corasick::AhoCorasick::new(codes).unwrap();
    let mut on: Vec<usize> = found.find_iter(&bytes).map(|hit| hit.pattern().as_usize()).collect();
    on.sort_unstable();
    on.dedup();
    (on, bytes.get(510..512) == Some(&[0x55, 0xAA]))
}

/// One sweep, and every activation is on one verified card, or deleted; `said` is what was printed before. The ledger and
/// the cards of the run are in `cards`. Returns how many of them boot.
#[track_caller]
pub fn assert_swept(home: &Home, aws: &FakeSsm, cards: &Path, mut said: Vec<u8>, when: &str) -> usize {
    let ledger = cards.join("ledger.sqlite3");
    let sweep = home.command(["activations", "sweep", "--ledger"]).arg(&ledger).envs(aws.env()).output().unwrap();
    assert_eq!(sweep.status.code(), Some(0), "{when}: {}", String::from_utf8_lossy(&sweep.stderr));
    said.extend([sweep.stdout, sweep.stderr, std::fs::read(&ledger).unwrap()].concat());

    let codes = aws.codes();
    for code in &codes {
        assert!(!said.windows(code.len()).any(|window| window == code.as_bytes()), "{when}: a code leaked");
    }
    let record = Ledger::open(&ledger).unwrap().activations().unwrap();
    let (mut holders, mut bootable) = (vec![0; codes.len()], 0);
    for entry in cards.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
        // What SQLite keeps beside the ledger is no card either.
        if entry.extension().is_none_or(|extension| extension != "img") {
            continue;
        }
        let (on, boots) = on_card(&entry, &codes);
        assert!(on.len() < 2, "{when}: one card, two activations");
        assert!(!boots || on.len() == 1, "{when}: a card boots without an activation");
        on.iter().filter(|_| boots).for_each(|&which| holders[which] += 1);
        bootable += usize::from(boots);
    }
    for (activation, holders) in aws.state().activations.iter().zip(holders) {
        assert!(holders < 2, "{when}: two cards, one activation");
        let held = record.iter().any(|a| a.id.as_ref() == Some(&activation.id) && a.state == ActivationState::Held);
        assert_eq!(held, !activation.deleted, "{when}: {}", activation.description);
        assert!(!held || holders == 1, "{when}: a verified card does not hold its activation");
    }
    bootable
}

#[test]
fn flash_killed_at_any_boundary_leaves_no_activation_without_a_verified_card() {
    let home = Home::new();
    golden(&home);
    let (mut boundaries, mut survived) = (0, false);
    while !survived {
        boundaries += 1;
        let (aws, cards) = (FakeSsm::start(), tempfile::TempDir::new_in(home.path("demo")).unwrap());
        let ledger = cards.path().join("ledger.sqlite3");
        let mut flash = home.command(["flash", "aws.manifest.json", "--allow-role", "nodes", "--to"]);
        flash.arg(cards.path().join("1.img")).arg("--to").arg(cards.path().join("2.img")).arg("--ledger").arg(&ledger);
        flash.envs(aws.env()).envs([dies_at(&boundaries.to_string())]);
        let flash = flash.output().unwrap();
        let said = [flash.stdout.clone(), flash.stderr.clone()].concat();
        survived = flash.status.signal() != Some(9);
        if survived {
            assert_eq!(flash.status.code(), Some(0), "{}", String::from_utf8_lossy(&said));
        }
        assert_swept(&home, &aws, cards.path(), said, &format!("boundary {boundaries}"));
    }
    assert!(boundaries > 28, "only {boundaries} boundaries were visited");
}
