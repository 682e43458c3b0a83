//! Golden images that are decoded while cards are written: nothing of a wrong one may count.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cardsmith::digest::Sha256Digest;
use cardsmith::golden::Manifest;
use cardsmith::image::ReadAt;
use cardsmith::ledger::{ActivationState, CardState, Ledger};
use cardsmith::source::SourceError;
use cardsmith::source::streaming::{StreamingImage, open_streaming};
use cardsmith::units::{ByteOffset, ByteSize};

use crate::support::binary::{Home, names_in};
use crate::support::faulty_card::boots;
use crate::support::loop_device::LoopDevice;
use crate::support::pi_image::PiImage;
use crate::support::{need_builder, need_root, oracle};

const MIB: usize = 1 << 20;

/// An archive of an image, and a cache that is empty.
struct Bench {
    dir: tempfile::TempDir,
    image: Vec<u8>,
    archive: Vec<u8>,
}

impl Bench {
    fn new() -> Bench {
        // Nothing but noise: every byte of the archive is needed, and every byte of the image is told from its neighbours.
        let mut state = 77u64;
        let mut noise = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let mut image: Vec<u8> = (0..MIB).flat_map(|_| noise()).collect();
        image[3 * MIB..5 * MIB].fill(0);
        let archive = zstd::encode_all(&image[..], 1).unwrap();
        Bench { dir: tempfile::tempdir().unwrap(), image, archive }
    }

    fn open(&self, archive: &[u8], size: usize, cancel: bool) -> Result<Option<StreamingImage>, SourceError> {
        let path = self.dir.path().join("golden.img.zst");
        std::fs::write(&path, archive).unwrap();
        let (promised, cancel) = (Sha256Digest::of(&self.archive), Arc::new(AtomicBool::new(cancel)));
        open_streaming(&path, promised, ByteSize(size as u64), &self.cache(), cancel)
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn entries(&self) -> Vec<String> {
        names_in(&self.cache().join("images"))
    }

    /// It is opened, and neither the whole of it nor its end can be had; nothing is left of it.
    fn fails(&self, archive: &[u8], size: usize, cancel: bool) -> String {
        let image = self.open(archive, size, cancel).unwrap().unwrap();
        let why = image.wait().unwrap_err().to_string();
        if !cancel {
            assert_eq!(image.read_at(ByteOffset(0), &mut [0; 512]).unwrap_err().to_string(), why);
            assert!(image.is_whole().is_err());
        }
        drop(image);
        assert_eq!(self.entries(), Vec::<String>::new());
        why
    }
}

#[test]
fn bytes_are_read_as_they_come_and_the_image_is_in_the_cache_afterwards() {
    let bench = Bench::new();
    let image = bench.open(&bench.archive, bench.image.len(), false).unwrap().unwrap();
    // From behind: it waits. Across the hole: zeros.
    for (at, len) in [(8 * MIB - 700, 700), (0, 4096), (3 * MIB - 5, 2 * MIB + 10), (5 * MIB, 3 * MIB)] {
        let mut found = vec![1; len];
        image.read_at(ByteOffset(at as u64), &mut found).unwrap();
        assert!(found == bench.image[at..at + len], "{at}");
    }
    assert!(image.read_at(ByteOffset(8 * MIB as u64 - 3), &mut [0; 4]).is_err(), "behind its end");
    image.wait().unwrap();
    assert!(image.is_whole().unwrap());
    assert_eq!(image.next_data(ByteOffset(4 * MIB as u64)).unwrap().unwrap().start.0, 5 * MIB as u64);
    drop(image);
    assert_eq!(bench.entries().len(), 2, "an image and what is known of it");
    assert!(bench.open(&bench.archive, bench.image.len(), false).unwrap().is_none(), "nothing to wait for any more");
}

#[test]
fn an_archive_that_is_not_the_promised_one_fails_everybody_and_leaves_no_cache_entry() {
    let bench = Bench::new();
    let mut flipped = bench.archive.clone();
    flipped[6 * MIB / 2] ^= 1;
    let why = bench.fails(&flipped, bench.image.len(), false);
    assert!(why.contains("is not the file"), "{why}");
    let other = zstd::encode_all(&bench.image[..7 * MIB], 1).unwrap();
    assert!(bench.fails(&other, bench.image.len(), false).contains("is not the file"));
    bench.fails(&bench.archive[..bench.archive.len() - 9], bench.image.len(), false);
    let mut longer = bench.archive.clone();
    longer.write_all(b"and more").unwrap();
    bench.fails(&longer, bench.image.len(), false);
    // The right archive, and a manifest that promises another size.
    for size in [bench.image.len() - 4096, bench.image.len() + 4096] {
        assert!(bench.fails(&bench.archive, size, false).contains("unpacks to"), "{size}");
    }
    assert!(bench.fails(&bench.archive, bench.image.len(), true).contains("stopped"));
}

#[test]
fn a_raw_image_is_nothing_to_wait_for() {
    let bench = Bench::new();
    assert!(bench.open(&bench.image, bench.image.len(), false).unwrap().is_none());
}

/// A compressed golden image with its manifest, at a bench with activations.
struct Cards {
    home: Home,
    image: PiImage,
    archive: PathBuf,
}

impl Cards {
    fn new() -> Option<Cards> {
        if !need_builder() || !need_root() {
            return None;
        }
        let (image, home) = (PiImage::lived_in().build(), Home::new());
        let csv = "activation_id,activation_code,region\n00000000-0000-4000-8000-000000000001,CodeOfTheOnlyRow0001,eu-west-1\n";
        std::fs::write(image.beside("activations.csv"), csv).unwrap();
        let more = "[sudo]\nlockout = \"accept\"\n\n[activation]\nfrom = \"file\"\npath = \"activations.csv\"\n";
        let (recipe, archive) = (image.recipe(more), image.beside("golden.img.zst"));
        home.run(["golden".as_ref(), recipe.as_os_str(), "--out".as_ref(), archive.as_os_str()]).succeeds();
        Some(Cards { home, image, archive })
    }

    fn flash(&self, to: &std::path::Path) -> crate::support::binary::Run {
        let manifest = self.image.beside("golden.manifest.json");
        let args = ["flash".as_ref(), manifest.as_os_str(), "--to".as_ref(), to.as_os_str(), "--yes".as_ref()];
        let run = self.home.run([&args[..], &["--fixed-ok".as_ref(), to.as_os_str()]].concat());
        run.never_says("CodeOfTheOnlyRow0001");
        run
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.home.path("state/cardsmith/ledger.sqlite3")).unwrap()
    }
}

#[test]
fn cards_from_a_compressed_golden_image_are_the_same_whether_it_was_still_being_decoded_or_not() {
    let Some(cards) = Cards::new() else { return };
    let size = Manifest::read(&cards.image.beside("golden.manifest.json")).unwrap().image.size;
    let Some(card) = LoopDevice::new(size.0 + (8 << 20)) else { return };
    let run = cards.flash(&card.path).succeeds();
    assert!(run.err.contains("decoded while"), "{}", run.err);
    oracle::assert_clean_image(card.file.path());
    let manifest = cards.image.beside("golden.manifest.json");
    cards.home.run(["verify".as_ref(), manifest.as_os_str(), card.path.as_os_str()]).succeeds();
    // The second time it comes from the cache: the same bytes, on a fresh bench with the same number and activation.
    let before = card.bytes();
    std::fs::remove_dir_all(cards.home.path("state")).unwrap();
    std::fs::write(card.file.path(), vec![0; before.len()]).unwrap();
    let run = cards.flash(&card.path).succeeds();
    assert!(!run.err.contains("decoded while"), "{}", run.err);
    let after = card.bytes();
    let differs = before.chunks(4096).zip(after.chunks(4096)).position(|(a, b)| a != b);
    assert_eq!(differs.map(|block| block * 4096), None);
}

#[test]
fn a_damaged_archive_leaves_a_card_that_does_not_boot_a_free_activation_and_no_cache_entry() {
    let Some(cards) = Cards::new() else { return };
    let good = std::fs::read(&cards.archive).unwrap();
    let mut bad = good.clone();
    // Right to the last frame: only the digest at the end of it can tell.
    bad.extend_from_slice(b"\x50\x2a\x4d\x18\x04\x00\x00\x00more");
    std::fs::write(&cards.archive, &bad).unwrap();
    let size = Manifest::read(&cards.image.beside("golden.manifest.json")).unwrap().image.size;
    let Some(card) = LoopDevice::new(size.0 + (8 << 20)) else { return };
    std::os::unix::fs::FileExt::write_all_at(card.file.as_file(), &[0x55, 0xAA], 510).unwrap();
    let run = cards.flash(&card.path).fails_with(1);
    assert!(run.err.contains("is not the file"), "{}", run.err);
    // How far the card came until the end of the archive was reached is a matter of speed; that it is not sealed is not.
    let untouched = run.err.contains("nothing was written to it");
    assert!(untouched || run.err.contains("no Pi will boot it"), "{}", run.err);
    assert_eq!(boots(&card.bytes()), untouched);
    assert_eq!(names_in(&cards.home.cache().join("images")), Vec::<String>::new());
    let ledger = cards.ledger();
    assert_eq!(ledger.cards().unwrap()[0].state, CardState::Failed);
    assert_eq!(ledger.activations().unwrap()[0].state, ActivationState::Returned);
    drop(ledger);

    // To a file: none is made. With the right archive again: number and activation are used now.
    let target = cards.image.beside("card.img");
    cards.flash(&target).fails_with(1);
    assert!(!target.exists());
    std::fs::write(&cards.archive, &good).unwrap();
    cards.flash(&card.path).succeeds();
    assert!(boots(&card.bytes()));
    assert_eq!(
        cards.ledger().activations().unwrap().iter().filter(|one| one.state == ActivationState::Held).count(),
        1
    );
}
