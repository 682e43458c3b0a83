//! What files of the root file system hold. Rules read a file up to a limit, and what is beyond is noted; a few look
//! through it from beginning to end.

use super::error::{AuditError, absent, shown};
use super::reader::AuditImage;
use crate::image::ReadAt;
use crate::units::ByteSize;

/// So much of one file is read; what the rules look at is far smaller. A larger one is noted as unread.
pub(super) const READ_LIMIT: u64 = 8 << 20;

impl AuditImage {
    /// A file's content, symlinks followed; `None` where no regular file is there. At most 8 MiB of it.
    ///
    /// # Errors
    /// Damage.
    pub fn bytes(&self, path: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, AuditError> {
        self.whole(path.as_ref())
    }

    /// [`AuditImage::bytes`] as text, lossily: to look for words in, never to take a name from.
    ///
    /// # Errors
    /// Damage.
    pub fn text(&self, path: impl AsRef<[u8]>) -> Result<Option<String>, AuditError> {
        Ok(self.bytes(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The first `most` bytes of a regular file; nothing where there is none.
    ///
    /// # Errors
    /// Damage.
    pub fn beginning(&self, path: &[u8], most: u64) -> Result<Vec<u8>, AuditError> {
        Ok(self.up_to(path, most)?.unwrap_or_default())
    }

    /// The beginning of a file that may be longer than what is read of one, which is noted then.
    pub(super) fn whole(&self, path: &[u8]) -> Result<Option<Vec<u8>>, AuditError> {
        let content = self.up_to(path, READ_LIMIT + 1)?;
        Ok(content.map(|content| self.cut(content, path)))
    }

    /// What is read of a file at the most; that there was more is noted.
    pub(super) fn cut(&self, mut content: Vec<u8>, place: &[u8]) -> Vec<u8> {
        if content.len() as u64 > READ_LIMIT {
            self.unread().note(place, format!("only its first {} were read", ByteSize(READ_LIMIT)));
            content.truncate(usize::try_from(READ_LIMIT).unwrap_or_default());
        }
        content
    }

    fn up_to(&self, path: &[u8], most: u64) -> Result<Option<Vec<u8>>, AuditError> {
        // What is no path is nowhere.
        let Ok(at) = ext4_view::Path::try_from(path) else { return Ok(None) };
        let mut file = match self.root().open(at) {
            Ok(file) => file,
            Err(error) => return absent(error, path),
        };
        let mut content = vec![0; usize::try_from(file.metadata().len().min(most)).unwrap_or_default()];
        let mut filled = 0;
        while let Some(rest) = content.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_bytes(rest).map_err(|source| AuditError::Root { place: shown(path), source })? {
                0 => break,
                n => filled += n,
            }
        }
        content.truncate(filled);
        Ok(Some(content))
    }

    /// Reads a regular file from beginning to end in windows of `window` bytes, each followed by up to `overlap` bytes
    /// of the next one: `look(bytes, fresh, offset)`, where `fresh` is how many bytes are not overlap. Of a file that
    /// claims more than its partition has (it has holes), so much is read, and the rest noted.
    ///
    /// # Errors
    /// Damage.
    pub fn read_whole(
        &self,
        path: &[u8],
        window: usize,
        overlap: usize,
        look: &mut dyn FnMut(&[u8], usize, u64),
    ) -> Result<(), AuditError> {
        let Ok(at) = ext4_view::Path::try_from(path) else { return Ok(()) };
        let mut file = match self.root().open(at) {
            Ok(file) => file,
            Err(error) => return absent::<()>(error, path).map(|_| ()),
        };
        let failed = |source| AuditError::Root { place: shown(path), source };
        let (mut buffer, mut held, mut offset) = (vec![0; window + overlap], 0, 0u64);
        loop {
            // Filled to the brim: a read may give less than was asked for, and the windows must not shrink.
            while let Some(rest) = buffer.get_mut(held..).filter(|rest| !rest.is_empty()) {
                match file.read_bytes(rest).map_err(failed)? {
                    0 => break,
                    n => held += n,
                }
            }
            let fresh = held.min(window);
            if fresh == 0 {
                return Ok(());
            }
            if offset >= self.root_window.size().0 {
                self.unread().note(path.to_owned(), format!("only its first {} were read", ByteSize(offset)));
                return Ok(());
            }
            look(buffer.get(..held).unwrap_or_default(), fresh, offset);
            // The overlap is the beginning of the next window, and is not read twice.
            buffer.copy_within(fresh..held, 0);
            held -= fresh;
            offset = offset.saturating_add(fresh as u64);
        }
    }
}
