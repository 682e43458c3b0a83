//! Batches: every card its own name and activation, no card in another one's way, and a receipt for each.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use cardsmith::activation::{Activation, ActivationFile, Dispenser, Issuer, Order};
use cardsmith::flash::gate::{self, GateOptions};
use cardsmith::flash::{
    BatchOutcome, CardImage, CardMaker, ChunkCache, FailureKind, FlashJob, Host, LeftOnCard, MakeError, Medium,
    Outcome, Receipt, UnusedSpace, Verdict, WriteOptions, bench, flash,
};
use cardsmith::image::BlockMap;
use cardsmith::ledger::{CardReservation, CardState, Ledger};
use cardsmith::progress::{Progress, Silent, Task};
use cardsmith::units::{ByteRange, ByteSize};

use crate::support::faulty_card::{Bytes, Fault, FaultyCard, Shared, boots};
use crate::support::loop_device::LoopDevice;

const MIB: usize = 1 << 20;

/// A golden image of 6 MiB, and a maker that puts name and code of each card into it.
pub(crate) struct Golden {
    bytes: Vec<u8>,
    map: BlockMap,
    breaks: bool,
}

const USED: [(u64, u64); 3] = [(0, 4096), (MIB as u64, MIB as u64), (4 * MIB as u64, MIB as u64)];
/// Where a card keeps its name (in the golden image's map) and its code (outside of it).
pub(crate) const NAME_AT: usize = 4 * MIB + 8192;
pub(crate) const CODE_AT: usize = 3 * MIB;

fn ranges(used: &[(u64, u64)]) -> Vec<ByteRange> {
    used.iter().map(|&(start, len)| ByteRange::new(start, len)).collect()
}

impl Golden {
    fn new() -> Golden {
        let mut bytes: Vec<u8> = (0..6 * MIB).map(|n| (n / 7 % 251) as u8).collect();
        bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
        let map = BlockMap::digest(&Bytes(bytes.clone()), &ranges(&USED), &mut *Silent.task("", None)).unwrap();
        Golden { bytes, map, breaks: false }
    }

    pub(crate) fn size(&self) -> ByteSize {
        ByteSize(self.bytes.len() as u64)
    }
}

impl CardMaker for Golden {
    fn make(&self, card: &CardReservation, activation: Option<&Activation>) -> Result<CardImage, MakeError> {
        if self.breaks {
            return Err("the root file system is full".into());
        }
        let mut bytes = self.bytes.clone();
        bytes[NAME_AT..NAME_AT + card.name.len()].copy_from_slice(card.name.as_bytes());
        let mut used = ranges(&USED);
        let mut changed = vec![ByteRange::new(NAME_AT as u64, 4096)];
        if let Some(activation) = activation {
            let code = activation.code.expose().as_bytes();
            bytes[CODE_AT..CODE_AT + code.len()].copy_from_slice(code);
            used.push(ByteRange::new(CODE_AT as u64, 4096));
            changed.push(ByteRange::new(CODE_AT as u64, 4096));
        }
        let map = self.map.amended(&Bytes(bytes.clone()), &used, &changed)?;
        Ok(CardImage { image: Arc::new(Bytes(bytes)), map })
    }
}

/// A bench: a ledger, a file of activations, and what was heard.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    ledger: Ledger,
    issuer: Issuer,
    pub(crate) golden: Golden,
    pub(crate) cancel: AtomicBool,
    on_receipt: Box<dyn Fn(&Receipt) + Sync>,
    progress: Box<dyn Progress>,
}

pub(crate) fn code(row: usize) -> String {
    format!("Code{row:016}")
}

impl Bench {
    pub(crate) fn with(rows: usize) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite3")).unwrap();
        let mut csv = "activation_id,activation_code,region\n".to_owned();
        for row in 0..rows {
            csv += &format!("00000000-0000-4000-8000-0000000000{row:02x},{},eu-west-1\n", code(row));
        }
        let file = dir.path().join("activations.csv");
        std::fs::write(&file, csv).unwrap();
        let issuer = Issuer::File(ActivationFile::open(&file).unwrap());
        Bench {
            dir,
            ledger,
            issuer,
            golden: Golden::new(),
            cancel: AtomicBool::new(false),
            on_receipt: Box::new(|_| ()),
            progress: Box::new(Silent),
        }
    }

    pub(crate) fn run(&self, cards: usize, work: impl FnOnce(&FlashJob<'_>) -> BatchOutcome) -> BatchOutcome {
        let name = |serial| format!("kiosk-{serial:04}");
        let order = Order { recipe: "kiosk", golden: Some(self.golden.map.fingerprint()), cards, name: &name };
        let dispenser = Dispenser::open(&self.ledger, Some(&self.issuer), order, &Silent).unwrap();
        let job = FlashJob {
            maker: &self.golden,
            dispenser: &dispenser,
            recipe: "kiosk",
            golden: &self.golden.map,
            cache: &ChunkCache::of(&self.golden.map),
            options: WriteOptions { unused_space: UnusedSpace::Keep, ..WriteOptions::default() },
            progress: &*self.progress,
            cancel: &self.cancel,
            on_receipt: &self.on_receipt,
        };
        let outcome = work(&job);
        dispenser.close().unwrap();
        let text = serde_json::to_string(&outcome.receipts).unwrap();
        let ledger = std::fs::read(self.ledger.path()).unwrap();
        for row in 0..40 {
            assert!(!text.contains(&code(row)), "no receipt holds a code");
            assert!(!contains(&ledger, code(row).as_bytes()), "nor does the ledger");
        }
        outcome
    }

    pub(crate) fn flash(&self, media: Vec<Box<dyn Medium>>) -> BatchOutcome {
        self.run(media.len(), |job| flash(job, media))
    }

    fn clear(&self, targets: &[PathBuf], options: &GateOptions) -> Vec<Box<dyn Medium>> {
        let (host, size) = (Host::this(), self.golden.size());
        let shown = gate::show_all(&host, targets, options, size).unwrap();
        gate::clear_shown(&host, &shown, options, size).unwrap()
    }

    pub(crate) fn states(&self) -> Vec<(u64, CardState)> {
        self.ledger.cards().unwrap().iter().map(|card| (card.serial, card.state)).collect()
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

pub(crate) fn at(bytes: &[u8], place: usize, len: usize) -> String {
    String::from_utf8_lossy(&bytes[place..place + len]).into_owned()
}

pub(crate) fn faulty(faults: Vec<Fault>) -> (Arc<FaultyCard>, Box<dyn Medium>) {
    let card = FaultyCard::holding(vec![0; 16 * MIB], faults);
    (card.clone(), Box::new(Shared(card)))
}

#[test]
fn every_card_of_a_batch_has_its_own_name_and_activation_in_the_order_of_the_targets() {
    let bench = Bench::with(8);
    let files: Vec<PathBuf> = (0..8).map(|n| bench.dir.path().join(format!("card-{n}.img"))).collect();
    let outcome = bench.flash(bench.clear(&files, &GateOptions::default()));
    assert_eq!(outcome.verdict(), Verdict::AllVerified);

    let cards: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let names: Vec<String> = cards.iter().map(|card| at(card, NAME_AT, 10)).collect();
    let codes: Vec<String> = cards.iter().map(|card| at(card, CODE_AT, 20)).collect();
    assert_eq!(names, (1..=8).map(|serial| format!("kiosk-{serial:04}")).collect::<Vec<_>>());
    assert_eq!(codes, (0..8).map(code).collect::<Vec<_>>());
    assert_eq!(bench.states(), (1..=8).map(|serial| (serial, CardState::Verified)).collect::<Vec<_>>());

    for receipt in &outcome.receipts {
        let card = receipt.card.as_ref().unwrap();
        let bytes = std::fs::read(&receipt.medium.path).unwrap();
        assert_eq!(at(&bytes, NAME_AT, 10), card.name);
        let row: usize = receipt.activation_id.as_ref().unwrap()[34..].parse().unwrap();
        assert_eq!(at(&bytes, CODE_AT, 20), code(row), "the receipt names the activation that is on the card");
        let Outcome::Verified { own, instead_of, report } = &receipt.outcome else { panic!("{receipt:?}") };
        assert_eq!(own.len(), 2);
        assert_eq!(instead_of, &[ByteRange::new(4 << 20, 1 << 20)]);
        assert_eq!(report.verified.0, 4096 + 2 * (1 << 20) + 4096);
        let kept = bench.ledger.cards().unwrap().iter().find(|known| known.serial == card.serial).unwrap().key;
        let kept: Receipt = serde_json::from_str(&bench.ledger.receipt(kept).unwrap().unwrap()).unwrap();
        assert_eq!(kept.outcome, receipt.outcome, "the ledger keeps the receipt");
    }
}

#[test]
fn a_card_that_fails_stops_nobody_and_its_number_and_activation_are_used_again() {
    let bench = Bench::with(3);
    let (bad, bad_medium) = faulty(vec![Fault::FlipsBit { at: (1 << 20) + 5, times: 99 }]);
    let (good, good_medium) = faulty(vec![]);
    let outcome = bench.flash(vec![bad_medium, good_medium]);
    assert_eq!(outcome.verdict(), Verdict::VerificationFailed);
    assert!(!boots(&bad.bytes()) && boots(&good.bytes()));
    assert!(good.state.lock().unwrap().finished && !bad.state.lock().unwrap().finished);
    let failure = outcome.receipts.iter().find_map(Receipt::failure).unwrap();
    assert_eq!(failure.left_on_card, LeftOnCard::NotBootable);
    assert!(failure.activation.contains("is free again"), "{}", failure.activation);

    let (next, medium) = faulty(vec![]);
    assert_eq!(bench.flash(vec![medium]).verdict(), Verdict::AllVerified);
    let mut names = [at(&good.bytes(), NAME_AT, 10), at(&next.bytes(), NAME_AT, 10)];
    names.sort();
    assert_eq!(names, ["kiosk-0001", "kiosk-0002"]);
    assert_ne!(at(&good.bytes(), CODE_AT, 20), at(&next.bytes(), CODE_AT, 20));
}

#[test]
fn an_activation_that_may_be_on_a_bootable_card_is_not_used_again() {
    let bench = Bench::with(2);
    // Pulled out while the first MiB is written: whether it arrived is not known.
    let (probe, medium) = faulty(vec![]);
    bench.flash(vec![medium]);
    let writes = probe.state.lock().unwrap().writes;
    let bench = Bench::with(2);
    let (_, medium) = faulty(vec![Fault::VanishesAt(writes - 1)]);
    let outcome = bench.flash(vec![medium]);
    let failure = outcome.receipts[0].failure().unwrap();
    assert_eq!(failure.left_on_card, LeftOnCard::Unknown);
    assert!(failure.activation.contains("not used again"), "{}", failure.activation);
    let (next, medium) = faulty(vec![]);
    bench.flash(vec![medium]);
    assert_eq!(at(&next.bytes(), CODE_AT, 20), code(1));
}

#[test]
fn a_slow_card_holds_up_nobody() {
    let done = Arc::new((Mutex::new(false), Condvar::new()));
    let mut bench = Bench::with(2);
    let told = done.clone();
    bench.on_receipt = Box::new(move |receipt| {
        if receipt.failure().is_none() {
            *told.0.lock().unwrap() = true;
            told.1.notify_all();
        }
    });
    // The slow card's fourth write takes until the other card is completely done.
    let late = Arc::new(AtomicBool::new(false));
    let seen = late.clone();
    let wait = Fault::Hook(Box::new(move |number| {
        if number == 3 {
            let other = done.1.wait_timeout_while(done.0.lock().unwrap(), Duration::from_secs(60), |done| !*done);
            seen.store(other.unwrap().1.timed_out(), Ordering::SeqCst);
        }
    }));
    let (slow, slow_medium) = faulty(vec![wait]);
    let (quick, quick_medium) = faulty(vec![]);
    let outcome = bench.flash(vec![slow_medium, quick_medium]);
    assert!(!late.load(Ordering::SeqCst), "the quick card waited for the slow one");
    assert_eq!(outcome.verdict(), Verdict::AllVerified);
    assert!(boots(&slow.bytes()) && boots(&quick.bytes()));
}

#[test]
fn a_card_that_cannot_be_made_is_not_touched_and_consumes_nothing() {
    let mut bench = Bench::with(1);
    bench.golden.breaks = true;
    let file = bench.dir.path().join("card.img");
    let (card, medium) = faulty(vec![]);
    let outcome = bench.flash(vec![medium]);
    let failure = outcome.receipts[0].failure().unwrap();
    assert_eq!((failure.kind, failure.left_on_card), (FailureKind::Preparation, LeftOnCard::Untouched));
    assert!(failure.detail.contains("file system is full"));
    assert_eq!(card.state.lock().unwrap().writes, 0);
    bench.flash(bench.clear(std::slice::from_ref(&file), &GateOptions::default()));
    assert!(!file.exists());
    bench.golden.breaks = false;
    assert_eq!(bench.flash(bench.clear(&[file], &GateOptions::default())).verdict(), Verdict::AllVerified);
}

#[test]
fn a_stopped_batch_leaves_no_file_and_no_bootable_card() {
    let bench = Bench::with(2);
    bench.cancel.store(true, Ordering::Relaxed);
    let file = bench.dir.path().join("card.img");
    let (card, medium) = faulty(vec![]);
    let mut media = bench.clear(std::slice::from_ref(&file), &GateOptions::default());
    media.push(medium);
    let outcome = bench.flash(media);
    assert_eq!(outcome.verdict(), Verdict::AllFailed);
    assert!(outcome.receipts.iter().all(|receipt| receipt.failure().unwrap().kind == FailureKind::Cancelled));
    assert!(!file.exists() && !boots(&card.bytes()));
    let names: Vec<_> = std::fs::read_dir(bench.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains(".part")), "{names:?}");
    bench.cancel.store(false, Ordering::Relaxed);
    bench.flash(vec![faulty(vec![]).1, faulty(vec![]).1]);
    assert_eq!(bench.states().iter().filter(|(_, state)| *state == CardState::Verified).count(), 2);
}

#[test]
fn a_batch_is_summed_up_in_one_word() {
    let verdict = |cards: Vec<Vec<Fault>>| {
        let bench = Bench::with(cards.len());
        bench.flash(cards.into_iter().map(|faults| faulty(faults).1).collect()).verdict()
    };
    let refuses = || vec![Fault::RefusesWritesFrom(3)];
    assert_eq!(verdict(vec![vec![], vec![]]), Verdict::AllVerified);
    assert_eq!(verdict(vec![vec![], refuses()]), Verdict::SomeFailed);
    assert_eq!(verdict(vec![refuses(), refuses()]), Verdict::AllFailed);
    assert_eq!(verdict(vec![refuses(), vec![Fault::KeepsOld]]), Verdict::AllFailed);
    assert_eq!(verdict(vec![vec![Fault::KeepsOld]]), Verdict::VerificationFailed);
}

#[test]
fn real_devices_are_written_side_by_side_past_the_page_cache() {
    let (Some(left), Some(right)) = (LoopDevice::new(16 << 20), LoopDevice::new(24 << 20)) else { return };
    let bench = Bench::with(2);
    let targets = [left.path.clone(), right.path.clone()];
    let options = GateOptions { fixed_ok: targets.to_vec(), ..GateOptions::default() };
    let outcome = bench.run(2, |job| {
        let job = FlashJob { options: WriteOptions::default(), ..*job };
        flash(&job, bench.clear(&targets, &options))
    });
    assert_eq!(outcome.verdict(), Verdict::AllVerified, "{:?}", outcome.receipts);
    let cards = [left.bytes(), right.bytes()];
    for card in &cards {
        assert!(boots(card));
        assert!(card[MIB..2 * MIB] == bench.golden.bytes[MIB..2 * MIB]);
    }
    assert_ne!(at(&cards[0], CODE_AT, 20), at(&cards[1], CODE_AT, 20));
    // The kernel is an oracle that we did not write: it sees a device that nobody holds any more.
    bench.clear(&targets, &options);
}

/// Puts a new card in when it is asked to, as a person would.
struct Person {
    device: PathBuf,
    files: Mutex<Vec<tempfile::NamedTempFile>>,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Progress for Person {
    fn task(&self, label: &str, total: Option<ByteSize>) -> Box<dyn Task> {
        Silent.task(label, total)
    }

    fn note(&self, text: &str) {
        if text.contains("put the next one in") {
            let device = self.device.clone();
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(16 << 20).unwrap();
            let path = file.path().to_owned();
            self.files.lock().unwrap().push(file);
            std::thread::spawn(move || change_card(&device, &path));
        }
    }

    fn warn(&self, text: &str) {
        self.warnings.lock().unwrap().push(text.to_owned());
    }
}

fn change_card(device: &Path, file: &Path) {
    assert!(Command::new("losetup").arg("-d").arg(device).status().unwrap().success());
    // Somebody who looks at the device right now keeps it a moment longer.
    for _ in 0..100 {
        if Command::new("losetup").arg(device).arg(file).stderr(std::process::Stdio::null()).status().unwrap().success()
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_bench_goes_on_with_the_next_card_and_never_writes_the_same_one_twice() {
    let Some(reader) = LoopDevice::reader(16 << 20) else { return };
    let mut bench = Bench::with(3);
    let person = Person { device: reader.path.clone(), files: Mutex::default(), warnings: Arc::default() };
    let person: &'static Person = Box::leak(Box::new(person));
    struct Ref(&'static Person);
    impl Progress for Ref {
        fn task(&self, label: &str, total: Option<ByteSize>) -> Box<dyn Task> {
            self.0.task(label, total)
        }
        fn note(&self, text: &str) {
            self.0.note(text)
        }
        fn warn(&self, text: &str) {
            self.0.warn(text)
        }
    }
    bench.progress = Box::new(Ref(person));
    let options = GateOptions { fixed_ok: vec![reader.path.clone()], ..GateOptions::default() };
    let targets = gate::show_all(&Host::this(), std::slice::from_ref(&reader.path), &options, ByteSize(0)).unwrap();
    let outcome = bench.run(3, |job| bench::flash_many(job, &Host::this(), &targets, &options, bench.golden.size(), 3));
    assert_eq!(outcome.verdict(), Verdict::AllVerified, "{:?}", person.warnings.lock().unwrap());
    let files = person.files.lock().unwrap();
    assert_eq!((outcome.receipts.len(), files.len()), (3, 2));
    let mut cards = vec![reader.bytes()];
    cards.extend(files.iter().map(|file| std::fs::read(file.path()).unwrap()));
    let names: Vec<String> = cards.iter().map(|card| at(card, NAME_AT, 10)).collect();
    assert_eq!(names, ["kiosk-0001", "kiosk-0002", "kiosk-0003"]);
    assert!(cards.iter().all(|card| boots(card)));
}
