//! The digest of a raw base image: computed beside other work, remembered, and never believed of a file that was changed.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::golden::ACCEPT;
use crate::support::binary::{Home, Run};
use crate::support::pi_image::PiImage;
use crate::support::volume::sha256_of;
use crate::support::{need, need_builder};

/// Longer than the coarsest clock that a file system has: only of a file that has been at rest is the digest kept.
const AT_REST: Duration = Duration::from_secs(4);

struct Bench {
    home: Home,
    image: PiImage,
}

impl Bench {
    fn new() -> Option<Bench> {
        (need_builder() && need("sha256sum")).then(|| Bench { home: Home::new(), image: PiImage::lived_in().build() })
    }

    fn plan(&self, pinned: Option<&str>) -> Run {
        self.run(&["plan".as_ref(), self.recipe(pinned).as_ref(), "--json".as_ref()])
    }

    fn recipe(&self, pinned: Option<&str>) -> std::path::PathBuf {
        let recipe = self.image.recipe(ACCEPT);
        if let Some(pinned) = pinned {
            let text = fs::read_to_string(&recipe).unwrap();
            let source = text.lines().find(|line| line.starts_with("source")).unwrap();
            fs::write(&recipe, text.replace(source, &format!("{source}\nsha256 = \"{pinned}\""))).unwrap();
        }
        recipe
    }

    fn run(&self, args: &[&Path]) -> Run {
        self.home.run(args)
    }
}

fn told(plan: Run) -> String {
    let plan = plan.succeeds();
    plan.named("plan")[0]["base"]["sha256"].as_str().unwrap().to_owned()
}

fn is_remembered(plan: &Run) -> bool {
    plan.out.contains("not changed since")
}

#[test]
fn a_digest_is_remembered_for_a_file_at_rest_and_not_for_one_that_was_changed_under_the_same_times() {
    let Some(bench) = Bench::new() else { return };
    let first = bench.plan(None);
    assert!(!is_remembered(&first));
    assert_eq!(told(first), sha256_of(bench.image.path()));
    sleep(AT_REST);
    assert_eq!(told(bench.plan(None)), sha256_of(bench.image.path()));
    let again = bench.plan(None);
    assert!(is_remembered(&again), "{}", again.out);
    assert_eq!(told(again), sha256_of(bench.image.path()));

    // The same size, the same time of writing, another byte: free space, so that the image stays sound.
    let file = File::options().read(true).write(true).open(bench.image.path()).unwrap();
    let written = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 2 << 20).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 2 << 20).unwrap();
    file.set_times(FileTimes::new().set_modified(written)).unwrap();
    assert_eq!(file.metadata().unwrap().modified().unwrap(), written);
    let changed = bench.plan(None);
    assert!(!is_remembered(&changed));
    assert_eq!(told(changed), sha256_of(bench.image.path()));

    // What is in the cache is only ever a shortcut.
    for record in fs::read_dir(bench.home.cache().join("digests")).unwrap() {
        fs::write(record.unwrap().path(), "{\"version\":1,").unwrap();
    }
    assert_eq!(told(bench.plan(None)), sha256_of(bench.image.path()));
}

#[test]
fn an_image_that_is_not_the_pinned_one_gives_nothing_whether_its_digest_is_known_or_not() {
    let Some(bench) = Bench::new() else { return };
    let right = sha256_of(bench.image.path());
    let wrong = right.replace(|c: char| c.is_ascii_digit(), "a");
    sleep(AT_REST);
    for round in ["unknown", "known"] {
        let recipe = bench.recipe(Some(&wrong));
        let out = bench.image.beside("golden.img");
        let before = fs::read_dir(bench.image.dir()).unwrap().count();
        let run = bench.run(&["golden".as_ref(), &recipe, "--out".as_ref(), &out]).exits(1);
        assert!(run.err.contains(&wrong) && run.err.contains(&right), "{round}: {}", run.err);
        assert_eq!(fs::read_dir(bench.image.dir()).unwrap().count(), before, "{round}: something was left behind");
        bench.plan(Some(&wrong)).exits(1);
        assert_eq!(sha256_of(bench.image.path()), right, "{round}");
    }
    bench.plan(Some(&right)).exits(0);

    // Of an image that cannot be used at all, that it is the wrong one is what is told.
    fs::write(bench.image.path(), vec![7; 1 << 20]).unwrap();
    let run = bench.plan(Some(&right)).exits(1);
    assert!(run.out.contains(&right), "{}", run.out);
}
