//! shim
use super::*;
use crate::image::*;
use std::sync::Arc;
#[derive(Debug, Clone)]
pub enum Expect {
    Absent,
    File { sha256: Sha256Digest, size: u64, attributes: Attributes },
    Directory { attributes: Attributes },
    Symlink { target: Vec<u8> },
    Attributes { attributes: Attributes },
}
pub fn verify(_w: Arc<dyn WriteAt>, _e: &[(ImagePath, Expect)]) -> Result<(), FsError> {
    Ok(())
}
