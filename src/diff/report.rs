//! One difference, for people and for programs.

use std::fmt;

use serde::Serialize;

use crate::digest::Sha256Digest;
use crate::fs::ImagePath;
use crate::fs::node::{Node, NodeKind};
use crate::printable::Printable;
use crate::units::ByteSize;

/// What of a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// What kind of thing it is, or which device.
    Kind,
    /// Permission bits.
    Mode,
    /// User or group.
    Owner,
    /// Size or content.
    Content,
    /// Target of a symlink.
    Target,
    /// Extended attributes.
    Xattrs,
    /// What `chattr` sets.
    Flags,
    /// How many names the file has.
    Links,
    /// Modification time.
    Modified,
}

/// One side of a difference: a file as it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What is known without reading it.
    pub node: Node,
    /// Digest of a regular file's content.
    pub sha256: Option<Sha256Digest>,
}

/// One path that is not the same in both images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// "root" or "boot".
    pub volume: &'static str,
    /// Where.
    pub path: ImagePath,
    /// In the first image; `None` where nothing is there.
    pub before: Option<Seen>,
    /// In the second image.
    pub after: Option<Seen>,
    /// What differs, where both have it.
    pub changed: Vec<Aspect>,
}

impl Difference {
    /// `added`, `removed` or `changed`.
    pub fn change(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        }
    }

    /// Everything about it in one line, without volume and path.
    pub fn summary(&self) -> String {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                let one = |aspect: &Aspect| aspect_line(*aspect, before, after);
                self.changed.iter().map(one).collect::<Vec<_>>().join("; ")
            }
            (Some(seen), None) | (None, Some(seen)) => seen.to_string(),
            // Nobody makes such a one, but a text has to come.
            (None, None) => String::new(),
        }
    }
}

/// `regular file 0644 0:0, 12 B, sha256 0123456789ab…`
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", kind(&self.node), mode(&self.node), owner(&self.node))?;
        // The size of anything else is its file system's affair.
        if self.node.kind == NodeKind::File {
            write!(f, ", {}", content(self))?;
        }
        if let Some(target) = &self.node.target {
            write!(f, " to {}", Printable::of(target))?;
        }
        if self.node.flags != 0 {
            write!(f, ", flags {:#x}", self.node.flags)?;
        }
        match self.node.xattrs.is_empty() {
            true => Ok(()),
            false => write!(f, ", {}", xattrs(&self.node)),
        }
    }
}

impl Serialize for Difference {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        // By hand: programs rely on these names, so they must not follow our own structures.
        serde_json::json!({
            "volume": self.volume,
            "path": self.path,
            "change": self.change(),
            "changed": self.changed,
            "before": self.before.as_ref().map(fields),
            "after": self.after.as_ref().map(fields),
        })
        .serialize(s)
    }
}

fn fields(seen: &Seen) -> serde_json::Value {
    let node = &seen.node;
    let xattrs: serde_json::Map<_, _> =
        node.xattrs.iter().map(|(name, value)| (name.clone(), shown(value).into())).collect();
    serde_json::json!({
        "kind": node.kind,
        "mode": mode(node),
        "uid": node.attributes.uid,
        "gid": node.attributes.gid,
        "size": (node.kind == NodeKind::File).then_some(node.size),
        "sha256": seen.sha256,
        "target": node.target.as_deref().map(shown_text),
        "device": node.device.map(|(major, minor)| format!("{major}:{minor}")),
        "links": node.links,
        "flags": node.flags,
        "modified": node.modified.0,
        "xattrs": xattrs,
    })
}

fn aspect_line(aspect: Aspect, before: &Seen, after: &Seen) -> String {
    let pair = |what: &str, of: &dyn Fn(&Seen) -> String| format!("{what} {} → {}", of(before), of(after));
    match aspect {
        Aspect::Kind => pair("kind", &|seen| kind(&seen.node)),
        Aspect::Mode => pair("mode", &|seen| mode(&seen.node)),
        Aspect::Owner => pair("owner", &|seen| owner(&seen.node)),
        Aspect::Content => pair("content", &content),
        Aspect::Target => pair("target", &|seen| seen.node.target.as_deref().map(shown_text).unwrap_or_default()),
        Aspect::Xattrs => pair("attributes", &|seen| xattrs(&seen.node)),
        Aspect::Flags => pair("flags", &|seen| format!("{:#x}", seen.node.flags)),
        Aspect::Links => pair("links", &|seen| seen.node.links.to_string()),
        Aspect::Modified => pair("modified", &|seen| time(seen.node.modified)),
    }
}

fn kind(node: &Node) -> String {
    let word = match node.kind {
        NodeKind::File => "file",
        NodeKind::Directory => "directory",
        NodeKind::Symlink => "link",
        NodeKind::Fifo => "fifo",
        NodeKind::Socket => "socket",
        NodeKind::CharacterDevice => "character device",
        NodeKind::BlockDevice => "block device",
        NodeKind::Unknown => "unknown",
    };
    node.device.map_or_else(|| word.to_owned(), |(major, minor)| format!("{word} {major}:{minor}"))
}

fn mode(node: &Node) -> String {
    format!("{:04o}", node.attributes.mode)
}

fn owner(node: &Node) -> String {
    format!("{}:{}", node.attributes.uid, node.attributes.gid)
}

fn content(seen: &Seen) -> String {
    // Enough to tell files apart at a glance. JSON has all digits.
    let digest = seen.sha256.map(|digest| digest.to_string().chars().take(12).collect::<String>());
    let digest = digest.map(|short| format!(" sha256 {short}…")).unwrap_or_default();
    format!("{}{digest}", ByteSize(seen.node.size))
}

fn xattrs(node: &Node) -> String {
    match node.xattrs.is_empty() {
        true => "none".to_owned(),
        false => {
            let one = |(name, value): (&String, &Vec<u8>)| format!("{}={}", Printable::of(name), shown(value));
            node.xattrs.iter().map(one).collect::<Vec<_>>().join(" ")
        }
    }
}

/// A short value in hex; a long one by digest.
fn shown(value: &[u8]) -> String {
    const SHORT: usize = 64;
    match value.len() {
        0..=SHORT => format!("0x{}", value.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        _ => format!("sha256:{}", Sha256Digest::of(value)),
    }
}

fn shown_text(text: &[u8]) -> String {
    Printable::of(text).to_string()
}

fn time((seconds, nanoseconds): (i64, u32)) -> String {
    let at = i32::try_from(nanoseconds).ok().and_then(|nanos| jiff::Timestamp::new(seconds, nanos).ok());
    // A time that no calendar has is told as its number.
    at.map_or_else(|| seconds.to_string(), |at| at.to_string())
}
