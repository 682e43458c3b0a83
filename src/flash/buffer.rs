//! Memory that a device reads from and writes to directly.

/// What direct input and output asks of memory addresses: a page covers every device that there is.
pub(super) const PAGE: usize = 4096;

/// Zeroed bytes that begin at a page boundary.
///
/// A plain `Vec` a page too long, used from its first page boundary on: its heap block never moves, because nothing
/// here ever grows it. So no unsafe allocation is needed.
pub(super) struct AlignedBuffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// `len` bytes of it from here on; `false` where it was made with fewer.
    pub(super) fn set_len(&mut self, len: usize) -> bool {
        let fits = len <= self.bytes.len().saturating_sub(PAGE);
        if fits {
            self.len = len;
        }
        fits
    }

    /// `len` zeros.
    pub(super) fn zeroed(len: usize) -> AlignedBuffer {
        let bytes = vec![0u8; len.saturating_add(PAGE)];
        let start = bytes.as_ptr().align_offset(PAGE).min(PAGE);
        AlignedBuffer { bytes, start, len }
    }
}

impl std::ops::Deref for AlignedBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..self.start + self.len).unwrap_or_default()
    }
}

impl std::ops::DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.start + self.len).unwrap_or_default()
    }
}

/// Whether a direct transfer of `bytes` at `at` can be made as it is, for a device of this grain.
pub(super) fn is_aligned(at: u64, bytes: &[u8], grain: u64) -> bool {
    at.is_multiple_of(grain) && (bytes.len() as u64).is_multiple_of(grain) && bytes.as_ptr().align_offset(PAGE) == 0
}
