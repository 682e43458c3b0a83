//! The bench as a person sees it: the real binary in a real terminal, and what a program hears of it.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::binary::Home;
use crate::support::faulty_card::boots;
use crate::support::loop_device::LoopDevice;
use crate::support::terminal::Terminal;
use crate::support::{need, need_root};

const BINARY: &str = env!("CARGO_BIN_EXE_cardsmith");

/// The demo's golden image, and a bench with one slot, the loop device.
struct Bench {
    home: Home,
    card: LoopDevice,
}

impl Bench {
    fn new() -> Option<Bench> {
        if !need_root() {
            return None;
        }
        let home = Home::new();
        home.run(["demo", "demo", "--quiet"]).succeeds();
        let size = std::fs::metadata(home.path("demo/golden.img")).unwrap().len();
        let card = LoopDevice::reader(size + (8 << 20))?;
        // A card that was in use.
        card.file.as_file().write_all_at(&[0x55, 0xAA], 510).unwrap();
        let text = format!("[bench.slots]\nleft-1 = \"{}\"\n", card.path.display());
        std::fs::create_dir_all(home.path("config/cardsmith")).unwrap();
        std::fs::write(home.path("config/cardsmith/bench.toml"), text).unwrap();
        Some(Bench { home, card })
    }

    fn args(&self, more: &[&str]) -> Vec<String> {
        let usual =
            ["flash", "demo/golden.manifest.json", "--activations", "demo/activations.csv", "--bench", "--fixed-ok"];
        let device = [self.card.path.to_str().unwrap()];
        usual.iter().chain(&device).chain(more).map(|arg| (*arg).to_owned()).collect()
    }

    fn head(&self) -> Vec<u8> {
        let mut head = vec![0; 4096];
        self.card.file.as_file().read_exact_at(&mut head, 0).unwrap();
        head
    }

    /// A card as new, in the same slot.
    fn put_in(&self) {
        let file = self.card.file.as_file();
        let size = file.metadata().unwrap().len();
        file.set_len(0).unwrap();
        file.set_len(size).unwrap();
        self.card.put_in(self.card.file.path());
    }
}

#[test]
fn a_bench_shows_pass_on_a_full_screen_tells_programs_of_every_step_and_gives_the_terminal_back() {
    let Some(bench) = Bench::new() else { return };

    // What was in the slot before is asked about, and here is nobody to ask.
    bench.home.run(bench.args(&[])).fails_with(2).says("nobody to ask").says("nothing was written");
    assert_eq!(bench.head()[510..512], [0x55, 0xAA]);
    let run = bench.home.run(bench.args(&["--slot", "left-2"])).fails_with(2);
    run.says("there is no slot \"left-2\"").says("did you mean \"left-1\"");
    bench.home.run(bench.args(&["--to", "card.img"])).fails_with(2);

    // On a terminal: the question, the screen, and an orderly end.
    let args = bench.args(&[]).join(" ");
    let script = format!("echo BEFORE\n{BINARY} {args}\necho \"EXIT=$?\"; stty -a | tr ';' '\\n' | grep icanon");
    let Some(terminal) = Terminal::run(&bench.home.path(""), &script, 100, 24) else { return };
    terminal.wait_for("Type yes to go on:");
    terminal.keys(&["yes", "Enter"]);
    let screen = terminal.wait_for("PASS");
    let line = screen.lines().find(|line| line.starts_with("left-1")).unwrap();
    assert!(line.contains("kiosk-0001 PASS"), "{screen}");
    assert!(screen.starts_with("cardsmith bench: kiosk   1 verified\n"), "{screen}");
    assert!(terminal.is_taken_over() && boots(&bench.head()));
    for (width, height) in [(20, 3), (1, 1), (100, 24)] {
        terminal.resize(width, height);
        std::thread::sleep(Duration::from_millis(150));
    }
    bench.card.take_out();
    terminal.wait_for("put a card in");
    terminal.keys(&["C-c"]);
    let after = terminal.wait_for("EXIT=");
    assert!(after.contains("EXIT=0") && after.starts_with("BEFORE\n"), "{after}");
    let lines: Vec<&str> = after.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("kiosk-0001 is on card in slot \"left-1\"")), "{after}");
    assert!(lines.iter().any(|line| line.starts_with("left-1  kiosk-0001  PASS")), "{after}");
    let canonical =
        terminal.wait("icanon", |screen| screen.lines().rfind(|line| line.contains("icanon")).map(str::to_owned));
    assert!(!terminal.is_taken_over() && !canonical.contains("-icanon"), "{canonical}");

    // For a program: every step as an event, and no question about a card that is put in now.
    let mut command = bench.home.command(bench.args(&["--json", "--count", "1", "--receipts", "receipts"]));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut states = Vec::new();
    for line in &mut events {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        match event["event"].as_str().unwrap() {
            "slot" => {
                assert_eq!(event["slot"], "left-1");
                states.push(event["state"].as_str().unwrap().to_owned());
            }
            "receipt" => states.push(format!("receipt of {}", event["medium"]["slot"].as_str().unwrap())),
            _ => {}
        }
        if states == ["empty"] {
            states.push("-".to_owned());
            bench.put_in();
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(states, ["empty", "-", "inserted", "started", "receipt of left-1", "passed", "closed"]);
    assert!(bench.home.path("receipts/kiosk-0002.json").exists());
}

/// Somebody's card: it holds something.
struct Other {
    file: tempfile::NamedTempFile,
    blocks: u64,
}

impl Other {
    fn like(bench: &Bench) -> Other {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all_at(&[0x5a; 1 << 20], 0).unwrap();
        file.as_file().set_len(bench.card.file.as_file().metadata().unwrap().len()).unwrap();
        file.as_file().sync_all().unwrap();
        let blocks = file.as_file().metadata().unwrap().blocks();
        Other { file, blocks }
    }

    fn exchange(&self, bench: &Bench) {
        bench.card.take_out();
        bench.card.put_in(self.file.path());
    }

    /// Its first MiB is as it was, and nothing came anywhere else.
    fn is_untouched(&self) -> bool {
        let mut head = vec![0; 1 << 20];
        self.file.as_file().read_exact_at(&mut head, 0).unwrap();
        head.iter().all(|byte| *byte == 0x5a) && self.file.as_file().metadata().unwrap().blocks() == self.blocks
    }
}

#[test]
fn who_says_yes_means_the_card_that_was_shown_and_no_other() {
    let Some(bench) = Bench::new() else { return };
    let device = bench.card.path.to_str().unwrap().to_owned();
    let others = [Other::like(&bench), Other::like(&bench), Other::like(&bench)];
    let [one, two, three] = &others;
    let to = "flash demo/golden.manifest.json --activations demo/activations.csv --ledger l.sqlite3";
    let script = format!("{BINARY} {to} --to {device} --fixed-ok {device}\necho \"EXIT=$?\"");

    let Some(terminal) = Terminal::run(&bench.home.path(""), &script, 160, 50) else { return };
    terminal.wait_for("Type yes to go on:");
    one.exchange(&bench);
    terminal.keys(&["yes", "Enter"]);
    let screen = terminal.wait_for("EXIT=");
    let said = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("EXIT=2") && said.contains(&format!("{device} is not what was shown")), "{screen}");
    assert!(said.contains("nothing was written") && said.contains("medium number"), "{screen}");
    assert!(one.is_untouched(), "the other card was written to");
    assert_eq!(bench.head()[510..512], [0x55, 0xAA], "the card that was shown was written to");
    // No card was begun, and no activation taken.
    assert!(!bench.home.path("l.sqlite3").exists());

    // With `--yes` it is what was there when the run began: it waits for its recipe meanwhile.
    let recipe = bench.home.path("demo/pipe.toml");
    assert!(Command::new("mkfifo").arg(&recipe).status().unwrap().success());
    let args = ["flash", "demo/pipe.toml", "--yes", "--to", &device, "--fixed-ok", &device];
    let child = bench.home.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = std::fs::OpenOptions::new().write(true).open(&recipe).unwrap();
    two.exchange(&bench);
    std::io::Write::write_all(&mut pipe, &std::fs::read(bench.home.path("demo/kiosk.toml")).unwrap()).unwrap();
    drop(pipe);
    let run = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{said}");
    assert!(said.contains("is not what was shown") && said.contains("nothing was written"), "{said}");
    assert!(one.is_untouched() && two.is_untouched());

    // At the bench such a card waits until it was put in once more.
    let args = bench.args(&["--plain", "--count", "1"]).join(" ");
    let script = format!("{BINARY} {args}\necho \"EXIT=$?\"");
    let Some(terminal) = Terminal::run(&bench.home.path(""), &script, 160, 50) else { return };
    terminal.wait_for("Type yes to go on:");
    three.exchange(&bench);
    terminal.keys(&["yes", "Enter"]);
    terminal.wait_for("this is not the card that was shown");
    assert!(others.iter().all(Other::is_untouched));
    bench.card.take_out();
    // The bench looks more than once a second.
    std::thread::sleep(Duration::from_millis(1500));
    bench.card.put_in(three.file.path());
    assert!(terminal.wait_for("EXIT=").contains("EXIT=0"));
    assert!(boots(&std::fs::read(three.file.path()).unwrap()) && one.is_untouched() && two.is_untouched());
}

/// Types the answer for our own device, and leaves out those of other tests.
fn learn(terminal: &Terminal, device: &Path, name: &str) {
    let since = Instant::now();
    let mut answered = 0;
    loop {
        let screen = terminal.screen();
        let asked = screen.matches("What is this slot called?").count();
        if asked > answered {
            answered = asked;
            let about = screen.lines().rfind(|line| line.starts_with("A card is in ")).unwrap();
            if about.starts_with(&format!("A card is in {} ", device.display())) {
                return terminal.keys(&[name, "Enter"]);
            }
            terminal.keys(&["-", "Enter"]);
        }
        assert!(since.elapsed() < Duration::from_secs(100), "it was not asked about {device:?}:\n{screen}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

#[test]
fn a_bench_file_is_learnt_at_a_terminal_and_who_stops_before_keeps_the_old_one() {
    if !need_root() || !need("losetup") {
        return;
    }
    let home = Home::new();
    let file = home.path("config/cardsmith/bench.toml");
    home.run(["devices", "--learn"]).fails_with(2).says("there is no terminal").says("[bench.slots]");
    assert!(!file.exists());

    let script = format!("trap : INT\n{BINARY} devices --learn --all; echo EXIT=$?");
    let Some(terminal) = Terminal::run(&home.path(""), &script, 120, 200) else { return };
    terminal.wait_for("press Enter");
    let Some(card) = LoopDevice::new(16 << 20) else { return };
    learn(&terminal, &card.path, "upper left");
    terminal.wait_for("is upper left. Take the card out");
    assert!(!file.exists(), "it is written at the end, whole");
    end(&terminal);
    terminal.wait_for("EXIT=0");
    let text = std::fs::read_to_string(&file).unwrap();
    let line = format!("\"upper left\" = \"{}\"", card.path.display());
    assert!(text.contains(&line), "{text}");

    // The names are shown, and mistakes in the file pointed at.
    let shown = home.run(["devices", "--all"]).succeeds();
    let row = shown.out.lines().find(|row| row.starts_with(&format!("{} ", card.path.display()))).unwrap();
    assert!(row.contains("upper left"), "{row}");
    let events = home.run(["devices", "--all", "--json"]).succeeds().named("device");
    assert!(events.iter().any(|event| event["slot_name"] == "upper left"));
    let broken = home.path("broken.toml");
    std::fs::write(&broken, "[bench.slots]\na = \"somewhere\"\n").unwrap();
    let run = home.run(["devices".as_ref(), "--bench-file".as_ref(), broken.as_os_str()]).fails_with(2);
    run.says(":2:5: `somewhere` is not a place").says("usb-1-4.2");

    // Ctrl-C in the middle of it.
    let Some(terminal) = Terminal::run(&home.path(""), &script, 120, 200) else { return };
    terminal.wait_for("press Enter");
    let Some(next) = LoopDevice::new(16 << 20) else { return };
    learn(&terminal, &next.path, "other");
    terminal.wait_for("is other. Take the card out");
    terminal.keys(&["C-c"]);
    terminal.wait_for("EXIT=130");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let left: Vec<PathBuf> = std::fs::read_dir(file.parent().unwrap()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(left, [file]);
}

/// Presses Enter until it ends: other tests' devices may come between, and are left out.
fn end(terminal: &Terminal) {
    let since = Instant::now();
    loop {
        let screen = terminal.screen();
        let last = screen.trim_end().lines().last().unwrap_or_default().to_owned();
        if screen.contains("EXIT=") {
            return;
        }
        terminal.keys(if last.starts_with("What is this slot called?") { &["-", "Enter"] } else { &["Enter"] });
        std::thread::sleep(Duration::from_millis(400));
        assert!(since.elapsed() < Duration::from_secs(100), "it does not end:\n{screen}");
    }
}
