//! Images as they are written: block maps that bmaptool accepts, and packed files that everybody's tools unpack to the
//! same bytes.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use cardsmith::image::bmap_write::to_bmap;
use cardsmith::image::output::{OutputFormat, write_image};
use cardsmith::image::{BlockMap, ImageFile, ReadAt, digest_of};
use cardsmith::progress::{Progress, Silent};
use cardsmith::units::{ByteOffset, ByteRange};

use crate::support::volume::sha256_of;
use crate::support::{need, path, run};

/// An image of 30 MiB and a bit, with data at its start, across 4 MiB borders and at its very end, and garbage that
/// no map lists.
fn image(dir: &Path) -> (PathBuf, Vec<ByteRange>) {
    let path = dir.join("base.img");
    let file = File::create(&path).unwrap();
    let size = (30 << 20) + 1536;
    file.set_len(size).unwrap();
    let noise: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let runs = vec![
        ByteRange::new(0, 512),
        ByteRange::new(3 << 20, 3_000_000),
        ByteRange::new((12 << 20) + 4096, 4096),
        ByteRange::new(20 << 20, 5000),
        ByteRange::new(size - 700, 700),
    ];
    for run in &runs {
        file.write_all_at(&noise[..run.len.0 as usize], run.start.0).unwrap();
    }
    file.write_all_at(b"left over from somebody else", 15 << 20).unwrap();
    (path, runs)
}

fn map_of(path: &Path, runs: &[ByteRange]) -> (ImageFile, BlockMap) {
    let image = ImageFile::open(path).unwrap();
    let map = BlockMap::digest(&image, runs, Silent.task("map", None).as_mut()).unwrap();
    (image, map)
}

fn write(image: &dyn ReadAt, map: &BlockMap, to: &Path, format: OutputFormat) -> String {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(to).unwrap();
    write_image(image, &map.places(), &file, format, Silent.task("write", None).as_mut()).unwrap().to_string()
}

/// The image with zeros wherever no mapped range lies.
fn as_mapped(image: &ImageFile, map: &BlockMap) -> Vec<u8> {
    let mut bytes = vec![0; image.size().0 as usize];
    for mapped in map.ranges() {
        let span = mapped.range.start.0 as usize..mapped.range.end().0 as usize;
        image.read_at(mapped.range.start, &mut bytes[span]).unwrap();
    }
    bytes
}

#[test]
fn bmaptool_copies_by_our_map_and_notices_damage() {
    if !need("bmaptool") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (base, runs) = image(dir.path());
    let (image, map) = map_of(&base, &runs);
    let bmap = dir.path().join("base.bmap");
    fs::write(&bmap, to_bmap(&map, image.size())).unwrap();
    let copy = |from: &Path, bmap: &Path| {
        let to = dir.path().join("copy.img");
        let _ = fs::remove_file(&to);
        let mut tool = Command::new("bmaptool");
        tool.args(["copy", "--no-sig-verify", "--bmap"]).arg(bmap).arg(from).arg(&to).env("PATH", path());
        let out = tool.output().unwrap();
        (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned(), fs::read(&to).unwrap_or_default())
    };
    let (done, said, copied) = copy(&base, &bmap);
    assert!(done, "{said}");
    assert!(copied == as_mapped(&image, &map), "bmaptool's copy differs");
    assert!(!copied.windows(9).any(|w| w == b"left over"));

    // Damage in the image, at the last mapped byte.
    let hurt = dir.path().join("hurt.img");
    fs::copy(&base, &hurt).unwrap();
    let last = map.ranges().last().unwrap().range.end().0 - 1;
    File::options().write(true).open(&hurt).unwrap().write_all_at(b"!", last).unwrap();
    let (done, said, _) = copy(&hurt, &bmap);
    assert!(!done && said.contains("checksum mismatch"), "{said}");

    // Damage in the map: its own checksum is really one.
    let text = fs::read_to_string(&bmap).unwrap();
    let range = map.ranges()[1].sha256.to_string();
    let other = format!("{}{}", if range.starts_with('0') { '1' } else { '0' }, &range[1..]);
    let forged = dir.path().join("forged.bmap");
    fs::write(&forged, text.replacen(&range, &other, 1)).unwrap();
    let (done, said, _) = copy(&base, &forged);
    assert!(!done && said.contains("checksum mismatch"), "{said}");
}

#[test]
fn every_output_unpacks_with_its_own_tool_to_the_mapped_image() {
    if !["xz", "zstd", "gzip"].iter().all(|tool| need(tool)) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (base, runs) = image(dir.path());
    let (image, map) = map_of(&base, &runs);
    let expected = as_mapped(&image, &map);
    for (name, unpack) in
        [("g.img", "cat"), ("g.img.zst", "zstd -dc"), ("g.img.xz", "xz -dc"), ("g.img.gz", "gzip -dc")]
    {
        let out = dir.path().join(name);
        let format = OutputFormat::from_name(&out).unwrap();
        let digest = write(&image, &map, &out, format);
        assert_eq!(digest, sha256_of(&out), "{name}");
        let unpacked = run(Command::new("sh").args(["-c", &format!("{unpack} '{}'", out.display())])).stdout;
        assert!(unpacked == expected, "{name} unpacks to something else");
        // And our own reader takes it as a base image.
        let cache = dir.path().join("cache");
        let spec = cardsmith::source::SourceSpec::file(&out, Some(digest.parse().unwrap()));
        let opened = cardsmith::source::open_spec(&spec, &cache, &Silent).unwrap();
        assert_eq!(digest_of(&*opened.image, &mut |_| {}).unwrap(), cardsmith::digest::Sha256Digest::of(&expected));
    }
    let raw = fs::metadata(dir.path().join("g.img")).unwrap();
    assert!(raw.blocks() * 512 < 4 << 20, "the raw output is not sparse: {} bytes", raw.blocks() * 512);
    // Independent pieces: a reader can begin anywhere. Eight frames of image and the seek table, which zstd skips.
    let frames = run(Command::new("zstd").arg("-l").arg(dir.path().join("g.img.zst"))).stdout;
    let listed = String::from_utf8_lossy(&frames).into_owned();
    let numbers: Vec<&str> = listed.lines().last().unwrap().split_whitespace().collect();
    assert_eq!((numbers[0], numbers[1]), ("9", "1"), "{listed}");
    let blocks = run(Command::new("xz").args(["--robot", "--list"]).arg(dir.path().join("g.img.xz"))).stdout;
    let listed = String::from_utf8_lossy(&blocks).into_owned();
    let totals = listed.lines().find(|line| line.starts_with("totals")).unwrap();
    assert_eq!(totals.split('\t').nth(2), Some("2"), "{listed}");
}

#[test]
fn the_same_image_gives_the_same_bytes_on_one_core_and_on_all() {
    const TO: &str = "CARDSMITH_TEST_DIGESTS_TO";
    let digests = || {
        let dir = tempfile::tempdir().unwrap();
        let (base, runs) = image(dir.path());
        let (image, map) = map_of(&base, &runs);
        let formats = [OutputFormat::Raw, OutputFormat::Zstd, OutputFormat::Xz, OutputFormat::Gzip];
        formats.map(|format| write(&image, &map, &dir.path().join("out"), format)).join("\n")
    };
    if let Some(to) = std::env::var_os(TO) {
        assert_eq!(std::thread::available_parallelism().unwrap().get(), 1);
        fs::write(to, digests()).unwrap();
        return;
    }
    if !need("taskset") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("digests");
    let name = "bmap::the_same_image_gives_the_same_bytes_on_one_core_and_on_all";
    let me = std::env::current_exe().unwrap();
    run(Command::new("taskset").args(["-c", "0"]).arg(me).args(["--exact", name]).env(TO, &to));
    assert_eq!(fs::read_to_string(&to).unwrap(), digests());
}

#[test]
fn names_say_in_which_form_an_image_is_wanted() {
    let asks = |name: &str| OutputFormat::from_name(Path::new(name));
    assert_eq!(asks("dir.d/a.img"), Some(OutputFormat::Raw));
    assert_eq!(asks("a.IMG.ZST"), Some(OutputFormat::Zstd));
    assert_eq!(asks("a.b.img.xz"), Some(OutputFormat::Xz));
    assert_eq!(asks("/x/a.img.gz"), Some(OutputFormat::Gzip));
    for name in ["a", "a.zip", "a.zst", ".img", "a.img.bz2", "img", ".img.xz", "/", ".."] {
        assert_eq!(asks(name), None, "{name}");
    }
}

#[test]
fn an_image_that_cannot_be_read_gives_no_output() {
    struct Broken;
    impl ReadAt for Broken {
        fn size(&self) -> cardsmith::units::ByteSize {
            cardsmith::units::ByteSize(10 << 20)
        }
        fn read_at(&self, at: ByteOffset, buf: &mut [u8]) -> std::io::Result<()> {
            if at.0 >= 5 << 20 {
                return Err(std::io::Error::other("bad sector"));
            }
            buf.fill(7);
            Ok(())
        }
    }
    let range = |start| cardsmith::image::MappedRange {
        range: ByteRange::new(start, 4096),
        sha256: cardsmith::digest::Sha256Digest::of(b""),
    };
    let map = BlockMap::new(vec![range(0), range(6 << 20)], Broken.size()).unwrap();
    for format in [OutputFormat::Raw, OutputFormat::Zstd, OutputFormat::Xz, OutputFormat::Gzip] {
        let file = tempfile::tempfile().unwrap();
        let result = write_image(&Broken, &map.places(), &file, format, Silent.task("write", None).as_mut());
        assert_eq!(result.unwrap_err().to_string(), "bad sector", "{format:?}");
    }
}
