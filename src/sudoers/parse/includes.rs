//! The files that a sudoers file includes: their paths, their order, and which of them sudo trusts.

use std::collections::VecDeque;

use super::super::lex::Kind;
use super::super::policy::{FileId, SourceFile, Span};
use super::super::source::SudoersFiles;
use super::{DEEPEST, MOST_BYTES, MOST_FILES, Parsed, Parser, syntax};
use crate::printable::Printable;

impl<F: SudoersFiles> Parser<'_, F> {
    pub(super) fn include(&mut self, directory: bool) -> Parsed<(), F> {
        let start = self.take()?.span;
        let (written, path) = self.word()?;
        if self.peek()?.kind != Kind::Newline {
            // sudo complains about what stands after the path, and includes it all the same.
            let what = self.complaint();
            while self.peek()?.kind != Kind::Newline {
                if self.take()?.kind == Kind::End {
                    return syntax(what);
                }
            }
            self.taken_to = Some(path);
            self.complain(start, self.skipped(start, self.last), what);
            self.take()?;
        } else {
            self.take()?;
        }
        let Some(path) = self.expand(&written, start) else { return Ok(()) };
        if self.waiting.len() >= DEEPEST {
            self.complain(start, None, "too many levels of includes");
            return Ok(());
        }
        if !directory {
            self.waiting.push(VecDeque::new());
            if !self.open(&path, Some(start))? {
                self.waiting.pop();
            }
            return Ok(());
        }
        let mut paths = self.directory(&path)?;
        while let Some(path) = paths.pop_front() {
            self.waiting.push(std::mem::take(&mut paths));
            if self.open(&path, None)? {
                return Ok(());
            }
            paths = self.waiting.pop().unwrap_or_default();
        }
        Ok(())
    }

    /// The path with quotes taken off, `%h` replaced, and a relative one put beside the file that names it.
    fn expand(&self, written: &[u8], from: Span) -> Option<Vec<u8>> {
        let inner = written.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let written = inner.unwrap_or(written);
        let mut path = Vec::new();
        if !written.starts_with(b"/") {
            let current = self.policy.file(from.file).map(|file| file.path.as_slice()).unwrap_or_default();
            let end = current.iter().rposition(|&c| c == b'/').map_or(0, |at| at + 1);
            path.extend_from_slice(current.get(..end).unwrap_or_default());
        }
        let mut rest = written;
        while let Some((&c, after)) = rest.split_first() {
            if let Some(after) = rest.strip_prefix(b"%h") {
                path.extend_from_slice(&self.host);
                rest = after;
            } else {
                path.push(c);
                rest = after;
            }
        }
        (!written.is_empty()).then_some(path)
    }

    /// The files of an include directory in the order in which sudo reads them.
    fn directory(&mut self, path: &[u8]) -> Result<VecDeque<Vec<u8>>, F::Error> {
        // A missing directory is nothing that sudo would mention.
        let Some(directory) = self.files.directory(path)? else { return Ok(VecDeque::new()) };
        if let Some(why) = distrusted(directory.uid, directory.gid, directory.mode) {
            self.unread(format!("sudo ignores {}: it {why}", Printable::of(path)));
            return Ok(VecDeque::new());
        }
        let mut paths: Vec<Vec<u8>> = directory
            .names
            .iter()
            .filter(|name| !name.contains(&b'.') && !name.ends_with(b"~"))
            .map(|name| [path, b"/", name].concat())
            .collect();
        paths.sort();
        Ok(paths.into())
    }

    /// Opens a file if sudo would, and reads it next. `named_at` is where an include names it; a file that is only met
    /// in a directory may be something else than a regular file.
    pub(super) fn open(&mut self, path: &[u8], named_at: Option<Span>) -> Result<bool, F::Error> {
        let shown = Printable::of(path);
        let Some(file) = self.files.file(path)? else {
            if named_at.is_some() {
                self.unread(format!("sudo cannot read {shown}: it is not there"));
            }
            return Ok(false);
        };
        if !file.regular {
            if named_at.is_some() {
                self.unread(format!("sudo refuses {shown}: it is not a regular file"));
            }
            return Ok(false);
        }
        if let Some(why) = distrusted(file.uid, file.gid, file.mode) {
            self.unread(format!("sudo refuses {shown}: it {why}"));
            return Ok(false);
        }
        self.bytes = self.bytes.saturating_add(file.content.len());
        if self.policy.files.len() >= MOST_FILES || self.bytes > MOST_BYTES {
            self.not_followed(format!(
                "{shown} was not read: more than {MOST_FILES} files or {MOST_BYTES} bytes are included"
            ));
            return Ok(false);
        }
        let id = FileId(self.policy.files.len());
        self.lexer.push(id, &file.content);
        self.policy.files.push(SourceFile { path: path.to_vec(), settled: file.path, content: file.content });
        Ok(true)
    }
}

/// Why sudo would not trust a file or directory (sudo_secure_path(), with uid and gid 0).
fn distrusted(uid: u32, gid: u32, mode: u16) -> Option<String> {
    if uid != 0 {
        Some(format!("is owned by uid {uid}, should be 0"))
    } else if mode & 0o002 != 0 {
        Some("is world writable".to_owned())
    } else if mode & 0o020 != 0 && gid != 0 {
        Some(format!("is group writable and owned by gid {gid}, should be 0"))
    } else {
        None
    }
}
