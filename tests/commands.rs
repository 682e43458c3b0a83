//! golden, flash and verify through the binary: exit codes, what appears, what is consumed, and what never shows.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::support::binary::cardsmith;

/// A home with the demo's files in it; the ledger, its cards and its activations are those of the demo: 2 of 4 are used.
struct Bench {
    _home: tempfile::TempDir,
    dir: PathBuf,
}

impl Bench {
    fn new() -> Bench {
        let home = tempfile::tempdir().unwrap();
        cardsmith(home.path(), ["demo", "bench"]).exits(0);
        let dir = home.path().join("bench");
        Bench { _home: home, dir }
    }

    fn run(&self, args: &[&str]) -> crate::support::binary::Run {
        cardsmith(&self.dir, args.iter().copied().chain(["--ledger", "ledger.sqlite3", "--cache-dir", "cache"]))
    }

    fn has(&self, name: &str) -> bool {
        self.dir.join(name).exists()
    }

    /// How many activations of the file no card has taken.
    fn unused(&self) -> usize {
        let run = self.run(&["activations", "list", "--offline", "--json"]).exits(0);
        4 - run.named("activation").iter().filter(|row| row["state"] == "held").count()
    }
}

fn flip(path: &Path, at: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn cards_are_written_from_a_recipe_or_a_manifest_and_every_refusal_consumes_nothing() {
    let bench = Bench::new();
    assert_eq!(bench.unused(), 2);

    // Refusals, each before anything is written.
    for (args, word) in [
        (&["flash", "golden.manifest.json", "--to", "card-1.img"][..], "exists already"),
        (&["flash", "golden.manifest.json", "--to", "golden.img", "--overwrite"], "input of this run"),
        (&["flash", "golden.manifest.json", "--to", "."], "a directory"),
        (&["flash", "golden.manifest.json", "--to", "none/card.img"], "not there"),
        (&["flash", "golden.manifest.json", "--to", "a.img", "--to", "a.img"], "named twice"),
        (&["flash", "golden.manifest.json", "--to", "a.img", "--count", "2"], "no next card"),
        (&["flash", "golden.manifest.json", "--to", "a.img", "--activations", "none.csv"], "none.csv"),
        (&["flash", "golden.manifest.json", "--to", "a.img", "--activations", "motd"], "motd"),
        (&["flash", "golden.manifest.json", "--to", "a.img", "--to", "b.img", "--to", "c.img"], "only 2"),
    ] {
        let run = bench.run(args).exits(2);
        assert!(run.err.contains(word), "{args:?}: {}", run.err);
        assert!(!bench.has("a.img") && !bench.has("b.img") && !bench.has("c.img"), "{args:?}");
        assert_eq!(bench.unused(), 2, "{args:?}");
    }
    bench.run(&["flash", "nothing.toml", "--to", "a.img"]).exits(2);
    bench.run(&["flash", "nothing.manifest.json", "--to", "a.img"]).exits(1);
    assert!(!bench.has("a.img"));

    // From a manifest, and from the recipe without a golden image in between: the numbers go on where they were.
    let run = bench.run(&["flash", "golden.manifest.json", "--to", "a.img", "--receipts", "r", "--json"]).exits(0);
    assert_eq!(run.named("receipt")[0]["card"]["name"], "kiosk-0003");
    let receipt = std::fs::read_to_string(bench.dir.join("r/kiosk-0003.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&receipt).unwrap()["outcome"], "verified");
    let run = bench.run(&["flash", "kiosk.toml", "--to", "b.img"]).exits(0);
    assert!(run.out.contains("kiosk-0004"), "{}", run.out);
    assert_eq!(bench.unused(), 0);
    let run = bench.run(&["flash", "golden.manifest.json", "--to", "c.img"]).exits(2);
    assert!(run.err.contains("only 0") && !bench.has("c.img"), "{}", run.err);

    // No code has left the file of activations and the cards.
    let rows = std::fs::read_to_string(bench.dir.join("activations.csv")).unwrap();
    let codes: Vec<&str> = rows.lines().skip(1).map(|row| row.split(',').nth(1).unwrap()).collect();
    let ledger = std::fs::read(bench.dir.join("ledger.sqlite3")).unwrap();
    let search = aho_corasick::AhoCorasick::new(&codes).unwrap();
    assert!(!search.is_match(&ledger) && !search.is_match(&receipt));
    // Each card has exactly one of them, exactly once, and no two the same.
    let mut taken = Vec::new();
    for card in ["card-1.img", "card-2.img", "a.img", "b.img"] {
        let bytes = std::fs::read(bench.dir.join(card)).unwrap();
        let found: Vec<usize> = search.find_iter(&bytes).map(|found| found.pattern().as_usize()).collect();
        assert_eq!(found.len(), 1, "{card}");
        taken.extend(found);
    }
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 4);
}

#[test]
fn a_card_is_known_by_its_receipt_and_one_changed_byte_is_found() {
    let bench = Bench::new();
    // Cards are written side by side: which of them got which number is told by the receipts.
    let first = std::fs::read_to_string(bench.dir.join("receipts/kiosk-0001.json")).unwrap();
    let (ones, twos) =
        if first.contains("card-1.img") { ("card-1.img", "card-2.img") } else { ("card-2.img", "card-1.img") };
    let run = bench.run(&["verify", "golden.manifest.json", twos]).exits(0);
    assert!(run.out.contains("kiosk-0002"), "{}", run.out);
    bench.run(&["verify", "golden.manifest.json", ones, "--receipt", "receipts/kiosk-0001.json"]).exits(0);
    bench.run(&["verify", "golden.manifest.json", ones, "--receipt", "receipts/kiosk-0002.json"]).exits(5);
    // Without any receipt it is only known that this is not the golden image.
    let run = cardsmith(&bench.dir, ["verify", "golden.manifest.json", "card-1.img"]).exits(5);
    assert!(run.err.contains("--receipt"), "{}", run.err);

    // In the partition table, and in the middle of a file's data.
    let manifest = std::fs::read_to_string(bench.dir.join("golden.manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let ranges = manifest["map"].as_array().unwrap();
    let middle = &ranges[ranges.len() / 2];
    for at in [450, middle["start"].as_u64().unwrap() + middle["len"].as_u64().unwrap() - 1] {
        flip(&bench.dir.join(twos), at);
        let run = bench.run(&["verify", "golden.manifest.json", twos, "--json"]).exits(5);
        let report = &run.named("verify")[0];
        assert_eq!((&report["ok"], &report["card"]), (&false.into(), &"kiosk-0002".into()), "{report}");
        assert_eq!(report["report"]["differing"].as_array().unwrap().len(), 1, "{report}");
        flip(&bench.dir.join(twos), at);
    }
    bench.run(&["verify", "golden.manifest.json", twos]).exits(0);
    bench.run(&["verify", "golden.manifest.json", "none.img"]).exits(1);
    bench.run(&["verify", "card-1.img", "card-1.img"]).exits(1);
}

#[test]
fn a_golden_image_appears_whole_or_not_at_all_and_twice_the_same() {
    let bench = Bench::new();
    let sum = |name: &str| std::fs::read_to_string(bench.dir.join(name)).unwrap();
    let before = sum("golden.sha256");
    let base = std::fs::metadata(bench.dir.join("base.img")).unwrap().modified().unwrap();
    let run = bench.run(&["golden", "kiosk.toml", "--out", "golden.img"]).exits(2);
    assert!(run.err.contains("--overwrite"), "{}", run.err);
    let run = bench.run(&["golden", "kiosk.toml", "--out", "golden.img", "--overwrite", "--json"]).exits(0);
    assert_eq!(run.named("golden")[0]["needles"]["found"], 0);
    assert_eq!(sum("golden.sha256"), before);
    assert_eq!(std::fs::metadata(bench.dir.join("base.img")).unwrap().modified().unwrap(), base);

    bench.run(&["golden", "kiosk.toml", "--out", "golden.tar"]).exits(2);
    std::fs::write(bench.dir.join("broken.toml"), "name = \"a\"\n[image]\nsource = \"motd\"\n").unwrap();
    bench.run(&["golden", "broken.toml", "--out", "x.img"]).exits(1);
    bench.run(&["plan", "broken.toml"]).exits(1);
    assert!(!bench.has("x.img") && !bench.has("x.manifest.json") && !bench.has("golden.tar"));

    let plan = bench.run(&["plan", "kiosk.toml", "--json"]).exits(0);
    let edits = plan.named("edit");
    assert_eq!(plan.named("plan")[0]["edits"], edits.len());
    assert!(edits.iter().any(|edit| edit["path"] == "/var/lib/amazon/ssm/Vault" && edit["change"] == "remove"));
    let facts = bench.run(&["inspect", "golden.img", "--json"]).exits(0);
    assert_eq!(facts.named("facts")[0]["facts"]["registration"]["instance_id"], serde_json::Value::Null);
    bench.run(&["inspect", "motd"]).exits(1);
}
