//! What `scripts/fuzz` does for an hour, for a second each: every target runs its corpus, the inputs of earlier findings
//! among it, and then mutations of it. The same ones every time, so that a finding is one for everybody.

#[path = "fuzz/targets/mod.rs"]
pub mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use targets::{TARGETS, Target};

use crate::support::dice::{Dice, mutated};

const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz");
/// A run of one input that takes longer is a finding. libFuzzer has the same limit, for code that is faster and slower:
/// optimised, and counted in.
const LONGEST: Duration = Duration::from_secs(10);

/// Inputs that somebody wrote down: the target's own, and those that other tests have.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let more = match target.name {
        "sudoers" => Some(Path::new(FUZZ).join("../corpus/sudoers")),
        "recipe" => Some(Path::new(FUZZ).join("../../recipes")),
        _ => None,
    };
    let mut files: Vec<PathBuf> = [Path::new(FUZZ).join("corpus").join(target.name)]
        .into_iter()
        .chain(more)
        .flat_map(|directory| fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Runs the corpus and `runs` mutations of it; `CARDSMITH_FUZZ_RUNS` and `CARDSMITH_FUZZ_SEED` ask for others.
#[track_caller]
fn fuzz(name: &str, runs: u64) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    let mut dice = Dice::new(number("CARDSMITH_FUZZ_SEED", 1));
    for input in &corpus {
        run(target, input);
    }
    for _ in 0..number("CARDSMITH_FUZZ_RUNS", runs) {
        run(target, &mutated(&corpus, target.longest, &mut dice));
    }
}

#[track_caller]
fn run(target: &Target, input: &[u8]) {
    let began = Instant::now();
    let panicked = catch_unwind(AssertUnwindSafe(|| targets::run(target.name, input))).is_err();
    if panicked || began.elapsed() > LONGEST {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name));
        fs::write(&kept, input).unwrap();
        let again = format!("scripts/fuzz --target {} --input {}", target.name, kept.display());
        panic!("{} found something in {:?}; again with: {again}", target.name, began.elapsed());
    }
}

macro_rules! targets {
    ($($test:ident: $name:literal, $runs:literal;)*) => {
        $(#[test]
        fn $test() {
            fuzz($name, $runs);
        })*

        #[test]
        fn every_target_is_run_here_and_by_scripts_fuzz() {
            let here = [$($name),*];
            let all: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(all, here);
            let programs = fs::read_to_string(Path::new(FUZZ).join("Cargo.toml")).unwrap();
            for name in here {
                assert!(programs.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} has no program");
                let program = fs::read_to_string(Path::new(FUZZ).join(format!("fuzz_targets/{name}.rs"))).unwrap();
                assert!(program.contains(&format!("run(\"{name}\"")), "{name}.rs runs another target");
            }
        }
    };
}

targets! {
    files_of_activations: "activations", 400;
    block_maps: "bmap", 400;
    packages: "deb", 200;
    root_file_systems: "ext4", 60;
    boot_file_systems: "fat", 30;
    first_boot_files: "first-boot", 25;
    golden_runs: "golden", 4;
    whole_images: "image", 6;
    manifests: "manifest", 600;
    packed_images: "packed", 100;
    recipes: "recipe", 400;
    signatures: "signature", 100;
    sudoers: "sudoers", 40;
    partition_tables: "table", 400;
}
