//! A web server of our own, with or without TLS: a library would not let a test break a connection in the middle of an
//! answer, or lie about its length.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::run;

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `CONNECT`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// With names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first byte that `Range: bytes=N-` asks for.
    pub fn from(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |from| from.parse().unwrap())
    }
}

/// What is answered.
#[derive(Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// The connection breaks after so many bytes of the body.
    pub cut: Option<usize>,
    /// Without Content-Length: the body ends where the connection does.
    pub unframed: bool,
    /// After what is sent nothing follows, and the connection stays.
    pub silent: bool,
}

impl Answer {
    /// All of `body`.
    pub fn ok(body: &[u8]) -> Answer {
        Answer { status: 200, body: body.to_vec(), ..Answer::default() }
    }

    /// A bare status.
    pub fn status(status: u16) -> Answer {
        Answer { status, ..Answer::default() }
    }

    /// What an honest server answers: the rest of the file, if it still has the version that is asked for.
    pub fn ranged(request: &Request, body: &[u8], tag: &str) -> Answer {
        let from = request.from();
        let mut answer = match from > 0 && request.header("if-range") == Some(tag) {
            false => Answer::ok(body),
            true => {
                let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
                let headers = vec![("Content-Range", range)];
                Answer { status: 206, headers, body: body[from..].to_vec(), ..Answer::default() }
            }
        };
        answer.headers.push(("ETag", tag.to_owned()));
        answer
    }

    /// The same, broken off.
    pub fn cut_after(mut self, bytes: usize) -> Answer {
        self.cut = Some(bytes);
        self
    }

    /// The same with one more header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }
}

/// A running server.
pub struct WebServer {
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    tls: bool,
}

type Handler = dyn Fn(&Request, usize) -> Answer + Send + Sync;

impl WebServer {
    /// Plain http on loopback. The handler hears what number the request has, from 0.
    pub fn plain(answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> WebServer {
        WebServer::start(None, Arc::new(answer))
    }

    /// https, with a certificate of `authority`.
    pub fn tls(authority: &Authority, answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> WebServer {
        WebServer::start(Some(authority.server()), Arc::new(answer))
    }

    fn start(tls: Option<Arc<rustls::ServerConfig>>, answer: Arc<Handler>) -> WebServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let server = WebServer { port, requests: requests.clone(), tls: tls.is_some() };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, answer, requests) = (tls.clone(), answer.clone(), requests.clone());
                std::thread::spawn(move || match tls {
                    None => serve(stream, &answer, &requests),
                    Some(config) => {
                        let session = rustls::ServerConnection::new(config).unwrap();
                        serve(rustls::StreamOwned::new(session, stream), &answer, &requests);
                    }
                });
            }
        });
        server
    }

    /// The address of `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", if self.tls { "https" } else { "http" }, self.port)
    }

    /// Everything that was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(stream: impl Read + Write, answer: &Arc<Handler>, requests: &Mutex<Vec<Request>>) {
    let mut stream = BufReader::new(stream);
    let Some(request) = read_request(&mut stream) else { return };
    let number = {
        let mut requests = requests.lock().unwrap();
        requests.push(request.clone());
        requests.len() - 1
    };
    let answer = answer(&request, number);
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    answer.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    if !answer.unframed && !answer.headers.iter().any(|(name, _)| *name == "Content-Length") {
        head += &format!("Content-Length: {}\r\n", answer.body.len());
    }
    let to = stream.get_mut();
    let body = &answer.body[..answer.cut.unwrap_or(answer.body.len()).min(answer.body.len())];
    let _ = to.write_all((head + "\r\n").as_bytes()).and_then(|()| to.write_all(body)).and_then(|()| to.flush());
    if answer.silent {
        std::thread::sleep(std::time::Duration::from_secs(120));
    }
}

/// Reads one request with its body.
pub fn read_request(stream: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut request = Request { method, path, headers: Vec::new(), body: Vec::new() };
    loop {
        line.clear();
        stream.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}

/// A proxy for https that lets everything through, and remembers where to: `CONNECT host:port`.
pub fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let remember = asked.clone();
    std::thread::spawn(move || {
        for mut near in listener.incoming().flatten() {
            let Some(request) = read_request(&mut BufReader::new(near.try_clone().unwrap())) else { continue };
            remember.lock().unwrap().push(format!("{} {}", request.method, request.path));
            let Ok(mut far) = TcpStream::connect(&request.path) else { continue };
            near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut back_from, mut back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut back_from, &mut back_to));
            std::thread::spawn(move || std::io::copy(&mut near, &mut far));
        }
    });
    (address, asked)
}

/// A certificate authority that nobody knows, and a server's certificate for 127.0.0.1.
pub struct Authority {
    dir: tempfile::TempDir,
}

impl Authority {
    /// Made by openssl.
    pub fn new() -> Authority {
        let dir = tempfile::tempdir().unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
        let script = format!(
            "set -e; openssl req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=test-authority
             openssl req {key} -keyout server.key -out server.csr -subj /CN=server
             echo 'subjectAltName=IP:127.0.0.1,DNS:localhost' >ext
             openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -out server.pem -days 2 -extfile ext"
        );
        run(Command::new("sh").args(["-c", &script]).current_dir(dir.path()));
        Authority { dir }
    }

    /// What `SSL_CERT_FILE` names.
    pub fn certificate(&self) -> PathBuf {
        self.file("ca.pem")
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::join(self.dir.path(), name)
    }

    fn server(&self) -> Arc<rustls::ServerConfig> {
        let chain = vec![CertificateDer::from_pem_file(self.file("server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.file("server.key")).unwrap();
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(ring).with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap())
    }
}
