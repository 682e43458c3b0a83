//! Images that come from servers and buckets, and golden images that go there: from honest servers, from those that
//! break off, and from those that lie.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cardsmith::digest::Sha256Digest;
use cardsmith::image::digest_of;
use cardsmith::progress::Silent;
use cardsmith::source::open_spec;
use cardsmith::source::{OpenedSource, SourceError, SourceSpec};

use crate::golden::ACCEPT;
use crate::support::binary::{Home, Run, names_in};
use crate::support::oracle::sha256_hex;
use crate::support::pi_image::PiImage;
use crate::support::s3_server::{Fault, S3Server, SECRET};
use crate::support::web_server::{Answer, Authority, Request, WebServer, proxy};
use crate::support::{need, need_builder, run};

/// What a card's image looks like to a server: bytes.
fn body(seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = vec![0u8; 5_000_003];
    for chunk in bytes[4096..].chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
    bytes
}

fn fetch(server: &WebServer, expected: &[u8], cache: &Path) -> Result<OpenedSource, SourceError> {
    let url = server.url("/a.img");
    open_spec(&SourceSpec::from_recipe(&url, cache, Some(Sha256Digest::of(expected)))?, cache, &Silent)
}

#[track_caller]
fn assert_empty(cache: &Path) {
    assert_eq!(names_in(&cache.join("images")), Vec::<String>::new());
}

#[test]
fn a_download_goes_on_where_the_connection_broke() {
    let (cache, bytes) = (tempfile::tempdir().unwrap(), body(7));
    let served = bytes.clone();
    let server = WebServer::plain(move |request, number| match number {
        0..3 => Answer::ranged(request, &served, "\"v1\"").cut_after(1_300_000),
        _ => Answer::ranged(request, &served, "\"v1\""),
    });
    let opened = fetch(&server, &bytes, cache.path()).unwrap();
    assert_eq!(digest_of(&*opened.image, &mut |_| {}).unwrap(), Sha256Digest::of(&bytes));
    let from: Vec<usize> = server.requests().iter().map(Request::from).collect();
    assert_eq!(from, [0, 1_300_000, 2_600_000, 3_900_000], "nothing is fetched twice");
    assert!(server.requests()[1..].iter().all(|request| request.header("if-range") == Some("\"v1\"")));
    // And from then on it is in the cache.
    fetch(&server, &bytes, cache.path()).unwrap();
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_file_that_changes_while_it_is_fetched_never_becomes_a_mixture() {
    let (old, new) = (body(7), body(8));
    let served = (old.clone(), new.clone());
    let server = WebServer::plain(move |request, number| match number % 2 {
        0 => Answer::ranged(request, &served.0, "\"old\"").cut_after(2_000_000),
        _ => Answer::ranged(request, &served.1, "\"new\""),
    });
    let cache = tempfile::tempdir().unwrap();
    let wrong = fetch(&server, &old, cache.path()).unwrap_err();
    assert!(matches!(wrong, SourceError::Checksum { .. }), "{wrong}");
    assert_empty(cache.path());
    let opened = fetch(&server, &new, cache.path()).unwrap();
    assert_eq!(digest_of(&*opened.image, &mut |_| {}).unwrap(), Sha256Digest::of(&new));
}

#[test]
fn a_server_without_ranges_is_asked_again_from_the_beginning_but_not_for_ever() {
    let (cache, bytes) = (tempfile::tempdir().unwrap(), body(9));
    let served = bytes.clone();
    let server = WebServer::plain(move |_, number| match number {
        0 => Answer::ok(&served).cut_after(3_000_000),
        _ => Answer::ok(&served),
    });
    fetch(&server, &bytes, cache.path()).unwrap();
    assert_eq!(server.requests().len(), 2);

    let cache = tempfile::tempdir().unwrap();
    let served = bytes.clone();
    let server = WebServer::plain(move |_, _| Answer::ok(&served).cut_after(3_000_000));
    let error = fetch(&server, &bytes, cache.path()).unwrap_err();
    assert!(matches!(error, SourceError::Download { .. }), "{error}");
    assert!(server.requests().len() < 10, "{}", server.requests().len());
    assert_empty(cache.path());
}

#[test]
fn a_lying_server_is_found_out_and_leaves_nothing() {
    let bytes = body(3);
    type Lie = fn(&Request, &[u8]) -> Answer;
    let lies: [(&str, &str, Lie); 5] = [
        ("another part", "another part of the file", |request, bytes| match request.from() {
            0 => Answer::ranged(request, bytes, "\"v\"").cut_after(2_000_000),
            _ => Answer { status: 206, body: bytes[5..].to_vec(), ..Answer::default() }
                .with("Content-Range", format!("bytes 5-{}/{}", bytes.len() - 1, bytes.len()))
                .with("ETag", "\"v\""),
        }),
        ("no part named", "which part of the file", |request, bytes| match request.from() {
            0 => Answer::ranged(request, bytes, "\"v\"").cut_after(2_000_000),
            _ => Answer { status: 206, body: bytes[5..].to_vec(), ..Answer::default() },
        }),
        ("more than promised", "more than it promised", |request, bytes| match request.from() {
            0 => Answer::ranged(request, bytes, "\"v\"").cut_after(2_000_000),
            from => Answer { status: 206, body: bytes.to_vec(), unframed: true, ..Answer::default() }
                .with("Content-Range", format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()))
                .with("ETag", "\"v\""),
        }),
        ("larger than anything", "more than the", |_, _| {
            Answer::ok(b"x").with("Content-Length", (1u64 << 50).to_string())
        }),
        ("an answer that is no file", "204", |_, _| Answer::status(204)),
    ];
    for (name, message, lie) in lies {
        let (cache, served) = (tempfile::tempdir().unwrap(), bytes.clone());
        let server = WebServer::plain(move |request, _| lie(request, &served));
        let error = fetch(&server, &bytes, cache.path()).unwrap_err();
        assert!(matches!(error, SourceError::Download { .. }), "{name}: {error}");
        assert!(error.to_string().contains(message), "{name}: {error}");
        assert_empty(cache.path());
    }
}

/// `verify` asks for a manifest first, which is what these are about.
fn verify(home: &Home, url: &str, environment: &[(&str, &Path)]) -> Run {
    let mut command = home.command(["verify", url, "card.img"]);
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    finished(&mut command)
}

fn finished(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

#[test]
fn a_manifest_comes_only_over_https_from_a_server_that_is_known() {
    if !need("openssl") {
        return;
    }
    let (home, authority, other) = (Home::new(), Authority::new(), Authority::new());
    let server = WebServer::tls(&authority, |request, _| match request.path.as_str() {
        "/away.json" => Answer::status(302).with("Location", "http://127.0.0.1:1/plain.json?token=hush"),
        "/large.json" => Answer::ok(b"{}").with("Content-Length", (65u64 << 20).to_string()),
        "/none.json" => Answer::status(404),
        "/forbidden.json" => Answer::status(403),
        _ => Answer::ok(b"not a manifest"),
    });
    let known = authority.certificate();
    let trusting: [(&str, &Path); 1] = [("SSL_CERT_FILE", &known)];
    let url = server.url("/k.json").replace("://", "://me:hush@") + "?token=hush";
    // The system's certificates do not know it, another authority's neither; ours does.
    verify(&home, &url, &[]).fails_with(1).says("SSL_CERT_FILE").never_says("hush");
    verify(&home, &url, &[("SSL_CERT_FILE", &other.certificate())]).fails_with(1).says("SSL_CERT_FILE");
    verify(&home, &url, &[("SSL_CERT_FILE", &home.path("missing.pem"))]).fails_with(1).says("SSL_CERT_FILE is set");
    verify(&home, &url, &trusting).fails_with(1).says("is not a manifest").never_says("hush");
    for (path, message) in [
        ("/away.json", "leads away from https"),
        ("/large.json", "more than the"),
        ("/none.json", "404"),
        ("/forbidden.json", "403"),
    ] {
        verify(&home, &server.url(path), &trusting).fails_with(1).says(message).never_says("hush");
    }
    // Plain http has nothing to check a manifest against, also on this machine.
    let plain = WebServer::plain(|_, _| Answer::ok(b"{}"));
    verify(&home, &plain.url("/k.json"), &[]).fails_with(1).says("not an https://");
    assert!(plain.requests().is_empty());
    verify(&home, "http://me:hush@example.org/k.json", &[]).fails_with(2).says("not an https://").never_says("hush");
    let flash = |url: &str| home.run(["flash", url, "--to", "card.img"]);
    flash("ftp://example.org/k.manifest.json").fails_with(2).says("nothing was written");
    flash("https://example.org/kiosk.toml").fails_with(2).says("not the address of a manifest");

    // Through a proxy, unless the host is excepted.
    let (address, asked) = proxy();
    let through: [(&str, &Path); 2] = [trusting[0], ("https_proxy", Path::new(&address))];
    verify(&home, &url, &through).fails_with(1).says("is not a manifest");
    let host = format!("CONNECT 127.0.0.1:{}", server.port);
    assert_eq!(*asked.lock().unwrap(), [host]);
    let past: [(&str, &Path); 3] = [through[0], through[1], ("no_proxy", Path::new("127.0.0.1"))];
    verify(&home, &url, &past).fails_with(1).says("is not a manifest");
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert!(!home.path("card.img").exists());
}

/// A golden image of a fresh base image, in `out` beside it.
fn made() -> PiImage {
    let image = PiImage::fresh().build();
    std::fs::create_dir(image.beside("out")).unwrap();
    let out = image.beside("out/kiosk.img.zst");
    Home::new().run(["golden", path(&image.recipe(ACCEPT)), "--out", path(&out)]).succeeds();
    image
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_ci_left_on_a_web_server_is_flashed_and_fetched_once() {
    if !need_builder() {
        return;
    }
    let (made, authority) = (made(), Authority::new());
    let (dir, lying) = (made.beside("out"), Arc::new(AtomicBool::new(true)));
    let lies = lying.clone();
    let server = WebServer::tls(&authority, move |request, _| {
        let name = request.path.strip_prefix("/builds/7/").unwrap_or("none");
        let Ok(mut bytes) = std::fs::read(dir.join(name)) else { return Answer::status(404) };
        if name.ends_with(".zst") && lies.load(Ordering::SeqCst) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        Answer::ok(&bytes)
    });
    let home = Home::new();
    let card = home.path("card.img");
    let flash = || {
        let url = server.url("/builds/7/kiosk.manifest.json");
        let mut command = home.command(["flash", &url, "--to", path(&card), "--overwrite"]);
        finished(command.env("SSL_CERT_FILE", authority.certificate()))
    };
    // An image that is not the one of the manifest: no card, nothing kept.
    flash().fails_with(1).says("SHA-256");
    assert!(!card.exists());
    assert_empty(&home.cache());
    lying.store(false, Ordering::SeqCst);
    flash().succeeds().says("is decoded while cards are written");
    flash().succeeds().never_says("is decoded while");
    let asked = |ending: &str| server.requests().iter().filter(|request| request.path.ends_with(ending)).count();
    assert_eq!((asked(".manifest.json"), asked(".img.zst")), (3, 2), "the third run has it in the cache");
    let url = server.url("/builds/7/kiosk.manifest.json");
    let mut verify = home.command(["verify", &url, path(&card)]);
    finished(verify.env("SSL_CERT_FILE", authority.certificate())).succeeds();

    // Only what a key signed, whose signature lies beside the manifest on the server.
    let manifest = made.beside("out/kiosk.manifest.json");
    if need("ssh-keygen") {
        let key = home.path("release-key");
        crate::support::run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        let public = home.path("release-key.pub");
        let signed = |command: &mut Command| {
            finished(command.arg("--only-signed-by").arg(&public).env("SSL_CERT_FILE", authority.certificate()))
        };
        let verify = || signed(&mut home.command(["verify", &url, path(&card)]));
        let other = home.path("other.img");
        let flash = || signed(&mut home.command(["flash", &url, "--to", path(&other)]));
        verify().fails_with(1).says("is not signed");
        flash().fails_with(1).says("is not signed");
        assert!(!other.exists());
        let mut sign = Command::new("ssh-keygen");
        crate::support::run(sign.args(["-q", "-Y", "sign", "-n", "cardsmith-manifest", "-f"]).arg(&key).arg(&manifest));
        verify().succeeds();
        flash().succeeds();
        // Signed, and altered afterwards on its way.
        let text = std::fs::read_to_string(&manifest).unwrap();
        std::fs::write(&manifest, text.replacen('\n', "\n ", 1)).unwrap();
        verify().fails_with(1).says("does not hold");
        std::fs::write(&manifest, text).unwrap();
    }

    // A manifest that names a file elsewhere.
    let text = std::fs::read_to_string(&manifest).unwrap();
    let before = server.requests().len();
    for elsewhere in ["../kiosk.img.zst", "/etc/passwd", "https://evil.example.org/kiosk.img.zst", "..\\\\k.img.zst"] {
        std::fs::write(&manifest, text.replace("\"kiosk.img.zst\"", &format!("\"{elsewhere}\""))).unwrap();
        flash().fails_with(1);
    }
    assert_eq!(server.requests().len(), before + 4, "only the manifests were asked for");
}

#[test]
fn a_golden_image_goes_to_a_bucket_and_from_there_to_a_card() {
    if !need_builder() {
        return;
    }
    let Some(server) = S3Server::start() else { return };
    let (image, home) = (PiImage::fresh().build(), Home::new());
    let base = std::fs::read(image.path()).unwrap();
    assert_eq!(server.ask("PUT", "/images/base.img", &base).0, 200);
    let recipe = image.beside("remote.toml");
    let source = format!("source = \"s3://images/base.img\"\nsha256 = \"{}\"", image.digest());
    std::fs::write(&recipe, format!("name = \"kiosk\"\n\n[image]\n{source}\n\n{ACCEPT}")).unwrap();
    let run = |args: &[&str]| {
        let run = finished(server.environment(&mut home.command(args), &server.url()));
        run.never_says(SECRET);
        run
    };
    // Raw: several parts.
    let golden = ["golden", path(&recipe), "--out", "s3://images/fleet/kiosk.img"];
    run(&golden).succeeds();
    let names = ["base.img", "fleet/kiosk.bmap", "fleet/kiosk.img", "fleet/kiosk.manifest.json", "fleet/kiosk.sha256"];
    assert_eq!(server.keys(), names);
    assert_eq!(server.unfinished(), Vec::<String>::new());
    let sum = String::from_utf8(server.get("fleet/kiosk.sha256")).unwrap();
    assert_eq!(sum, format!("{}  kiosk.img\n", sha256_hex(&server.get("fleet/kiosk.img"))));
    // The same bytes as in files.
    let local = image.beside("kiosk.img");
    run(&["golden", path(&recipe), "--out", path(&local)]).succeeds();
    for name in ["kiosk.img", "kiosk.bmap", "kiosk.manifest.json"] {
        assert!(std::fs::read(image.beside(name)).unwrap() == server.get(&format!("fleet/{name}")), "{name}");
    }
    run(&golden).fails_with(2).says("--overwrite");
    let again: Vec<&str> = golden.into_iter().chain(["--overwrite"]).collect();
    run(&again).succeeds();

    let card = home.path("card.img");
    run(&["flash", "s3://images/fleet/kiosk.manifest.json", "--to", path(&card)]).succeeds();
    run(&["verify", "s3://images/fleet/kiosk.manifest.json", path(&card)]).succeeds();
    run(&["flash", "s3://images/fleet/other.manifest.json", "--to", "b.img"]).fails_with(1).says("404");
    run(&["golden", path(&recipe), "--out", "s3://no-such-bucket/k.img"]).fails_with(1).says("NoSuchBucket");
}

#[test]
fn a_failed_upload_leaves_no_object_and_no_parts() {
    if !need_builder() {
        return;
    }
    let Some(server) = S3Server::start() else { return };
    let (image, home) = (PiImage::fresh().build(), Home::new());
    let recipe = image.recipe(ACCEPT);
    type Faults = fn(&Request) -> Option<Fault>;
    let faults: [(&str, Faults); 5] = [
        ("no right to write", |request| (request.method == "POST").then_some(Fault::Refuse)),
        ("a part is refused", |request| request.path.contains("partNumber=1").then_some(Fault::Refuse)),
        ("a part is damaged on the way", |request| request.path.contains("partNumber=1").then_some(Fault::Flip)),
        ("it cannot be completed", |request| {
            (request.method == "POST" && request.path.contains("uploadId")).then_some(Fault::Refuse)
        }),
        ("the manifest is refused", |request| {
            (request.method == "PUT" && request.path.contains("manifest")).then_some(Fault::Refuse)
        }),
    ];
    for (name, fault) in faults {
        let url = server.behind(fault);
        let mut command = home.command(["golden", path(&recipe), "--out", "s3://images/kiosk.img.zst"]);
        let run = finished(server.environment(&mut command, &url)).fails_with(1);
        run.says("could not upload s3://images/kiosk.").never_says(SECRET);
        assert_eq!(server.keys(), Vec::<String>::new(), "{name}: {}", run.err);
        assert_eq!(server.unfinished(), Vec::<String>::new(), "{name}: {}", run.err);
    }
}

#[test]
fn an_upload_that_is_stopped_throws_its_parts_away() {
    if !need_builder() {
        return;
    }
    let Some(server) = S3Server::start() else { return };
    let (image, home) = (PiImage::fresh().build(), Home::new());
    let (send, receive) = std::sync::mpsc::channel();
    let (go_on, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let url = server.behind(move |request| {
        if request.path.contains("partNumber=2") {
            send.send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
        }
        None
    });
    let mut command = home.command(["golden", path(&image.recipe(ACCEPT)), "--out", "s3://images/kiosk.img"]);
    let mut child = server.environment(&mut command, &url).stderr(Stdio::piped()).spawn().unwrap();
    receive.recv().unwrap();
    assert_eq!(server.unfinished().len(), 1, "it is under way");
    run(Command::new("kill").args(["-TERM", &child.id().to_string()]));
    std::thread::sleep(std::time::Duration::from_millis(100));
    go_on.send(()).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("stopped; nothing was left there"), "{said}");
    assert_eq!((server.keys(), server.unfinished()), (Vec::<String>::new(), Vec::<String>::new()));
}

#[test]
fn an_object_that_breaks_off_is_taken_up_again_and_one_that_always_does_is_an_error() {
    let Some(server) = S3Server::start() else { return };
    let (home, bytes) = (Home::new(), body(5));
    assert_eq!(server.ask("PUT", "/images/base.img", &bytes).0, 200);
    let recipe = home.path("recipe.toml");
    let source = format!("source = \"s3://images/base.img\"\nsha256 = \"{}\"", Sha256Digest::of(&bytes));
    std::fs::write(&recipe, format!("name = \"kiosk\"\n\n[image]\n{source}\n")).unwrap();
    let plan = |url: &str| {
        let run = finished(server.environment(&mut home.command(["plan", path(&recipe)]), url)).fails_with(1);
        run.never_says(SECRET);
        run
    };
    let cut = |request: &Request| {
        (request.path.contains("base.img") && request.method == "GET").then_some(Fault::Cut(900_000))
    };
    plan(&server.behind(cut)).says("could not download s3://images/base.img");
    assert_empty(&home.cache());
    let once = AtomicBool::new(true);
    let url = server.behind(move |request| cut(request).filter(|_| once.swap(false, Ordering::SeqCst)));
    // It came whole, so that what is wrong now is what it is: no image of a card.
    plan(&url).says("partition");
    assert_eq!(names_in(&home.cache().join("images")).len(), 2);
}
