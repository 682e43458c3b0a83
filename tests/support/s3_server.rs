//! moto's S3 on loopback (scripts/setup installs it), and what stands between it and cardsmith to break things.

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::web_server::{Request, read_request};

/// The key that no message may show.
pub const SECRET: &str = "wJalrXUtnFEMI-not-to-be-printed";

/// A server with one empty bucket, `images`.
pub struct S3Server {
    child: Child,
    port: u16,
}

/// Where scripts/setup puts it.
fn program() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    cache.join("cardsmith-test/s3-server/bin/moto_server")
}

impl S3Server {
    /// A running server, or `None` (loudly) where it is not installed; in CI that fails.
    pub fn start() -> Option<S3Server> {
        let program = program();
        if !program.exists() {
            assert!(std::env::var_os("CI").is_none(), "moto_server is missing: run scripts/setup");
            eprintln!("SKIPPED, NOT TESTED: {} is missing; run scripts/setup", program.display());
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = S3Server { child, port };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "moto_server does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(server.ask("PUT", "/images", b"").0, 200);
        Some(server)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks it something, without any client of S3: status and body.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=test/20200101/us-east-1/s3/aws4_request\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
        (status, answer[end + 4..].to_vec())
    }

    /// An object's bytes.
    pub fn get(&self, key: &str) -> Vec<u8> {
        let (status, body) = self.ask("GET", &format!("/images/{key}"), b"");
        assert_eq!(status, 200, "{key}");
        body
    }

    /// Every key in the bucket.
    pub fn keys(&self) -> Vec<String> {
        elements(&self.ask("GET", "/images", b"").1, "Key")
    }

    /// The uploads that somebody began and neither completed nor threw away.
    pub fn unfinished(&self) -> Vec<String> {
        elements(&self.ask("GET", "/images?uploads", b"").1, "UploadId")
    }

    /// What a command needs to find a server at `url`.
    pub fn environment<'a>(&self, command: &'a mut Command, url: &str) -> &'a mut Command {
        command
            .env("AWS_ENDPOINT_URL_S3", url)
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
    }

    /// The same server behind something that breaks what `fault` says.
    pub fn behind(&self, fault: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, port, fault) = (listener.local_addr().unwrap(), self.port, Arc::new(fault));
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let fault = fault.clone();
                std::thread::spawn(move || pass_on(near, port, fault.as_ref()));
            }
        });
        format!("http://{address}")
    }
}

/// What goes wrong with a request.
pub enum Fault {
    /// It is refused, and never reaches the server.
    Refuse,
    /// Only so many bytes of the answer arrive.
    Cut(usize),
    /// Its body arrives with a flipped bit.
    Flip,
}

fn pass_on(near: TcpStream, port: u16, fault: &dyn Fn(&Request) -> Option<Fault>) {
    let mut reader = BufReader::new(near.try_clone().unwrap());
    let mut near = near;
    let Some(mut request) = read_request(&mut reader) else { return };
    let fault = fault(&request);
    if matches!(fault, Some(Fault::Flip)) {
        request.body[1000] ^= 1;
    }
    // S3 compares every part with its checksum; moto does not, so it is done for it.
    let checksum = request.header("x-amz-checksum-sha256");
    let damaged = checksum.is_some_and(|checksum| checksum != STANDARD.encode(Sha256::digest(&request.body)));
    let refusal = match (&fault, damaged) {
        (Some(Fault::Refuse), _) => Some((403, "AccessDenied")),
        (_, true) => Some((400, "BadDigest")),
        _ => None,
    };
    if let Some((status, code)) = refusal {
        let body = format!("<Error><Code>{code}</Code><Message>refused</Message></Error>");
        let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = near.write_all((head + &body).as_bytes());
        return;
    }
    let mut far = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut head = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", request.method, request.path);
    let headers = request.headers.iter().filter(|(name, _)| name != "connection" && name != "expect");
    headers.for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    far.write_all((head + "\r\n").as_bytes()).and_then(|()| far.write_all(&request.body)).unwrap();
    let mut answer = Vec::new();
    far.read_to_end(&mut answer).unwrap();
    if let Some(Fault::Cut(bytes)) = fault {
        answer.truncate(bytes);
    }
    let _ = near.write_all(&answer);
}

fn elements(xml: &[u8], name: &str) -> Vec<String> {
    let (text, tag) = (String::from_utf8_lossy(xml), format!("<{name}>"));
    let found = text.split(&tag).skip(1).filter_map(|rest| rest.split_once('<'));
    let mut found: Vec<String> = found.map(|(value, _)| value.to_owned()).collect();
    found.sort();
    found
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
