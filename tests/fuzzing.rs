//! What `scripts/fuzz` does for an hour, for a second each: every target runs its corpus, the inputs of earlier findings
//! among it, and then mutations of it. The same ones every time, so that a finding is one for everybody.

#[path = "fuzz/targets/mod.rs"]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use targets::{TARGETS, Target};

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

/// xorshift64*: repeatable, and good enough to throw dice with.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides.max(1)
    }
}

/// One of the corpus, with a few of the changes that find most: bits, bytes, numbers at an edge, pieces that are lost,
/// repeated, or come from elsewhere.
fn mutated(corpus: &[Vec<u8>], longest: usize, dice: &mut Dice) -> Vec<u8> {
    const EDGES: [&[u8]; 8] =
        [&[0], &[0xFF], &[0x7F], &[0x80], &[0xFF; 4], &[0, 0, 0, 0x80], b"99999999999999999999", b"\n"];
    let mut bytes = corpus[dice.roll(corpus.len())].clone();
    for _ in 0..=dice.roll(5) {
        let at = dice.roll(bytes.len() + 1);
        let len = dice.roll(16.min(bytes.len() - at) + 1);
        match dice.roll(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
            1 if at < bytes.len() => bytes[at] = dice.roll(256) as u8,
            2 => bytes.splice(at..at, (0..=dice.roll(8)).map(|_| dice.roll(256) as u8).collect::<Vec<_>>()).for_each(drop),
            3 => bytes.drain(at..at + len).for_each(drop),
            4 => {
                let piece = bytes[at..at + len].repeat(1 + dice.roll(40));
                bytes.splice(at..at, piece).for_each(drop);
            }
            5 => {
                let edge = EDGES[dice.roll(EDGES.len())];
                let end = (at + edge.len()).min(bytes.len());
                bytes.splice(at..end, edge.iter().copied()).for_each(drop);
            }
            _ => {
                let other = &corpus[dice.roll(corpus.len())];
                let from = dice.roll(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied()).for_each(drop);
            }
        }
    }
    bytes.truncate(longest);
    bytes
}

/// Runs the corpus and `runs` mutations of it; `CARDSMITH_FUZZ_RUNS` and `CARDSMITH_FUZZ_SEED` ask for others.
#[track_caller]
fn fuzz(name: &str, runs: u64) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    let mut dice = Dice(number("CARDSMITH_FUZZ_SEED", 0x9E37_79B9_7F4A_7C15) | 1);
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
    first_boot_files: "first-boot", 40;
    golden_runs: "golden", 4;
    whole_images: "image", 6;
    manifests: "manifest", 600;
    packed_images: "packed", 100;
    recipes: "recipe", 400;
    signatures: "signature", 100;
    sudoers: "sudoers", 200;
    partition_tables: "table", 400;
}
