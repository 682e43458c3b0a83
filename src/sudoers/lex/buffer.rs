//! The text of one file on its way through the scanner, and where each byte stands in the file.

use super::super::policy::{FileId, Span};

/// A file as the scanner sees it: lines cut at a NUL, and a newline at the very end.
pub(super) struct Buffer {
    pub(super) file: FileId,
    text: Vec<u8>,
    // Where a line of `text` begins, and where the same line begins in the file.
    lines: Vec<(usize, usize)>,
    // Length of the file.
    size: usize,
    pub(super) at: usize,
    pub(super) line: usize,
    pub(super) starts_line: bool,
}

impl Buffer {
    pub(super) fn new(file: FileId, content: &[u8]) -> Buffer {
        let (mut text, mut lines, mut offset) = (Vec::with_capacity(content.len() + 1), Vec::new(), 0);
        for line in content.split_inclusive(|&c| c == b'\n') {
            lines.push((text.len(), offset));
            offset += line.len();
            let kept = line.split(|&c| c == 0).next().unwrap_or_default();
            text.extend_from_slice(kept);
            if text.last() != Some(&b'\n') || kept.is_empty() {
                text.push(b'\n');
            }
        }
        Buffer { file, text, lines, size: content.len(), at: 0, line: 1, starts_line: true }
    }

    pub(super) fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The place in the file of a place in `text`.
    fn in_file(&self, at: usize) -> usize {
        let index = self.lines.partition_point(|(start, _)| *start <= at).saturating_sub(1);
        self.lines.get(index).map_or(0, |(start, offset)| (offset + at.saturating_sub(*start)).min(self.size))
    }

    pub(super) fn span(&self, start: usize, end: usize, line: usize) -> Span {
        // The last byte of a token, and one: the end itself may already belong to the next line.
        let end = if end > start { (self.in_file(end - 1) + 1).min(self.size) } else { self.in_file(end) };
        Span { file: self.file, start: self.in_file(start), end, line }
    }
}
