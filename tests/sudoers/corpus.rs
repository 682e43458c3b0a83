//! The corpus in tests/corpus/sudoers: one text file a set, with the files of an /etc and, where the usual questions are
//! not enough, the questions.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;

use cardsmith::sudoers::{SudoersDirectory, SudoersFile, SudoersFiles};

pub const HOST: &str = "raspberrypi.example.org";
pub const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/:/bin/sh
pi:x:1000:1000::/:/bin/sh
alice:x:1001:1001::/:/bin/sh
bob:x:1002:1002::/:/bin/sh
carol:x:1003:120::/:/bin/sh
ssm-user:x:1004:1004::/:/bin/sh
jürgen:x:1005:1005::/:/bin/sh
mary ann:x:1006:1006::/:/bin/sh
corp\\eve:x:1007:1007::/:/bin/sh
";
pub const GROUP: &str = "root:x:0:
sudo:x:27:alice
www-data:x:33:
admin:x:110:bob
carolgrp:x:120:
größe:x:121:jürgen
pi:x:1000:
alice:x:1001:
bob:x:1002:
ssm-user:x:1004:
";
pub const SHADOW: &str =
    "root:*:1::::::\npi:!:1::::::\nalice:!:1::::::\nbob:!:1::::::\ncarol:!:1::::::\nssm-user:!:1::::::\n";

/// sudo's answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    No,
    Password,
    NoPassword,
}

/// May this user run this command as root?
#[derive(Debug, Clone)]
pub struct Probe {
    pub user: String,
    pub command: String,
    pub arguments: Option<String>,
}

/// A file, directory or link of a set.
#[derive(Debug, Clone)]
pub enum Node {
    File { content: Vec<u8>, mode: u16, uid: u32, gid: u32 },
    Directory { mode: u16 },
    Link { target: String },
}

pub struct Set {
    pub name: String,
    pub nodes: BTreeMap<String, Node>,
    pub probes: Vec<Probe>,
    /// visudo refuses for a reason that sudo does not care about.
    pub only_visudo_minds: bool,
}

pub fn load() -> Vec<Set> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/sudoers");
    let mut paths: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "case"));
    paths.sort();
    paths.iter().map(|path| parse(path)).collect()
}

fn parse(path: &Path) -> Set {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let (about, rest) = text.split_once("\n=== ").expect("a section");
    let mut set =
        Set { name, nodes: BTreeMap::new(), probes: Vec::new(), only_visudo_minds: about.contains("(visudo minds)") };
    for section in rest.split("\n=== ") {
        let (head, body) = section.split_once('\n').unwrap_or((section, ""));
        // Splitting took the last line's end, but for the last section, which has kept it.
        let body = if body.is_empty() || body.ends_with('\n') { body.to_owned() } else { format!("{body}\n") };
        if head == "probes" {
            set.probes.extend(body.lines().map(probe));
            continue;
        }
        if let Some((path, target)) = head.split_once(" -> ") {
            set.nodes.insert(path.to_owned(), Node::Link { target: target.to_owned() });
            continue;
        }
        // A path may hold a blank, its attributes never begin with a slash or a letter of a path.
        let mut words: Vec<&str> = head.split(' ').collect();
        let escaped = words.last() == Some(&"escaped") && words.pop().is_some();
        let mut owner = (0, 0);
        if let Some((uid, gid)) = words.last().and_then(|word| word.split_once(':')) {
            owner = (uid.parse().unwrap(), gid.parse().unwrap());
            words.pop();
        }
        let mut mode = None;
        if let Some(bits) = words.last().filter(|word| word.len() == 4 && word.starts_with('0')) {
            mode = Some(u16::from_str_radix(bits, 8).unwrap());
            words.pop();
        }
        let path = words.join(" ");
        let node = match path.strip_suffix('/') {
            Some(_) => Node::Directory { mode: mode.unwrap_or(0o755) },
            None => {
                let content = if escaped { unescape(&body) } else { digests(&body).into_bytes() };
                Node::File { content, mode: mode.unwrap_or(0o440), uid: owner.0, gid: owner.1 }
            }
        };
        set.nodes.insert(path.trim_end_matches('/').to_owned(), node);
    }
    if set.probes.is_empty() {
        for user in PASSWD.lines().filter_map(|line| line.split(':').next()).filter(|user| *user != "root") {
            for command in ["/usr/bin/id", "/usr/bin/sh"] {
                set.probes.push(Probe { user: user.to_owned(), command: command.to_owned(), arguments: None });
            }
        }
    }
    set
}

fn probe(line: &str) -> Probe {
    let mut words = line.splitn(3, ' ').map(str::to_owned);
    Probe { user: words.next().unwrap(), command: words.next().unwrap(), arguments: words.next() }
}

fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&c, after)) = rest.split_first() {
        rest = after;
        match (c, after) {
            (b'\\', [b'r', tail @ ..]) => (out.push(b'\r'), rest = tail).0,
            (b'\\', [b'0', tail @ ..]) => (out.push(0), rest = tail).0,
            (b'\\', [b'\\', tail @ ..]) => (out.push(b'\\'), rest = tail).0,
            // No line end here.
            (b'\\', [b'c', b'\n', tail @ ..]) => rest = tail,
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let pair = [*high, *low];
                out.push(u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap());
                rest = tail;
            }
            _ => out.push(c),
        }
    }
    out
}

/// Puts this machine's digests of /usr/bin/id in, as coreutils computes them.
fn digests(text: &str) -> String {
    let mut text = text.to_owned();
    for (mark, command) in [
        ("@SHA256@", "sha256sum /usr/bin/id | cut -d' ' -f1"),
        ("@SHA512@", "sha512sum /usr/bin/id | cut -d' ' -f1"),
        ("@SHA224B64@", "sha224sum /usr/bin/id | cut -d' ' -f1 | xxd -r -p | base64"),
    ] {
        if text.contains(mark) {
            let output = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
            text = text.replace(mark, String::from_utf8(output.stdout).unwrap().trim());
        }
    }
    text
}

impl Set {
    /// The path with links resolved, `..` too.
    fn settle(&self, path: &str) -> Option<String> {
        let (mut at, mut links) = (String::new(), 0);
        let mut ahead: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        while let Some(part) = ahead.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => at.truncate(at.rfind('/').unwrap_or(0)),
                part => {
                    let next = format!("{at}/{part}");
                    match self.nodes.get(&next) {
                        Some(Node::Link { target }) => {
                            links += 1;
                            if links > 40 {
                                return None;
                            }
                            if target.starts_with('/') {
                                at.clear();
                            }
                            ahead.extend(target.split('/').rev().map(str::to_owned));
                        }
                        _ => at = next,
                    }
                }
            }
        }
        Some(at)
    }
}

/// The files of the set, and this machine's programs: the oracle's root has the same ones.
impl SudoersFiles for Set {
    type Error = Infallible;

    fn file(&self, path: &[u8]) -> Result<Option<SudoersFile>, Infallible> {
        let text = String::from_utf8_lossy(path).into_owned();
        if ["/bin/", "/sbin/", "/usr/"].iter().any(|top| text.starts_with(top)) {
            let Ok(real) = std::fs::canonicalize(&text) else { return Ok(None) };
            let regular = real.is_file();
            let content = if regular { std::fs::read(&real).unwrap() } else { Vec::new() };
            let path = real.to_string_lossy().into_owned().into_bytes();
            return Ok(Some(SudoersFile { path, regular, content, uid: 0, gid: 0, mode: 0o755 }));
        }
        let Some(settled) = self.settle(&text) else { return Ok(None) };
        Ok(match self.nodes.get(&settled) {
            Some(Node::File { content, mode, uid, gid }) => Some(SudoersFile {
                path: settled.into_bytes(),
                regular: true,
                content: content.clone(),
                uid: *uid,
                gid: *gid,
                mode: *mode,
            }),
            _ => self.directory(path)?.map(|directory| SudoersFile {
                path: settled.into_bytes(),
                regular: false,
                content: Vec::new(),
                uid: directory.uid,
                gid: directory.gid,
                mode: directory.mode,
            }),
        })
    }

    fn directory(&self, path: &[u8]) -> Result<Option<SudoersDirectory>, Infallible> {
        let Some(settled) = self.settle(&String::from_utf8_lossy(path)) else { return Ok(None) };
        let inside = format!("{settled}/");
        let mut names: Vec<Vec<u8>> = self
            .nodes
            .keys()
            .filter_map(|path| path.strip_prefix(&inside))
            .map(|rest| rest.split('/').next().unwrap_or_default().as_bytes().to_vec())
            .collect();
        names.dedup();
        let mode = match self.nodes.get(&settled) {
            Some(Node::Directory { mode }) => *mode,
            Some(_) => return Ok(None),
            None if names.is_empty() => return Ok(None),
            None => 0o755,
        };
        Ok(Some(SudoersDirectory { uid: 0, gid: 0, mode, names }))
    }
}
