//! Base images as they are published: packed by other people's tools, whole, cut off, swapped and tampered with.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use cardsmith::digest::Sha256Digest;
use cardsmith::image::{ReadAt, digest_of};
use cardsmith::progress::Silent;
use cardsmith::source::{Format, OpenedSource, SourceError, SourceSpec};
use cardsmith::source::{open_spec, open_to_inspect};
use cardsmith::units::ByteOffset;

use crate::support::binary::names_in;
use crate::support::volume::sha256_of;
use crate::support::{need, run};

/// A directory with an image in it that compresses like a real one, and a cache of its own.
struct Bench {
    dir: tempfile::TempDir,
    raw: PathBuf,
    digest: String,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let raw = dir.path().join("base.img");
        // Zeros, text and noise, and an end that is no multiple of anything.
        let mut bytes = vec![0u8; 9_000_000];
        let mut state = 0x2545_F491_4F6C_DD1Du64;
        for chunk in bytes[1_000_000..3_000_000].chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
        }
        for (i, byte) in bytes[5_000_000..6_000_000].iter_mut().enumerate() {
            *byte = b"PARTUUID="[i % 9];
        }
        bytes.truncate(8_999_936);
        bytes.extend_from_slice(b"end");
        fs::write(&raw, &bytes).unwrap();
        let digest = sha256_of(&raw);
        Bench { dir, raw, digest }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    fn open(&self, path: &Path) -> Result<OpenedSource, SourceError> {
        open_spec(&SourceSpec::file(path, None), &self.cache(), &Silent)
    }

    /// What the shell pipeline makes of the image, as a file.
    fn packed(&self, name: &str, pipeline: &str) -> PathBuf {
        let out = self.path(name);
        let script = format!("set -e; cd '{}'; {pipeline}", self.dir.path().display());
        run(Command::new("bash").args(["-o", "pipefail", "-c", &format!("{{ {script}; }} > '{}'", out.display())]));
        out
    }

    /// Nothing but the two directories of an untouched cache: no entry, no part of one.
    fn assert_cache_is_empty(&self) {
        assert_eq!(names_in(&self.cache().join("images")), Vec::<String>::new());
    }

    fn entries(&self) -> Vec<String> {
        names_in(&self.cache().join("images"))
    }
}

fn digest_text(image: &dyn ReadAt) -> String {
    digest_of(image, &mut |_| {}).unwrap().to_string()
}

const PACKED: &[(&str, &str, Format)] = &[
    ("one.xz", "xz -1 -c base.img", Format::Xz),
    ("blocks.xz", "xz -1 -T2 --block-size=1MiB -c base.img", Format::Xz),
    (
        "streams.xz",
        "head -c 4000000 base.img | xz -1; head -c 8 /dev/zero; tail -c +4000001 base.img | xz -1",
        Format::Xz,
    ),
    ("one.gz", "gzip -1 -c base.img", Format::Gzip),
    ("members.gz", "head -c 5 base.img | gzip; tail -c +6 base.img | gzip -1", Format::Gzip),
    ("one.zst", "zstd -1 -q -c base.img", Format::Zstd),
    ("frames.zst", "head -c 4096 base.img | zstd -q; tail -c +4097 base.img | zstd -q --long=27", Format::Zstd),
];

#[test]
fn an_image_is_the_same_however_it_is_packed_and_whatever_it_is_called() {
    if !["xz", "gzip", "zstd"].iter().all(|tool| need(tool)) {
        return;
    }
    let bench = Bench::new();
    for (name, pipeline, format) in PACKED {
        // Named like something else: only the content counts.
        let path = bench.packed(&format!("{name}.img"), pipeline);
        let opened = bench.open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(opened.format, *format, "{name}");
        assert_eq!(digest_text(&*opened.image), bench.digest, "{name}");
        assert_eq!(opened.digest.to_string(), sha256_of(&path), "{name}");
        assert_eq!(opened.size.0, fs::metadata(&bench.raw).unwrap().len());
        let entry = bench.cache().join("images").join(format!("{}.img", opened.digest));
        let kept = fs::metadata(&entry).unwrap();
        assert!(
            kept.blocks() * 512 < 4_000_000,
            "{name}: {} bytes on disk, the image has 3 MB of data",
            kept.blocks() * 512
        );
    }
    assert_eq!(bench.entries().len(), 2 * PACKED.len());
    let raw = bench.open(&bench.raw).unwrap();
    assert_eq!((raw.format, raw.digest.to_string()), (Format::Raw, bench.digest.clone()));
    assert_eq!(bench.entries().len(), 2 * PACKED.len(), "a raw image is used where it is");
}

#[test]
fn a_zip_archive_with_one_image_is_read_and_what_lies_beside_the_image_does_not_count() {
    if !need("zip") {
        return;
    }
    let bench = Bench::new();
    fs::create_dir_all(bench.path("__MACOSX")).unwrap();
    fs::write(bench.path("__MACOSX/._base.img"), vec![1; 2_000_000]).unwrap();
    fs::write(bench.path("base.img.sha256"), "00  base.img\n").unwrap();
    fs::create_dir_all(bench.path("docs")).unwrap();
    fs::write(bench.path("docs/README.txt"), "read me\n").unwrap();
    let zip = |args: &[&str]| {
        let _ = fs::remove_file(bench.path("a.zip"));
        run(Command::new("zip").current_dir(bench.dir.path()).args(["-q", "-r", "a.zip"]).args(args));
        bench.open(&bench.path("a.zip"))
    };
    for method in ["-6", "-0"] {
        let opened = zip(&[method, "base.img", "__MACOSX", "docs", "base.img.sha256"]).unwrap();
        assert_eq!((opened.format, digest_text(&*opened.image)), (Format::Zip, bench.digest.clone()));
    }
    let before = bench.entries();
    fs::copy(&bench.raw, bench.path("other.img")).unwrap();
    let two = zip(&["base.img", "other.img"]).unwrap_err();
    assert!(matches!(&two, SourceError::ZipEntries { entries, .. } if entries.len() == 2), "{two}");
    assert!(two.to_string().contains("base.img, other.img"), "{two}");
    let none = zip(&["docs"]).unwrap_err();
    assert!(matches!(&none, SourceError::ZipEntries { entries, .. } if entries.is_empty()), "{none}");
    assert_eq!(bench.entries(), before, "an archive that is refused leaves nothing");
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused_and_leaves_no_cache_entry() {
    if !["xz", "gzip", "zstd", "zip"].iter().all(|tool| need(tool)) {
        return;
    }
    let bench = Bench::new();
    let mut packed: Vec<PathBuf> = PACKED.iter().map(|(name, pipeline, _)| bench.packed(name, pipeline)).collect();
    run(Command::new("zip").current_dir(bench.dir.path()).args(["-q", "a.zip", "base.img"]));
    packed.push(bench.path("a.zip"));
    for path in packed {
        let whole = fs::read(&path).unwrap();
        for keep in [12, whole.len() / 3, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
            let cut = bench.path("cut");
            fs::write(&cut, &whole[..keep]).unwrap();
            let refused = bench.open(&cut);
            assert!(matches!(refused, Err(SourceError::Damaged { .. })), "{path:?} at {keep}: {refused:?}");
            assert!(refused.unwrap_err().to_string().contains("cut off or damaged"));
            assert_eq!(fs::read(&cut).unwrap(), whole[..keep]);
        }
    }
    bench.assert_cache_is_empty();
}

#[test]
fn a_file_with_a_flipped_bit_is_refused() {
    if !["xz", "gzip", "zstd", "zip"].iter().all(|tool| need(tool)) {
        return;
    }
    let bench = Bench::new();
    let mut packed: Vec<PathBuf> = PACKED.iter().map(|(name, pipeline, _)| bench.packed(name, pipeline)).collect();
    run(Command::new("zip").current_dir(bench.dir.path()).args(["-q", "a.zip", "base.img"]));
    packed.push(bench.path("a.zip"));
    for path in packed {
        let whole = fs::read(&path).unwrap();
        for at in [whole.len() / 4, whole.len() / 2] {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            fs::write(bench.path("flipped"), &bytes).unwrap();
            // gzip and zstd may fail early or only at their checksum; in no case does an image come out.
            let refused = bench.open(&bench.path("flipped"));
            assert!(matches!(refused, Err(SourceError::Damaged { .. })), "{path:?} at {at}: {refused:?}");
        }
    }
    bench.assert_cache_is_empty();
}

#[test]
fn what_is_no_image_is_refused_by_name() {
    let bench = Bench::new();
    let refusal = |content: &[u8]| {
        fs::write(bench.path("x.img"), content).unwrap();
        bench.open(&bench.path("x.img")).unwrap_err()
    };
    assert!(matches!(refusal(b""), SourceError::Empty { .. }));
    for (content, word) in [
        (&b"7z\xBC\xAF\x27\x1C\0\x04"[..], "7z"),
        (b"QFI\xFB\0\0\0\x03", "qcow2"),
        (b"BZh91AY&SY....", "bzip2"),
        (b"<!DOCTYPE html><html>", "web page"),
    ] {
        let error = refusal(content);
        assert!(matches!(error, SourceError::Unsupported { .. }) && error.to_string().contains(word), "{error}");
    }
    assert!(matches!(bench.open(bench.dir.path()), Err(SourceError::Open { .. })), "a directory");
    assert!(matches!(bench.open(&bench.path("nowhere")), Err(SourceError::Open { .. })));
    assert!(matches!(bench.open(Path::new("/dev/zero")), Err(SourceError::Open { .. })), "an endless device");
    bench.assert_cache_is_empty();
}

#[test]
fn an_archive_in_an_archive_is_refused() {
    if !need("xz") || !need("gzip") {
        return;
    }
    let bench = Bench::new();
    let path = bench.packed("twice.gz", "xz -0 -c base.img | gzip -1");
    let error = bench.open(&path).unwrap_err();
    assert!(error.to_string().contains("packed twice"), "{error}");
    bench.assert_cache_is_empty();
}

#[test]
fn the_digest_is_that_of_the_published_file_and_a_wrong_one_leaves_nothing() {
    if !need("xz") {
        return;
    }
    let bench = Bench::new();
    let path = bench.packed("a.xz", "xz -0 -c base.img");
    let right: Sha256Digest = sha256_of(&path).parse().unwrap();
    let of_the_image: Sha256Digest = bench.digest.parse().unwrap();
    let with = |digest, path: &Path| open_spec(&SourceSpec::file(path, Some(digest)), &bench.cache(), &Silent);
    let error = with(of_the_image, &path).unwrap_err();
    assert!(matches!(error, SourceError::Checksum { .. }), "{error}");
    assert!(error.to_string().contains(&right.to_string()) && error.to_string().contains(&bench.digest));
    bench.assert_cache_is_empty();
    // A damaged download of the right file is told as what a person can act on: not the file that was published.
    let whole = fs::read(&path).unwrap();
    fs::write(bench.path("cut.xz"), &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(with(right, &bench.path("cut.xz")), Err(SourceError::Checksum { .. })));
    bench.assert_cache_is_empty();
    assert_eq!(with(right, &path).unwrap().digest, right);
    // Also when the cache already has what the digest names, the file itself is looked at.
    assert!(matches!(with(right, &bench.path("cut.xz")), Err(SourceError::Checksum { .. })));
    assert!(matches!(with(right, &bench.raw), Err(SourceError::Checksum { .. })), "a raw image is checked, too");
    assert!(with(of_the_image, &bench.raw).is_ok());
}

#[test]
fn a_cached_image_is_used_again_and_one_that_was_touched_is_not_believed() {
    if !need("xz") {
        return;
    }
    let bench = Bench::new();
    let path = bench.packed("a.xz", "xz -0 -c base.img");
    let first = bench.open(&path).unwrap();
    let entry = bench.cache().join("images").join(format!("{}.img", first.digest));
    let inode = || fs::metadata(&entry).unwrap().ino();
    let made = inode();
    bench.open(&path).unwrap();
    assert_eq!(inode(), made, "it was decoded again");
    let writable = || fs::set_permissions(&entry, fs::Permissions::from_mode(0o644)).unwrap();

    // Edited in place, with size and modification time as they were.
    let before = fs::metadata(&entry).unwrap().modified().unwrap();
    writable();
    let file = fs::OpenOptions::new().write(true).open(&entry).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"evil", 5_500_000).unwrap();
    file.set_modified(before).unwrap();
    drop(file);
    assert_eq!(digest_text(&*bench.open(&path).unwrap().image), bench.digest, "an edited cache entry was used");

    // Cut off.
    writable();
    fs::OpenOptions::new().write(true).open(&entry).unwrap().set_len(4096).unwrap();
    assert_eq!(digest_text(&*bench.open(&path).unwrap().image), bench.digest, "a truncated cache entry was used");

    // Replaced by a copy with the same bytes, as a restored backup is: still good, and not decoded again.
    let copy = bench.path("copy");
    fs::copy(&entry, &copy).unwrap();
    fs::rename(&copy, &entry).unwrap();
    let restored = inode();
    assert_eq!(digest_text(&*bench.open(&path).unwrap().image), bench.digest);
    assert_eq!(inode(), restored);

    // Without its marker it was never complete.
    fs::remove_file(entry.with_extension("json")).unwrap();
    writable();
    fs::write(&entry, b"half").unwrap();
    assert_eq!(digest_text(&*bench.open(&path).unwrap().image), bench.digest);
    // A marker that is nonsense is no marker.
    fs::write(entry.with_extension("json"), "{\"version\":1").unwrap();
    assert_eq!(digest_text(&*bench.open(&path).unwrap().image), bench.digest);
}

#[test]
fn the_cache_cleans_up_what_a_killed_run_left() {
    if !need("xz") {
        return;
    }
    let bench = Bench::new();
    let path = bench.packed("a.xz", "xz -0 -c base.img");
    let images = bench.cache().join("images");
    fs::create_dir_all(&images).unwrap();
    fs::write(images.join(".0123.cardsmith-partial"), vec![0; 100_000]).unwrap();
    let opened = bench.open(&path).unwrap();
    assert_eq!(bench.entries(), [format!("{}.img", opened.digest), format!("{}.json", opened.digest)]);
}

#[test]
fn a_raw_image_with_holes_is_read_with_its_holes_and_only_for_reading() {
    let bench = Bench::new();
    let sparse = bench.path("sparse.img");
    let file = fs::File::create(&sparse).unwrap();
    file.set_len(1 << 33).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"here", 5 << 30).unwrap();
    drop(file);
    fs::set_permissions(&sparse, fs::Permissions::from_mode(0o400)).unwrap();
    let (image, format) = open_to_inspect(&sparse, &bench.cache(), &Silent).unwrap();
    assert_eq!(format, Format::Raw);
    let run = image.next_data(ByteOffset(0)).unwrap().unwrap();
    assert!(run.start.0 <= 5 << 30 && run.end().0 > 5 << 30 && run.len.0 <= 1 << 20, "{run:?}");
    assert_eq!(image.next_data(run.end()).unwrap(), None);
    let mut bytes = [0; 4];
    image.read_at(ByteOffset(5 << 30), &mut bytes).unwrap();
    assert_eq!(&bytes, b"here");
}

/// A server on this machine that answers every request with `answer`, and counts them.
fn serve(answer: impl Fn() -> (u16, Vec<u8>) + Send + 'static) -> (String, Arc<std::sync::atomic::AtomicUsize>) {
    let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
    let address = format!("http://{}", server.server_addr());
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = count.clone();
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let (code, body) = answer();
            let _ = request.respond(tiny_http::Response::from_data(body).with_status_code(code));
        }
    });
    (address, count)
}

#[test]
fn a_download_is_checked_before_it_is_decoded_and_fetched_only_once() {
    if !need("xz") {
        return;
    }
    let bench = Bench::new();
    let packed = bench.packed("a.xz", "xz -0 -c base.img");
    let digest: Sha256Digest = sha256_of(&packed).parse().unwrap();
    let body = fs::read(&packed).unwrap();
    let (address, count) = serve(move || (200, body.clone()));
    let url = format!("{address}/images/a.img.xz?x=1");
    let fetch = |digest| {
        let spec = SourceSpec::from_recipe(&url, bench.dir.path(), Some(digest)).unwrap();
        open_spec(&spec, &bench.cache(), &Silent)
    };
    let wrong = fetch(Sha256Digest::of(b"something else")).unwrap_err();
    assert!(matches!(wrong, SourceError::Checksum { .. }), "{wrong}");
    bench.assert_cache_is_empty();
    for _ in 0..2 {
        let opened = fetch(digest).unwrap();
        assert_eq!((opened.name.as_str(), digest_text(&*opened.image)), ("a.img.xz", bench.digest.clone()));
    }
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 2, "one wrong try and one download");
}

#[test]
fn downloads_that_fail_say_why_and_leave_nothing() {
    let bench = Bench::new();
    let digest = Some(Sha256Digest::of(b"x"));
    let (address, _) = serve(|| (404, b"not here".to_vec()));
    let spec = SourceSpec::from_recipe(&format!("{address}/a.xz"), bench.dir.path(), digest).unwrap();
    let error = open_spec(&spec, &bench.cache(), &Silent).unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");

    // A server that promises more than it sends.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = std::io::Read::read(&mut stream, &mut request);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf of it");
    });
    let spec = SourceSpec::from_recipe(&format!("http://{address}/a.xz"), bench.dir.path(), digest).unwrap();
    let error = open_spec(&spec, &bench.cache(), &Silent).unwrap_err();
    assert!(matches!(error, SourceError::Download { .. }), "{error}");
    bench.assert_cache_is_empty();

    let spec = |url: &str, digest| SourceSpec::from_recipe(url, bench.dir.path(), digest);
    assert!(matches!(spec("https://example.org/a.xz", None), Err(SourceError::DigestRequired { .. })));
    for url in
        ["http://example.org/a.xz", "ftp://example.org/a.xz", "file:///etc/passwd", "http://localhost.example.org/"]
    {
        assert!(matches!(spec(url, digest), Err(SourceError::NotHttps { .. })), "{url}");
    }
    assert!(spec("images/a.xz", None).is_ok());
}

#[test]
fn noise_behind_any_magic_never_panics_and_never_becomes_an_image() {
    let bench = Bench::new();
    let magics: [&[u8]; 5] = [b"\xFD7zXZ\0", b"\x1F\x8B\x08", b"\x28\xB5\x2F\xFD", b"PK\x03\x04", b"\x50\x2A\x4D\x18"];
    let mut state = 88172645463325252u64;
    for round in 0..60 {
        let magic = magics[round % magics.len()];
        let mut bytes = magic.to_vec();
        for _ in 0..(round * 40) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.push(state as u8);
        }
        fs::write(bench.path("noise"), &bytes).unwrap();
        assert!(bench.open(&bench.path("noise")).is_err(), "round {round}");
    }
    bench.assert_cache_is_empty();
}

#[test]
fn a_pipe_is_refused_instead_of_waited_for() {
    let bench = Bench::new();
    run(Command::new("mkfifo").arg(bench.path("pipe")));
    assert!(matches!(bench.open(&bench.path("pipe")), Err(SourceError::Open { .. })));
}
