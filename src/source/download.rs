//! Fetching a published file from a server that may break off, change its mind or lie.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::thread::sleep;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::error::SourceError;
use crate::digest::Sha256Digest;
use crate::progress::Task;
use crate::units::ByteSize;

/// No published image is larger: cards of 1 TiB exist, their images are packed.
pub(super) const LARGEST_DOWNLOAD: u64 = 1 << 38;

/// How long to wait before each try that comes after one that brought (almost) nothing.
const WAITS: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(2), Duration::from_secs(4)];

/// So much makes a try worth another full round of them: a line that breaks every minute still ends, and a server that
/// hands out single bytes does not hold us for ever.
const WORTHWHILE: u64 = 1 << 20;

/// Whether the address is one that is fetched: https, or a plain http server on this machine (for tests and mirrors
/// behind a local proxy), whose traffic nobody can change on the way.
pub(super) fn is_fetched(url: &str) -> bool {
    // With the colon: `http://localhost.example.org` must not pass.
    let local = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];
    url.starts_with("https://") || local.iter().any(|prefix| url.starts_with(prefix))
}

/// Whether a text is an address, of whatever kind, and not a path.
pub(super) fn is_address(source: &str) -> bool {
    let scheme = source.split_once("://").map(|(scheme, _)| scheme);
    // A single letter is no scheme that anybody fetches from.
    scheme.is_some_and(|s| s.len() > 1 && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)))
}

/// An address as messages may show it: without user, password and query, which can be secrets.
pub(super) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    // The query goes first: it may hold `/` and `@`.
    let (rest, query) = match rest.find(['?', '#']) {
        Some(at) => (rest.get(..at).unwrap_or(rest), "?…"),
        None => (rest, ""),
    };
    let (authority, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
    // The last `@`: a password may hold one as well.
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{host}{path}{query}")
}

/// A file on a server.
pub(super) trait Remote {
    /// For messages.
    fn name(&self) -> String;

    /// Asks for the file from byte `from` on. Where `from` is not 0, only of this very version: another one is either
    /// answered from its beginning or [`Refusal::Changed`].
    fn open(&self, from: u64, version: Option<&str>) -> Result<Answer, Refusal>;
}

/// A server's answer.
pub(super) struct Answer {
    /// The first byte of `body` in the file.
    pub from: u64,
    /// Size of the whole file, where the server says it.
    pub total: Option<u64>,
    /// What tells versions of the file apart for certain. Without it, nothing is resumed.
    pub version: Option<String>,
    /// The bytes.
    pub body: Box<dyn Read>,
}

/// Why a server did not answer with a file.
pub(super) enum Refusal {
    /// It has none.
    NotThere,
    /// It has another version by now.
    Changed,
    /// It may answer later.
    Later(String),
    /// Nobody answers. Where somebody did a moment ago, somebody may again; where nobody ever did, the address is wrong.
    Unreachable(String),
    /// It never will.
    Never(String),
}

/// Where a download goes.
pub(super) trait Sink {
    /// The next bytes.
    fn add(&mut self, part: &[u8]) -> io::Result<()>;
    /// All that came was for nothing.
    fn clear(&mut self) -> io::Result<()>;
}

impl Sink for &File {
    fn add(&mut self, part: &[u8]) -> io::Result<()> {
        self.write_all(part)
    }
    fn clear(&mut self) -> io::Result<()> {
        self.set_len(0)?;
        // Without this the next bytes would be written behind a hole.
        self.rewind()
    }
}

impl Sink for Vec<u8> {
    fn add(&mut self, part: &[u8]) -> io::Result<()> {
        self.extend_from_slice(part);
        Ok(())
    }
    fn clear(&mut self) -> io::Result<()> {
        Vec::clear(self);
        Ok(())
    }
}

/// What came so far.
struct Received {
    done: u64,
    total: Option<u64>,
    version: Option<String>,
    hasher: Sha256,
}

/// How one try ended, when not with the whole file.
enum Broken {
    Again(String),
    Give(SourceError),
}

/// Fetches all of a file, of at most `most` bytes, into `sink`; returns the digest of what came. A connection that breaks
/// is taken up again where it broke, as long as the server has the same version and tries bring something.
///
/// # Errors
/// [`SourceError::Download`] and [`SourceError::NotThere`]. What is in `sink` is of no use then.
pub(super) fn fetch(
    remote: &dyn Remote,
    sink: &mut dyn Sink,
    most: u64,
    task: &mut dyn Task,
) -> Result<Sha256Digest, SourceError> {
    let mut received = Received { done: 0, total: None, version: None, hasher: Sha256::new() };
    let (mut tries, mut restarts) = (0, 0);
    let mut first = true;
    loop {
        let before = received.done;
        // Only the first try may find that the address is wrong.
        let tried = attempt(remote, &mut received, std::mem::take(&mut first), sink, most, task);
        let why = match tried {
            Ok(()) => return Ok(Sha256Digest::from_hasher(received.hasher)),
            Err(Broken::Give(error)) => return Err(error),
            Err(Broken::Again(why)) => why,
        };
        if received.version.is_none() || received.done < before {
            // It cannot be resumed, or was another version: from the beginning, which no progress makes good.
            restarts += 1;
            clear(remote, &mut received, sink)?;
        } else if received.done.saturating_sub(before) >= WORTHWHILE {
            tries = 0;
        }
        // Whichever is worse: tries are forgiven after progress, restarts never.
        let Some(wait) = WAITS.get(tries.max(restarts)) else {
            return Err(failed(remote, format!("{why}, and trying again did not help")));
        };
        tries += 1;
        sleep(*wait);
    }
}

fn attempt(
    remote: &dyn Remote,
    received: &mut Received,
    first: bool,
    sink: &mut dyn Sink,
    most: u64,
    task: &mut dyn Task,
) -> Result<(), Broken> {
    let give = |what: String| Broken::Give(failed(remote, what));
    let answer = match remote.open(received.done, received.version.as_deref()) {
        Ok(answer) => answer,
        Err(Refusal::NotThere) => return Err(Broken::Give(SourceError::NotThere { url: remote.name() })),
        Err(Refusal::Never(what)) => return Err(give(what)),
        Err(Refusal::Unreachable(what)) if first => return Err(give(what)),
        Err(Refusal::Later(what) | Refusal::Unreachable(what)) => return Err(Broken::Again(what)),
        Err(Refusal::Changed) => {
            received.version = None;
            return Err(Broken::Again("it was changed on the server while it was fetched".to_owned()));
        }
    };
    // Another size means another file, whatever the version says.
    let same_size = received.total.is_none() || answer.total == received.total;
    let continues = received.done > 0 && answer.from == received.done && same_size;
    if answer.from != 0 && !continues {
        return Err(give("the server answered with another part of the file than it was asked for".to_owned()));
    }
    if !continues {
        clear(remote, received, sink).map_err(Broken::Give)?;
        task.stage("download", answer.total.map(ByteSize));
    }
    // Also when it goes on: a server that lost its version in between is not resumed a second time.
    (received.version, received.total) = (answer.version, answer.total);
    // Before anything is kept: a disk that is full tells nobody that the server has the wrong file.
    let promised = received.total.unwrap_or(most);
    if promised > most {
        return Err(give(format!("it has {}, more than the {} that are taken", ByteSize(promised), ByteSize(most))));
    }
    let mut body = answer.body;
    let mut buf = vec![0; 1 << 18];
    loop {
        let n = match body.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(Broken::Again(format!("it broke off after {}: {error}", ByteSize(received.done))));
            }
        };
        let part = buf.get(..n).unwrap_or_default();
        // Before it is kept, also where nothing was promised: `most` is the bound then.
        if received.done.saturating_add(n as u64) > promised {
            let what = if received.total.is_some() { "more than it promised" } else { "more than is taken" };
            return Err(give(format!("the server sent {what}, {}", ByteSize(promised))));
        }
        received.hasher.update(part);
        sink.add(part).map_err(|error| give(format!("could not keep what came: {error}; is the disk full?")))?;
        received.done += n as u64;
        task.at(ByteSize(received.done));
    }
    // Some servers and proxies close the connection early, and without an error.
    match received.total {
        Some(total) if total != received.done => {
            Err(Broken::Again(format!("it broke off after {} of {}", ByteSize(received.done), ByteSize(total))))
        }
        _ => Ok(()),
    }
}

fn clear(remote: &dyn Remote, received: &mut Received, sink: &mut dyn Sink) -> Result<(), SourceError> {
    *received = Received { done: 0, total: None, version: None, hasher: Sha256::new() };
    sink.clear().map_err(|error| failed(remote, format!("could not begin anew: {error}")))
}

fn failed(remote: &dyn Remote, what: String) -> SourceError {
    SourceError::Download { url: remote.name(), what }
}

/// What a `Content-Range` says, of https and of S3 alike: `bytes 5-99/100`, the first byte and the size of the file.
pub(super) fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    // A total of `*` is legal (RFC 9110, 14.4), but without it nobody sees where the file ends.
    let total: u64 = total.parse().ok()?;
    (first <= last && last < total).then_some((first, Some(total)))
}
