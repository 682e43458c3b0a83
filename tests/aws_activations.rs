//! Activations from AWS, against the fake service. The code under test runs in a process of its own, because what
//! it is told of AWS it takes from the environment, as every AWS tool does.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::support::fake_ssm::{FakeRole, FakeSsm, Fault, REGION};
use cardsmith::activation::{Activation, ActivationError, Dispenser, Issuer, Order};
use cardsmith::ledger::{ActivationState, Bootability, Ledger};
use cardsmith::progress::{Progress, Silent, Task};
use cardsmith::recipe::Recipe;
use tempfile::TempDir;

/// Tells people on stderr.
struct Aloud;

impl Progress for Aloud {
    fn task(&self, label: &str, total: Option<cardsmith::units::ByteSize>) -> Box<dyn Task> {
        Silent.task(label, total)
    }
    fn note(&self, text: &str) {
        eprintln!("note: {text}");
    }
    fn warn(&self, text: &str) {
        eprintln!("warning: {text}");
    }
}

fn recipe(activation: &str) -> Recipe {
    let text = format!("name = \"kiosk\"\n[image]\nsource = \"x.img\"\n[activation]\nfrom = \"aws\"\n{activation}");
    toml::from_str(&text).unwrap()
}

const RECIPE: &str = "region = \"eu-west-1\"\nrole = \"ssm-managed-instance\"\nexpires = \"7d\"\n\
    tags = { Fleet = \"north\" }\n";

/// What stands for the card's medium: a file, whose last line says that it may boot.
fn write_card(dir: &Path, name: &str, activation: &Activation, bootable: bool) {
    let end = if bootable { "BOOTABLE\n" } else { "" };
    let text = format!("{}\n{}\n{}\n{end}", activation.id, activation.code.expose(), activation.region);
    std::fs::write(dir.join(format!("{name}.card")), text).unwrap();
}

/// The process under test, when the test binary is started again by [`bench`]; otherwise nothing. A run of as many
/// cards as the environment says, the way `flash` makes them; each card whose number is in `BENCH_FAIL` fails.
#[test]
#[ignore = "the process under test, started by the tests"]
fn bench_process() {
    let Ok(dir) = std::env::var("BENCH_DIR") else { return };
    let dir = Path::new(&dir);
    let cards: usize = std::env::var("BENCH_CARDS").unwrap().parse().unwrap();
    let fail: Vec<usize> =
        std::env::var("BENCH_FAIL").unwrap_or_default().split(',').filter_map(|n| n.parse().ok()).collect();
    let recipe = recipe(&std::env::var("BENCH_RECIPE").unwrap());
    let run = || -> Result<(), ActivationError> {
        let ledger = Ledger::open(&dir.join("ledger.sqlite3"))?;
        let issuer = Issuer::of_recipe(&recipe, dir, None, &Aloud)?;
        let golden = Some(cardsmith::digest::Sha256Digest::of(b"golden"));
        let order = Order { recipe: "kiosk", golden, cards, name: &|serial| format!("kiosk-{serial:04}") };
        let dispenser = Dispenser::open(&ledger, issuer.as_ref(), order, &Aloud)?;
        for number in 1..=cards {
            let card = dispenser.next_card(&format!("slot {number}"))?;
            let Some(activation) = dispenser.activate(&card)? else { panic!("no activation") };
            write_card(dir, &card.name, &activation, false);
            if fail.contains(&number) {
                eprintln!("{}", dispenser.failed(&card, "verify", "3 MiB differ", Bootability::CannotBoot)?);
                continue;
            }
            dispenser.sealing(&card)?;
            write_card(dir, &card.name, &activation, true);
            dispenser.verified(&card, "{}")?;
            eprintln!("card {} verified with {}", card.name, activation.id);
        }
        dispenser.close()
    };
    match run() {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(if error.is_usage() { 2 } else { 1 });
        }
    }
}

/// A bench: its directory and its AWS.
pub struct Bench {
    pub dir: TempDir,
    pub aws: FakeSsm,
}

impl Bench {
    pub fn new() -> Bench {
        Bench { dir: TempDir::new().unwrap(), aws: FakeSsm::start() }
    }

    pub fn ledger(&self) -> Ledger {
        Ledger::open(&self.dir.path().join("ledger.sqlite3")).unwrap()
    }

    /// Makes `cards` cards in a process of its own.
    pub fn run(&self, cards: usize, more: &[(&str, &str)]) -> Said {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "aws_activations::bench_process", "--ignored", "--nocapture"]);
        command.env("BENCH_DIR", self.dir.path()).env("BENCH_CARDS", cards.to_string()).env("BENCH_RECIPE", RECIPE);
        command.env("CARDSMITH_AWS_TIMEOUT", "2");
        command.envs(self.aws.env()).envs(more.iter().copied());
        Said(command.output().unwrap())
    }

    pub fn states(&self) -> Vec<ActivationState> {
        self.ledger().activations().unwrap().iter().map(|activation| activation.state).collect()
    }

    /// No code in the ledger's files or in `said`.
    pub fn assert_no_code(&self, said: &Said) {
        let mut places = vec![said.0.stdout.clone(), said.0.stderr.clone()];
        for entry in self.dir.path().read_dir().unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().contains("ledger") {
                places.push(std::fs::read(entry.path()).unwrap());
            }
        }
        for code in self.aws.codes() {
            for place in &places {
                assert!(!place.windows(code.len()).any(|window| window == code.as_bytes()), "a code leaked");
            }
        }
    }
}

/// What a process said.
pub struct Said(pub Output);

impl Said {
    pub fn text(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.0.stdout), String::from_utf8_lossy(&self.0.stderr))
    }

    pub fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    #[track_caller]
    pub fn has(&self, part: &str) {
        assert!(self.text().contains(part), "no {part:?} in:\n{}", self.text());
    }
}

#[test]
fn every_card_gets_an_activation_of_its_own_that_says_whose_it_is() {
    let bench = Bench::new();
    let said = bench.run(2, &[]);
    assert_eq!(said.code(), Some(0), "{}", said.text());
    let live = bench.aws.live();
    assert_eq!(live.len(), 2);
    for (serial, activation) in (1..).zip(&live) {
        assert_eq!((activation.limit, activation.name.clone()), (1, format!("kiosk-{serial:04}")));
        assert_eq!((activation.role.as_str(), activation.region.as_str()), ("ssm-managed-instance", REGION));
        let days = (activation.expires - activation.created) / 86_400.0;
        assert!((6.9..=7.0).contains(&days), "{days}");
        let tag = |key: &str| activation.tags.get(key).map(String::as_str);
        assert_eq!((tag("Fleet"), tag("Recipe")), (Some("north"), Some("kiosk")));
        assert_eq!(tag("CardSerial"), Some(serial.to_string().as_str()));
        assert_eq!(tag("GoldenDigest").map(str::len), Some(64));
        assert!(activation.description.starts_with("cardsmith run="), "{}", activation.description);
        assert!(activation.description.ends_with(&format!(" card=kiosk-{serial:04} serial={serial}")));
        let card = std::fs::read_to_string(bench.dir.path().join(format!("kiosk-{serial:04}.card"))).unwrap();
        assert!(card.contains(&activation.id) && card.contains(&activation.code));
    }
    assert_eq!(bench.states(), [ActivationState::Held; 2]);
    bench.assert_no_code(&said);
}

#[test]
fn two_benches_at_once_on_one_ledger_share_neither_number_nor_activation() {
    let bench = Bench::new();
    // Slow answers, so that each is at work while the other one is.
    bench.aws.fail("CreateActivation", 0, 6, Fault::Slow(Duration::from_millis(300)));
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| bench.run(3, &[]))).collect();
        for run in runs {
            let said = run.join().unwrap();
            assert_eq!(said.code(), Some(0), "{}", said.text());
        }
    });
    let mut names: Vec<String> = bench.aws.live().into_iter().map(|activation| activation.name).collect();
    names.sort();
    assert_eq!(names, (1..=6).map(|serial| format!("kiosk-{serial:04}")).collect::<Vec<_>>());
    assert_eq!(bench.states(), [ActivationState::Held; 6], "neither took the other one's run for a dead one");
}

#[test]
fn a_failed_cards_activation_is_deleted_and_its_number_goes_on() {
    let bench = Bench::new();
    let said = bench.run(2, &[("BENCH_FAIL", "1")]);
    assert_eq!(said.code(), Some(0), "{}", said.text());
    said.has("was deleted; serial 1 is free again");
    let live = bench.aws.live();
    assert_eq!(live.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["kiosk-0001"]);
    assert_eq!(bench.states(), [ActivationState::Deleted, ActivationState::Held]);
}

#[test]
fn a_lost_answers_activation_is_found_by_its_description_and_deleted() {
    for fault in [
        Fault::LoseAnswer,
        Fault::HalfAnswer,
        Fault::BrokenAnswer,
        Fault::InternalErrorButDone,
        Fault::Slow(Duration::from_secs(4)),
    ] {
        let bench = Bench::new();
        bench.aws.fail_next("CreateActivation", fault.clone());
        let said = bench.run(1, &[]);
        assert_eq!(said.code(), Some(0), "{fault:?}: {}", said.text());
        said.has("no answer from AWS for kiosk-0001");
        assert_eq!(bench.aws.count("CreateActivation"), 2, "{fault:?}: the SDK must not try again by itself");
        assert_eq!(bench.aws.live().len(), 1, "{fault:?}");
        assert_eq!(bench.states(), [ActivationState::Deleted, ActivationState::Held], "{fault:?}");
        bench.assert_no_code(&said);
    }
}

#[test]
fn throttling_and_a_role_that_is_too_new_are_waited_for() {
    let bench = Bench::new();
    bench.aws.fail("CreateActivation", 0, 2, Fault::Throttle);
    let message = "Nonexistent role or missing ssm service principal in trust policy: arn:aws:iam::1:role/x";
    bench.aws.fail("CreateActivation", 0, 1, Fault::Refuse("ValidationException", message));
    let said = bench.run(1, &[]);
    assert_eq!(said.code(), Some(0), "{}", said.text());
    said.has("does not know role \"ssm-managed-instance\" yet");
    assert_eq!((bench.aws.count("CreateActivation"), bench.aws.live().len()), (4, 1));
    assert_eq!(bench.states(), [ActivationState::Held], "what was certainly refused leaves nothing open");
}

#[test]
fn a_refusal_is_told_with_its_remedy_and_nothing_stays_open() {
    let bench = Bench::new();
    bench.aws.fail_next("CreateActivation", Fault::Refuse("AccessDeniedException", "not authorized: iam:PassRole"));
    let said = bench.run(1, &[]);
    assert_eq!(said.code(), Some(1));
    said.has("cannot make an activation for kiosk-0001: AccessDeniedException: not authorized: iam:PassRole");
    said.has("cardsmith fleet policy RECIPE --bench");
    assert_eq!(bench.states(), [ActivationState::None]);

    // The right to look for what a crash leaves is needed before anything is made.
    bench.aws.fail_next("DescribeActivations", Fault::Refuse("AccessDeniedException", "no"));
    let said = bench.run(1, &[]);
    assert_eq!(said.code(), Some(1));
    assert_eq!(bench.aws.count("CreateActivation"), 1);
}

#[test]
fn a_deletion_that_fails_stays_due_and_the_next_run_does_it() {
    let bench = Bench::new();
    bench.aws.fail("DeleteActivation", 0, 20, Fault::DropRequest);
    let said = bench.run(1, &[("BENCH_FAIL", "1")]);
    assert_eq!(said.code(), Some(0), "{}", said.text());
    said.has("the next run tries again");
    assert_eq!(bench.states(), [ActivationState::Due]);

    let said = bench.run(1, &[]);
    said.has("must still be deleted");
    bench.aws.no_more_faults();
    let said = bench.run(1, &[]);
    said.has("deleted: no verified card holds it");
    assert_eq!(bench.aws.live().len(), 2);
    assert_eq!(bench.states(), [ActivationState::Deleted, ActivationState::Held, ActivationState::Held]);
}

#[test]
fn another_accounts_credentials_do_not_make_an_activation_look_deleted() {
    let bench = Bench::new();
    bench.aws.fail("DeleteActivation", 0, 1, Fault::Refuse("AccessDeniedException", "no"));
    bench.aws.fail("DeleteActivation", 0, 1, Fault::Refuse("AccessDeniedException", "no"));
    bench.run(1, &[("BENCH_FAIL", "1"), ("AWS_ACCOUNT_ID", "111111111111")]);
    bench.aws.no_more_faults();
    let said = bench.run(1, &[("AWS_ACCOUNT_ID", "222222222222")]);
    said.has("made in AWS account 111111111111");
    assert_eq!(bench.states(), [ActivationState::Due, ActivationState::Held]);
    bench.run(1, &[("AWS_ACCOUNT_ID", "111111111111")]);
    assert_eq!(bench.states(), [ActivationState::Deleted, ActivationState::Held, ActivationState::Held]);
}

#[test]
fn an_orphan_is_found_among_more_activations_than_fit_on_one_page() {
    let bench = Bench::new();
    for n in 0..120 {
        bench.aws.issue(&format!("other-{n}"), "made by hand");
    }
    bench.aws.fail_next("CreateActivation", Fault::LoseAnswer);
    let said = bench.run(1, &[]);
    assert_eq!(said.code(), Some(0), "{}", said.text());
    assert_eq!(bench.aws.live().len(), 121, "one card's, and 120 that are not ours");
    let tokens = bench.aws.state().calls.iter().filter(|call| call.body["NextToken"].is_string()).count();
    assert!(tokens >= 2, "three pages of 50");
}

#[test]
fn a_recipe_that_asks_for_the_impossible_is_told_so_before_aws_is() {
    let bench = Bench::new();
    bench.aws.state().roles.insert("ssm-managed-instance".into(), FakeRole::default());
    let role = "role = \"ssm-managed-instance\"\n";
    let cases = [
        ("region = \"eu-west-1\"\n".to_owned(), "needs role"),
        (role.to_owned(), "needs region"),
        (format!("region = \"europe\"\n{role}"), "not the name of an AWS region"),
        (format!("region = \"eu-west-1\"\n{role}expires = \"31d\"\n"), "30 days"),
        (format!("region = \"eu-west-1\"\n{role}tags = {{ Recipe = \"x\" }}\n"), "set by cardsmith itself"),
        ("region = \"eu-west-1\"\nrole = \"arn:aws:iam::1:role/ssm\"\n".to_owned(), "role = \"ssm\""),
    ];
    for (recipe, part) in cases {
        let said = bench.run(1, &[("BENCH_RECIPE", &recipe)]);
        assert_eq!(said.code(), Some(2), "{}", said.text());
        said.has(part);
    }
    assert!(bench.aws.state().calls.is_empty());
}

#[test]
fn without_credentials_or_network_nothing_is_begun() {
    let bench = Bench::new();
    let said = bench.run(1, &[("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:9")]);
    assert_eq!(said.code(), Some(1));
    said.has("cannot list the activations");
    let said = bench.run(1, &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")]);
    assert_eq!(said.code(), Some(1));
    said.has("AWS_PROFILE");
    assert!(bench.ledger().cards().unwrap().is_empty());
}
