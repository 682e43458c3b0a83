//! Booted cards: a thin cover over `scripts/boot-test` and `scripts/make-pi-image`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The bootable stand-in for a Pi OS image, or the one without an agent. Shared by all tests: never write to it.
/// `CARDSMITH_SUITE=bookworm` in the environment takes the generation before.
pub fn pi_image(with_agent: bool) -> PathBuf {
    let mut command = script("make-pi-image");
    command.args(["--quiet", "--path"]);
    if !with_agent {
        command.arg("--no-agent");
    }
    if let Some(suite) = std::env::var_os("CARDSMITH_SUITE") {
        command.arg("--suite").arg(suite);
    }
    let made = command.output().unwrap();
    assert!(made.status.success(), "make-pi-image: {}", String::from_utf8_lossy(&made.stderr));
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim_end())
}

/// The stand-in agent's package, written to `target`.
pub fn agent_package(target: &Path) {
    let made = script("guest/build-agent-deb").arg(target).output().unwrap();
    assert!(made.status.success(), "build-agent-deb: {}", String::from_utf8_lossy(&made.stderr));
}

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name))
}

/// One boot of one card.
pub struct Boot<'a> {
    card: &'a Path,
    command: Command,
}

/// What was seen from outside, and what the script that ran inside had to say.
#[derive(Debug)]
pub struct Report {
    /// Seconds from QEMU's start to its end.
    pub seconds: f64,
    /// Everything the script printed.
    pub output: String,
    /// Its `key=value` lines.
    answers: BTreeMap<String, String>,
}

impl Report {
    /// One of the script's answers; a missing one fails the test and shows everything.
    #[track_caller]
    pub fn get(&self, key: &str) -> &str {
        self.answers.get(key).unwrap_or_else(|| panic!("the guest did not answer {key}:\n{}", self.output))
    }
}

/// Boots `card` and leaves it as it is, unless `writing` or `keeping` is asked for.
pub fn boot(card: &Path) -> Boot<'_> {
    let mut command = script("boot-test");
    command.arg(card).arg("--json");
    Boot { card, command }
}

impl Boot<'_> {
    /// The card itself is written to, as in a Pi.
    pub fn writing(mut self) -> Self {
        self.command.arg("--write");
        self
    }

    /// A copy is written to, and stays.
    pub fn keeping(mut self, copy: &Path) -> Self {
        self.command.arg("--keep").arg(copy);
        self
    }

    /// The port of this machine that the guest finds as `http://10.0.2.100`.
    pub fn service(mut self, port: u16) -> Self {
        self.command.args(["--service", &port.to_string()]);
        self
    }

    /// Stop dead when the script has ended.
    pub fn cut_power(mut self) -> Self {
        self.command.arg("--cut-power");
        self
    }

    /// The network address of this "Pi"; every real one has its own.
    pub fn address(mut self, last: u8) -> Self {
        self.command.args(["--mac", &format!("52:54:00:12:34:{last:02x}")]);
        self
    }

    /// Boots, runs `body` as root in the guest (with tests/boot/common.sh in front), ends the boot, and says how long it took.
    #[track_caller]
    pub fn run(mut self, what: &str, body: &str) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("script.sh");
        let console = folder.path().join("console.log");
        std::fs::write(&file, format!("{}\n{body}\n", include_str!("../boot/common.sh"))).unwrap();
        self.command.arg("--run").arg(&file).arg("--log").arg(&console);
        let done = self.command.output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|error| panic!("boot-test: {error}: {}", String::from_utf8_lossy(&done.stderr)));
        let output = report["output"].as_str().unwrap_or_default().to_owned();
        let seconds = report["seconds"].as_f64().unwrap_or_default();
        eprintln!("boot: {what}: {seconds:.0} s ({})", self.card.display());
        if report["ok"] != true {
            let log = String::from_utf8_lossy(&std::fs::read(&console).unwrap_or_default()).into_owned();
            let tail: Vec<&str> = log.lines().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
            panic!(
                "{what}: {}\n--- timeline {}\n--- script\n{output}\n--- console\n{}",
                report["problem"],
                report["timeline"],
                tail.join("\n")
            );
        }
        let answers = output
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Report { seconds, output, answers }
    }
}
