//! As much of HTTP/1.1 as AWS SDKs speak, with the means to answer badly: a library would not let a test close the
//! connection in the middle of an answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// One request.
pub struct Request {
    headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// One answer.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub kind: &'static str,
    /// The body.
    pub body: String,
}

/// A connection, kept alive between requests.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub fn new(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        Ok(Connection { reader: BufReader::new(stream) })
    }

    /// The next request; `None` when the peer is gone or speaks something else.
    pub fn next_request(&mut self) -> Option<Request> {
        let mut line = String::new();
        if self.reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.reader.read_line(&mut line).ok()?;
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            let (key, value) = text.split_once(':')?;
            headers.push((key.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Request { headers, body: Vec::new() };
        if request.header("expect").is_some() {
            self.reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        let length: usize = request.header("content-length").unwrap_or("0").parse().ok()?;
        if length > 1 << 20 {
            return None;
        }
        request.body.resize(length, 0);
        self.reader.read_exact(&mut request.body).ok()?;
        Some(request)
    }

    fn head(answer: &Answer) -> String {
        format!(
            "HTTP/1.1 {} X\r\nContent-Type: {}\r\nContent-Length: {}\r\nx-amzn-RequestId: fake\r\n\r\n",
            answer.status,
            answer.kind,
            answer.body.len()
        )
    }

    pub fn send(&mut self, answer: &Answer) -> io::Result<()> {
        let text = Connection::head(answer) + &answer.body;
        self.reader.get_mut().write_all(text.as_bytes())
    }

    /// Sends the head and half of the body; the connection is closed when this is dropped.
    pub fn send_half(&mut self, answer: &Answer) {
        let half = answer.body.len() / 2;
        let text = Connection::head(answer) + &answer.body[..half];
        let _ = self.reader.get_mut().write_all(text.as_bytes());
    }
}
