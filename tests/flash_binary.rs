//! The binary and real block devices (loop devices of our own): what is refused, what a card holds, and kill -9.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cardsmith::golden::Manifest;
use cardsmith::ledger::{ActivationState, CardState, Ledger};

use crate::support::binary::{Home, Run, names_in};
use crate::support::faulty_card::boots;
use crate::support::loop_device::LoopDevice;
use crate::support::pi_image::PiImage;
use crate::support::{need_builder, need_root, oracle};

const MIB: u64 = 1 << 20;

/// A golden image, a file of activations, and a home for the ledger.
struct Bench {
    home: Home,
    image: PiImage,
    manifest: PathBuf,
    activations: PathBuf,
}

fn id(row: usize) -> String {
    format!("00000000-0000-4000-8000-0000000000{row:02x}")
}

fn code(row: usize) -> String {
    format!("CodeOfRow{row:011}")
}

impl Bench {
    fn new(rows: usize) -> Option<Bench> {
        if !need_builder() || !need_root() {
            return None;
        }
        let image = PiImage::lived_in().build();
        let home = Home::new();
        let mut csv = "activation_id,activation_code,region\n".to_owned();
        (0..rows).for_each(|row| csv += &format!("{},{},eu-west-1\n", id(row), code(row)));
        let activations = image.beside("activations.csv");
        std::fs::write(&activations, csv).unwrap();
        let recipe =
            image.recipe("[sudo]\nlockout = \"accept\"\n\n[activation]\nfrom = \"file\"\npath = \"activations.csv\"\n");
        let golden = image.beside("golden.img");
        home.run(["golden".as_ref(), recipe.as_os_str(), "--out".as_ref(), golden.as_os_str()]).succeeds();
        let manifest = image.beside("golden.manifest.json");
        Some(Bench { home, image, manifest, activations })
    }

    fn args<'a>(&'a self, to: &'a Path) -> Vec<&'a Path> {
        ["flash".as_ref(), self.manifest.as_path(), "--to".as_ref(), to, "--yes".as_ref(), "--fixed-ok".as_ref(), to]
            .to_vec()
    }

    fn flash(&self, to: &Path) -> Run {
        let run = self.home.run(self.args(to));
        (0..20).for_each(|row| {
            run.never_says(&code(row));
        });
        run
    }

    fn start(&self, to: &Path) -> Child {
        self.home.command(self.args(to)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.home.path("state/cardsmith/ledger.sqlite3")).unwrap()
    }

    fn golden(&self) -> Manifest {
        Manifest::read(&self.manifest).unwrap()
    }

    fn needed(&self) -> u64 {
        self.golden().image.size.0
    }

    /// A reader with a card in it that has been in use: it boots.
    fn used_card(&self) -> Option<LoopDevice> {
        let card = LoopDevice::new(self.needed() + 8 * MIB)?;
        card.file.as_file().write_all_at(&[0x55, 0xAA], 510).unwrap();
        Some(card)
    }

    /// Nothing was reserved, taken or issued.
    fn assert_nothing_consumed(&self) {
        assert!(self.ledger().cards().unwrap().is_empty());
        assert!(self.ledger().activations().unwrap().is_empty());
        assert!(self.activations.exists());
    }
}

/// As the kernel reads it, from a copy: it does not mount what lies under another loop device.
fn host_name(card: &LoopDevice) -> Vec<u8> {
    let copy = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(card.file.path(), copy.path()).unwrap();
    oracle::kernel_read(copy.path(), "etc/hostname")
}

fn read(card: &LoopDevice, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    card.file.as_file().read_exact_at(&mut bytes, at).unwrap();
    bytes
}

#[test]
fn a_written_device_is_what_the_kernel_mounts_and_verify_reads() {
    let Some(bench) = Bench::new(2) else { return };
    let Some(card) = bench.used_card() else { return };
    bench.flash(&card.path).succeeds();
    oracle::assert_clean_image(card.file.path());
    assert_eq!(host_name(&card), b"fixture-0001\n");
    let found = oracle::find_bytes(card.file.path(), &bench.image.needles());
    assert!(found.is_empty(), "{found:?}");
    let verify = |device: &Path| bench.home.run(["verify".as_ref(), bench.manifest.as_os_str(), device.as_os_str()]);
    verify(&card.path).succeeds();

    let last = bench.golden().map.ranges().last().unwrap().range;
    let old = read(&card, last.start.0, 1);
    std::fs::OpenOptions::new().write(true).open(&card.path).unwrap().write_all_at(&[!old[0]], last.start.0).unwrap();
    verify(&card.path).fails_with(5);
}

#[test]
fn what_cannot_be_a_card_is_refused_with_a_next_step_and_nothing_is_consumed() {
    let Some(bench) = Bench::new(1) else { return };
    let Some(small) = LoopDevice::new(8 * MIB) else { return };
    let Some(good) = bench.used_card() else { return };
    let before = (small.bytes(), good.bytes());
    let dir = bench.image.dir().to_owned();
    let names = names_in(&dir);
    let mounts = tempfile::tempdir().unwrap();
    let Some(busy) = LoopDevice::new(16 * MIB) else { return };
    let mounted = busy.mount(mounts.path());

    let to = |target: &Path| {
        let run = bench.flash(target).fails_with(2);
        run.says("nothing was written").says("help:");
        run
    };
    to(&small.path).says("too small");
    to(&busy.path).says("mounted at").says("umount");
    to(&dir).says("is a directory");
    to(Path::new("/dev/sdzz")).says("is not there").says("cardsmith devices");
    to(&dir.join("no/where.img")).says("is not there");
    to(&bench.manifest).says("input of this run");
    // The golden image itself, also where it may be overwritten.
    let golden = dir.join("golden.img");
    let run = bench.home.run([
        "flash".as_ref(),
        bench.manifest.as_os_str(),
        "--to".as_ref(),
        golden.as_os_str(),
        "--overwrite".as_ref(),
    ]);
    run.fails_with(2).says("input of this run");
    // A loop device is fixed; and nobody is asked where there is nobody.
    let fixed = bench.home.run(["flash".as_ref(), bench.manifest.as_os_str(), "--to".as_ref(), good.path.as_os_str()]);
    fixed.fails_with(2).says("fixed disk").says(&format!("--fixed-ok {}", good.path.display()));
    let mut args = bench.args(&good.path);
    args.retain(|arg| *arg != Path::new("--yes"));
    bench.home.run(args).fails_with(2).says("--yes");
    // One bad target keeps the good one from being written, too.
    let mut args = bench.args(&good.path);
    args.extend([Path::new("--to"), &dir]);
    bench.home.run(args).fails_with(2).says("is a directory");

    drop(mounted);
    assert!((small.bytes(), good.bytes()) == before, "something was written");
    assert_eq!(names_in(&dir), names, "something was left behind");
    bench.assert_nothing_consumed();
}

#[test]
fn too_few_activations_are_said_before_anything_is_written() {
    let Some(bench) = Bench::new(0) else { return };
    let Some(card) = bench.used_card() else { return };
    let run = bench.flash(&card.path);
    assert!(matches!(run.code, Some(1 | 2)), "{}", run.err);
    assert!(boots(&read(&card, 0, 4096)), "the old card was touched");
    assert!(bench.ledger().cards().unwrap().is_empty());
}

/// Waits until the card looks as wanted, then kills. `false` where the run ended before.
fn kill_when(mut child: Child, looks: impl Fn() -> bool) -> bool {
    let since = Instant::now();
    let mut in_time = false;
    while since.elapsed() < Duration::from_secs(120) {
        if looks() {
            in_time = true;
            break;
        }
        if child.try_wait().unwrap().is_some() {
            break;
        }
    }
    let _ = child.kill();
    child.wait().unwrap();
    in_time
}

#[test]
fn after_kill_9_at_any_moment_a_card_boots_only_if_all_of_it_is_there() {
    let Some(bench) = Bench::new(12) else { return };
    let golden = bench.golden();
    let body: Vec<_> = golden.map.ranges().iter().map(|mapped| mapped.range).filter(|r| r.start.0 >= MIB).collect();
    let spots = [0, body.len() / 3, 2 * body.len() / 3, body.len() - 1];
    for spot in spots {
        let Some(card) = bench.used_card() else { return };
        // Ones, so that what was written can be told from what was not: the image's mapped ranges are not all ones.
        let range = body[spot];
        card.file.as_file().write_all_at(&vec![0xFF; range.len.0 as usize], range.start.0).unwrap();
        let arrived = || read(&card, range.start.0, 4096).iter().any(|&byte| byte != 0xFF);
        assert!(kill_when(bench.start(&card.path), arrived), "the run ended and nothing arrived at {range:?}");
        let head = read(&card, 0, MIB as usize);
        if boots(&head) {
            // The kill came too late to catch it in the middle: then all of it must be there.
            oracle::assert_clean_image(card.file.path());
        } else {
            assert!(head[..4096].iter().all(|&byte| byte == 0), "a part of the partition table at spot {spot}");
        }
    }
    // At the very first moment: the old partition table is gone, nothing else has happened.
    let Some(card) = bench.used_card() else { return };
    assert!(kill_when(bench.start(&card.path), || !boots(&read(&card, 0, 4096))));
    assert!(!boots(&read(&card, 0, 4096)));

    // The next run accounts for all of them, and none of the activations is on two cards that boot.
    let Some(card) = bench.used_card() else { return };
    bench.flash(&card.path).succeeds();
    oracle::assert_clean_image(card.file.path());
    let ledger = bench.ledger();
    assert!(ledger.cards().unwrap().iter().all(|card| matches!(card.state, CardState::Verified | CardState::Failed)));
    let held = ledger.activations().unwrap().into_iter().filter(|one| one.state == ActivationState::Held);
    let mut held: Vec<_> = held.filter_map(|one| one.id).collect();
    let all = held.len();
    held.sort();
    held.dedup();
    assert_eq!(held.len(), all);
    assert!(names_in(&bench.home.path("state/cardsmith")).iter().all(|name| !name.contains(".run-")));
}

#[test]
fn a_killed_run_leaves_nothing_of_a_card_image_behind() {
    let Some(bench) = Bench::new(2) else { return };
    let dir = bench.image.beside("cards");
    std::fs::create_dir(&dir).unwrap();
    let target = dir.join("card.img");
    let mut child = bench.start(&target);
    // Once the ledger has the card, its file is being made.
    let ledger = bench.home.path("state/cardsmith/ledger.sqlite3");
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none() {
        if ledger.exists() && bench.ledger().cards().is_ok_and(|cards| !cards.is_empty()) {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(names_in(&dir).is_empty() || bench.ledger().cards().unwrap()[0].state != CardState::Reserved);
    bench.home.run([&bench.args(&target)[..], &[Path::new("--overwrite")]].concat()).succeeds();
    assert_eq!(names_in(&dir), ["card.img"]);
    oracle::assert_clean_image(&target);
}

#[test]
fn ctrl_c_stops_a_card_that_then_does_not_boot_and_gives_its_activation_back() {
    let Some(bench) = Bench::new(2) else { return };
    let Some(card) = bench.used_card() else { return };
    let mut child = bench.start(&card.path);
    let since = Instant::now();
    while boots(&read(&card, 0, 4096)) && since.elapsed() < Duration::from_secs(120) {}
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = child.wait().unwrap();
    if boots(&read(&card, 0, 4096)) {
        assert_eq!(status.code(), Some(0), "it was done before it could be stopped");
        return;
    }
    assert_eq!(status.code(), Some(1));
    let ledger = bench.ledger();
    let cards = ledger.cards().unwrap();
    assert_eq!((cards.len(), cards[0].state), (1, CardState::Failed));
    assert_eq!(ledger.activations().unwrap()[0].state, ActivationState::Returned);
    bench.flash(&card.path).succeeds();
    assert_eq!(host_name(&card), b"fixture-0001\n");
}
