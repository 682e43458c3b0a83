//! Another medium comes into the reader: a loop device over one file, and then over another.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::support::binary::Home;
use crate::support::dice::Dice;
use crate::support::loop_device::LoopDevice;
use crate::support::noise::noise;
use crate::support::terminal::Terminal;
use crate::support::volume::sha256_of;

const MIB: u64 = 1 << 20;

fn attach(device: &Path, file: &Path) -> bool {
    let mut losetup = Command::new("losetup");
    losetup.arg(device).arg(file).stderr(Stdio::null()).status().unwrap().success()
}

/// Takes the one out and puts the other in; `false` where somebody holds on to the first for too long.
fn exchange(device: &Path, other: &Path, patience: Duration) -> bool {
    let _ = Command::new("losetup").arg("-d").arg(device).stderr(Stdio::null()).status();
    let began = Instant::now();
    while !attach(device, other) {
        if began.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// The medium that comes is not written to. The one that goes is written before it goes, or not at all.
pub fn one(dice: &mut Dice) -> usize {
    static TURN: Mutex<()> = Mutex::new(());
    static GOLDEN: OnceLock<Home> = OnceLock::new();
    // One reader at a time: their numbers come from a small supply.
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let home = GOLDEN.get_or_init(|| {
        let home = Home::new();
        home.run(["demo", "demo", "--quiet"]).succeeds();
        home
    });
    let size = std::fs::metadata(home.path("demo/golden.img")).unwrap().len() + 8 * MIB;
    let reader = LoopDevice::reader(size).expect("this machine has loop devices");
    reader.file.as_file().write_all_at(&[0x55, 0xAA], 510).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other");
    // As large, or larger: a size alone must not be what saves it.
    let larger = dice.roll(2) as u64 * MIB;
    drop::<File>(noise(&other, 2 * MIB, dice.roll(1 << 30) as u64));
    File::options().write(true).open(&other).unwrap().set_len(size + larger).unwrap();
    let before = (sha256_of(reader.file.path()), sha256_of(&other));
    let after = || (sha256_of(reader.file.path()), sha256_of(&other));
    let ledger = dir.path().join("ledger.sqlite3");
    let flash = format!(
        "{} flash demo/golden.manifest.json --activations demo/activations.csv --ledger {} --to {device} --fixed-ok {device}",
        env!("CARGO_BIN_EXE_cardsmith"),
        ledger.display(),
        device = reader.path.display(),
    );
    match dice.roll(3) {
        // Between the question and the answer, and after it.
        when @ 0..2 => {
            let script = format!("{flash}; echo it ended with $?");
            let terminal = Terminal::run(&home.path(""), &script, 120, 50).expect("this machine has tmux");
            terminal.wait_for("Type yes to go on:");
            if when == 0 {
                let exchanged = exchange(&reader.path, &other, Duration::from_secs(2));
                terminal.keys(&["yes", "Enter"]);
                terminal.wait_for("it ended with");
                assert!(after().1 == before.1, "the medium that came after the question was written to");
                assert!(!exchanged || after().0 == before.0, "the medium that was taken out was written to");
            } else {
                terminal.keys(&["yes", "Enter"]);
                std::thread::sleep(Duration::from_millis(dice.roll(1200) as u64));
                exchange(&reader.path, &other, Duration::from_secs(1));
                terminal.wait_for("it ended with");
                assert!(after().1 == before.1, "the medium that came after the answer was written to");
            }
        }
        // Nobody is asked: what counts is what was there when the run looked, and that is one of the two.
        _ => {
            let mut child = Command::new("sh");
            child.args(["-c", &format!("{flash} --yes")]).current_dir(home.path(""));
            for (name, place) in
                [("HOME", ""), ("XDG_STATE_HOME", "state"), ("XDG_CACHE_HOME", "cache"), ("XDG_CONFIG_HOME", "config")]
            {
                child.env(name, home.path(place));
            }
            let mut child = child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(dice.roll(800) as u64));
            exchange(&reader.path, &other, Duration::from_secs(1));
            super::ends_within(&mut child, Duration::from_secs(120), "flash after an exchange");
            let after = after();
            assert!(after.0 == before.0 || after.1 == before.1, "both media were written to");
        }
    }
    2
}
