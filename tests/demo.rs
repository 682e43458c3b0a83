//! The demo goes the whole way, and others than cardsmith agree with what it made.

use std::path::Path;
use std::process::Command;

use crate::support::binary::cardsmith;
use crate::support::{need, path};

/// Cuts a partition out of an image by its number, as the partition table has it.
fn cut(image: &Path, number: u64, out: &Path) {
    let head = std::fs::read(image).unwrap();
    let entry = 446 + 16 * (number as usize - 1);
    let at =
        |offset: usize| u32::from_le_bytes(head[entry + offset..entry + offset + 4].try_into().unwrap()) as usize * 512;
    std::fs::write(out, &head[at(8)..at(8) + at(12)]).unwrap();
}

fn succeeds(command: &mut Command) {
    let output = command.env("PATH", path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
}

#[test]
fn the_demo_makes_cards_that_other_tools_call_clean_and_can_be_run_again() {
    let home = tempfile::tempdir().unwrap();
    let first = cardsmith(home.path(), ["demo"]).exits(0);
    let dir = home.path().join("cardsmith-demo");
    for text in ["the plan", "NOPASSWD", "kiosk-0001", "kiosk-0002", "before and after", "cardsmith recipe new"] {
        assert!(first.out.contains(text), "{text} is not in\n{}", first.out);
    }
    let codes = std::fs::read_to_string(dir.join("activations.csv")).unwrap();
    let codes: Vec<&str> = codes.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    for code in codes {
        assert!(!first.out.contains(code) && !first.err.contains(code), "an activation code was shown");
    }
    if need("e2fsck") && need("fsck.fat") {
        for name in ["base.img", "golden.img", "card-1.img", "card-2.img"] {
            let (root, boot) = (home.path().join("root"), home.path().join("boot"));
            cut(&dir.join(name), 1, &boot);
            cut(&dir.join(name), 2, &root);
            succeeds(Command::new("e2fsck").arg("-fn").arg(&root));
            succeeds(Command::new("fsck.fat").arg("-n").arg(&boot));
        }
    }
    // What the demo says to try next works as it stands there.
    let inside = |args: &[&str]| cardsmith(&dir, args).exits(0);
    inside(&["inspect", "base.img", "--svg", "base.svg"]);
    assert!(std::fs::read_to_string(dir.join("base.svg")).unwrap().starts_with("<svg"));
    inside(&["plan", "kiosk.toml"]);
    inside(&["audit", "golden.img"]);
    inside(&["verify", "golden.manifest.json", "card-1.img", "--ledger", "ledger.sqlite3"]);

    let again = cardsmith(home.path(), ["demo", "--json"]).exits(0);
    let traces = again.named("trace");
    assert!(traces.len() >= 8);
    for trace in traces {
        assert!(trace["before"].as_u64().unwrap() > 0, "{trace}");
        assert_eq!((&trace["golden"], &trace["cards"]), (&0.into(), &serde_json::json!([0, 0])), "{trace}");
    }
    assert_eq!(again.named("receipt").len(), 2);
    assert_eq!(again.named("batch")[0]["verified"], 2);
}

#[test]
fn the_demo_leaves_other_people_s_directories_alone() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("precious"), "x").unwrap();
    cardsmith(home.path(), ["demo", "."]).exits(2);
    let names: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["precious"]);
}
