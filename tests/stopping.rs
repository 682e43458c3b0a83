//! The first Ctrl-C while nothing is written yet: the program ends within a second, whatever it waits for, and leaves
//! nothing behind.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::bombs::zstd_zeros;
use crate::support::binary::{Home, names_in};
use crate::support::need;
use crate::support::web_server::{Answer, Authority, WebServer};

/// A server that takes every connection, says nothing, and tells that somebody came.
fn silent() -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, came) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
    let tell = came.clone();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            kept.push(stream);
            tell.store(true, Ordering::SeqCst);
        }
    });
    (port, came)
}

fn recipe(home: &Home, source: &str) -> String {
    let path = home.path("kiosk.toml");
    let text = format!("name = \"kiosk\"\n[image]\nsource = \"{source}\"\nsha256 = \"{}\"\n", "0".repeat(64));
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Waits until `reached`, presses Ctrl-C once, and looks at what comes of it.
#[track_caller]
fn stop(what: &str, home: &Home, command: &mut Command, reached: &dyn Fn() -> bool) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}: it did not get there");
        assert!(child.try_wait().unwrap().is_none(), "{what}: it ended before: {}", said(child).1);
        std::thread::sleep(Duration::from_millis(10));
    }
    // From asking to waiting for an answer.
    std::thread::sleep(Duration::from_millis(150));
    let pressed = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (code, text) = said(child);
    assert!(pressed.elapsed() < Duration::from_secs(1), "{what}: after {:?}: {text}", pressed.elapsed());
    assert_eq!(code, Some(1), "{what}: {text}");
    assert!(text.contains("stopped") && text.contains("nothing was written"), "{what}: {text}");
    assert!(!home.path("card.img").exists(), "{what}");
    assert_eq!(names_in(&home.cache().join("images")), Vec::<String>::new(), "{what}");
    assert_eq!(names_in(&home.path("state/cardsmith")), Vec::<String>::new(), "{what}");
}

fn said(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn came(server: &WebServer) -> bool {
    !server.requests().is_empty()
}

#[test]
fn whatever_a_server_does_not_say_ctrl_c_is_heard() {
    if !need("openssl") {
        return;
    }
    let (home, authority) = (Home::new(), Authority::new());
    let flash = |source: &str| {
        let mut command = home.command(["flash", source, "--to", "card.img"]);
        command.env("SSL_CERT_FILE", authority.certificate());
        command
    };
    let (port, reached) = silent();
    let asked = || reached.swap(false, Ordering::SeqCst);
    let image = |port: u16| recipe(&home, &format!("https://127.0.0.1:{port}/base.img.xz"));
    stop("the TLS handshake", &home, &mut flash(&image(port)), &asked);
    let manifest = format!("https://127.0.0.1:{port}/k.manifest.json");
    stop("the handshake for a manifest", &home, &mut flash(&manifest), &asked);
    let verify = ["verify", &manifest, "card.img"];
    stop("the handshake of verify", &home, home.command(verify).env("SSL_CERT_FILE", authority.certificate()), &asked);

    type Says = fn(&str) -> Answer;
    let answers: [(&str, Says); 4] = [
        ("before the headers", |_| {
            std::thread::sleep(Duration::from_secs(60));
            Answer::status(500)
        }),
        ("in the body", |_| Answer { silent: true, ..Answer::ok(b"some").with("Content-Length", "1000000") }),
        ("between two tries", |_| Answer::status(503)),
        ("behind a redirect", |to| Answer::status(302).with("Location", to)),
    ];
    for (what, answer) in answers {
        let to = format!("https://127.0.0.1:{port}/elsewhere");
        let server = WebServer::tls(&authority, move |_, _| answer(&to));
        stop(what, &home, &mut flash(&image(server.port)), &|| came(&server));
    }

    let mut bucket = flash(&recipe(&home, "s3://images/base.img.xz"));
    bucket.env("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{port}")).env("AWS_REGION", "eu-west-1");
    bucket.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    asked();
    stop("a bucket", &home, &mut bucket, &asked);
    let mut role = flash(&recipe(&home, "s3://images/base.img.xz"));
    role.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://127.0.0.1:{port}/credentials"));
    role.env("AWS_REGION", "eu-west-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    stop("who gives credentials", &home, &mut role, &asked);
}

#[test]
fn ctrl_c_is_heard_while_a_huge_image_is_decoded_or_hashed() {
    let home = Home::new();
    std::fs::write(home.path("bomb.img.zst"), zstd_zeros(64 << 30)).unwrap();
    let flash = |source: &str| home.command(["flash", &recipe(&home, source), "--to", "card.img"]);
    let working = |since: Instant| move || since.elapsed() > Duration::from_millis(600);
    stop("decoding", &home, &mut flash("bomb.img.zst"), &working(Instant::now()));
    std::fs::File::create(home.path("large.img")).unwrap().set_len(64 << 30).unwrap();
    stop("hashing", &home, &mut flash("large.img"), &working(Instant::now()));

    // Commands that have nothing to bring in order end by the signal itself, so that a shell's loop ends with them.
    for command in ["golden", "plan"] {
        let recipe = recipe(&home, "bomb.img.zst");
        let out: &[&str] = if command == "golden" { &["--out", "golden.img"] } else { &[] };
        let mut child = home.command([command, &recipe]).args(out).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(600));
        let pressed = Instant::now();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let status = child.wait().unwrap();
        assert!(pressed.elapsed() < Duration::from_secs(1), "{command}");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{command}: {status:?}");
        assert!(names_in(&home.cache().join("images")).is_empty() && !Path::exists(&home.path("golden.img")));
    }
}
