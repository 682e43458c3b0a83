//! Kills, faults, exchanges and damaged images at random, for as long as `scripts/torture` is told. Each run throws its
//! dice with a seed of its own, which is all that is needed to do the same again.

mod exchange;
mod faults;
mod images;
mod kills;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, ExitStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::dice::Dice;

/// A way to be cruel.
struct Kind {
    name: &'static str,
    /// What must hold, for the table.
    checks: &'static str,
    /// How many runs of it make one round: most are over in a second, some need a minute.
    a_round: usize,
    /// One run; returns how many cards or images it was about. Panics where something does not hold.
    run: fn(&mut Dice) -> usize,
}

const KINDS: [Kind; 5] = [
    Kind {
        name: "golden-kill",
        checks: "kill -9 of golden at any moment: whatever has a name is the proven image, and the base is as it was",
        a_round: 4,
        run: kills::golden,
    },
    Kind {
        name: "flash-kill",
        checks: "kill -9 of flash at any moment: no card boots without its proof, every activation is accounted for",
        a_round: 4,
        run: kills::flash,
    },
    Kind {
        name: "device-fault",
        checks: "cards that fail over FUSE, beside good ones: what says PASS is right, what fails does not boot",
        a_round: 1,
        run: faults::batch,
    },
    Kind {
        name: "exchange",
        checks: "another medium in the reader at any moment: it is not written to",
        a_round: 1,
        run: exchange::one,
    },
    Kind {
        name: "damaged-image",
        checks: "golden, audit, inspect and diff of damaged images: e2fsck and fsck.fat call the output clean, or there is none",
        a_round: 8,
        run: images::one,
    },
];

/// No run takes longer, however busy the machine: one that does is a finding, and ends the campaign.
const LONGEST: Duration = Duration::from_secs(300);

#[derive(Default)]
struct Tally {
    runs: usize,
    cards: usize,
    findings: usize,
}

fn asked(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// Prints one JSON object a line: a finding when it is met, and a row for each kind at the end.
#[test]
#[ignore = "scripts/torture runs it, for minutes"]
fn campaign() {
    let number = |name: &str, otherwise: u64| asked(name).map_or(otherwise, |text| text.parse().unwrap());
    let wanted = asked("TORTURE_KINDS");
    let kinds: Vec<usize> = (0..KINDS.len())
        .filter(|&n| wanted.as_ref().is_none_or(|w| w.split(',').any(|w| w == KINDS[n].name)))
        .collect();
    assert!(!kinds.is_empty(), "no such kind");
    let round: Vec<usize> = kinds.iter().flat_map(|&kind| vec![kind; KINDS[kind].a_round]).collect();
    let end = Instant::now() + Duration::from_secs(60 * number("TORTURE_MINUTES", 1));
    let (seed, one) = (number("TORTURE_SEED", 1), asked("TORTURE_RUN").map(|text| text.parse::<u64>().unwrap()));
    let tallies: Vec<Mutex<Tally>> = KINDS.iter().map(|_| Mutex::default()).collect();
    let next = AtomicUsize::new(0);
    let jobs = number("TORTURE_JOBS", 1);
    std::thread::scope(|scope| {
        for _ in 0..if one.is_some() { 1 } else { jobs } {
            scope.spawn(|| {
                while one.is_some() || Instant::now() < end {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if one.is_some() && n > 0 {
                        return;
                    }
                    let kind = round[n % round.len()];
                    // Two numbers make one: seeds that follow each other shall not share runs.
                    let run = one.unwrap_or_else(|| Dice::new(seed ^ (n as u64) << 32).seed());
                    torture(&KINDS[kind], run, &tallies[kind]);
                }
            });
        }
    });
    let mut findings = 0;
    for (kind, tally) in KINDS.iter().zip(&tallies) {
        let tally = tally.lock().unwrap();
        findings += tally.findings;
        let row = json!({"row": kind.name, "runs": tally.runs, "cards": tally.cards, "checks": kind.checks, "findings": tally.findings});
        println!("\n{row}");
    }
    assert_eq!(findings, 0, "see the lines above");
}

fn torture(kind: &Kind, seed: u64, tally: &Mutex<Tally>) {
    let finding = move |what: &str| println!("\n{}", json!({"finding": kind.name, "run": seed, "what": what}));
    let over = std::sync::mpsc::channel::<()>();
    let result = std::thread::scope(|scope| {
        let (done, waiting) = over;
        scope.spawn(move || {
            if waiting.recv_timeout(LONGEST) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                finding("it does not end");
                std::process::exit(1);
            }
        });
        let result = catch_unwind(AssertUnwindSafe(|| (kind.run)(&mut Dice::new(seed))));
        drop(done);
        result
    });
    let mut tally = tally.lock().unwrap();
    tally.runs += 1;
    match result {
        Ok(cards) => tally.cards += cards,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            finding(text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words"));
            tally.findings += 1;
        }
    }
}

/// Waits, and kills what does not end: a hang is a finding.
#[track_caller]
fn ends_within(child: &mut Child, limit: Duration, what: &str) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if began.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{what} does not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
