//! The boot partition, with the audit's own eyes.

use super::error::AuditError;
use super::files::READ_LIMIT;
use super::places::is_like;
use super::reader::AuditImage;
use crate::read_limited::read_beginning;

/// So deep are directories gone into.
const DEEPEST: usize = 128;
/// So many files are gone through.
const MOST: usize = 2_000_000;

impl AuditImage {
    /// A text file of the boot partition; `None` where there is none.
    ///
    /// # Errors
    /// The image's.
    pub fn boot_text(&self, name: &str) -> Result<Option<String>, AuditError> {
        let content = self.boot_up_to(name, READ_LIMIT + 1)?;
        let content = content.map(|content| self.cut(content, format!("boot:/{name}").as_bytes()));
        Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned()))
    }

    /// The first `most` bytes of a file of the boot partition; nothing where there is none.
    ///
    /// # Errors
    /// The image's.
    pub fn boot_beginning(&self, name: &str, most: u64) -> Result<Vec<u8>, AuditError> {
        Ok(self.boot_up_to(name, most)?.unwrap_or_default())
    }

    fn boot_up_to(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, AuditError> {
        let Some(boot) = self.boot() else { return Ok(None) };
        // Unreadable is as good as absent: damage of the boot partition is not what the rules judge.
        let Ok(file) = boot.root_dir().open_file(name) else { return Ok(None) };
        Ok(Some(read_beginning(file, most)?))
    }

    /// Every file of the boot partition: its path there, and its size.
    ///
    /// # Errors
    /// The image's.
    pub fn boot_files(&self) -> Result<Vec<(String, u64)>, AuditError> {
        let Some(boot) = self.boot() else { return Ok(Vec::new()) };
        let (mut files, mut ahead) = (Vec::new(), vec![(String::new(), boot.root_dir(), 0)]);
        while let Some((at, directory, depth)) = ahead.pop() {
            if depth > DEEPEST || files.len() > MOST {
                return Err(AuditError::TooMuch { place: format!("boot:/{at}") });
            }
            for entry in directory.iter() {
                let entry = entry?;
                let name = entry.file_name();
                if name == "." || name == ".." {
                    continue;
                }
                let path = if at.is_empty() { name } else { format!("{at}/{name}") };
                match entry.is_dir() {
                    true => ahead.push((path, entry.to_dir(), depth + 1)),
                    false => files.push((path, entry.len())),
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// What is in the boot partition that is like `pattern`: its path there, and its size. Of a directory it is 1 where
    /// something is in it, else 0.
    ///
    /// # Errors
    /// The image's.
    pub fn boot_like(&self, pattern: &str) -> Result<Vec<(String, u64)>, AuditError> {
        let Some(boot) = self.boot() else { return Ok(Vec::new()) };
        let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
        let mut found = vec![(String::new(), boot.root_dir())];
        let mut files = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let mut next = Vec::new();
            for (at, directory) in &found {
                for entry in directory.iter() {
                    let entry = entry?;
                    let name = entry.file_name();
                    // FAT knows names without regard to case.
                    if name == "."
                        || name == ".."
                        || !is_like(name.to_lowercase().as_bytes(), part.to_lowercase().as_bytes())
                    {
                        continue;
                    }
                    let path = if at.is_empty() { name } else { format!("{at}/{name}") };
                    let is_last = index + 1 == parts.len();
                    if entry.is_dir() {
                        let held = entry.to_dir();
                        if is_last {
                            // Beside itself and the directory above.
                            let mut holds = false;
                            for entry in held.iter().take(3) {
                                let name = entry?.file_name();
                                holds |= name != "." && name != "..";
                            }
                            files.push((path, u64::from(holds)));
                        } else {
                            next.push((path, held));
                        }
                    } else if is_last {
                        files.push((path, entry.len()));
                    }
                }
            }
            found = next;
        }
        Ok(files)
    }
}
