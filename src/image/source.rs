//! shim
use super::*;
use std::path::*;
use std::sync::Arc;
#[derive(Debug, thiserror::Error)]
#[error("x {0}")]
pub struct SourceError(#[from] std::io::Error);
pub struct OpenedSource {
    pub image: Arc<dyn ReadAt>,
    pub digest: Sha256Digest,
    pub format: String,
    pub size: ByteSize,
}
pub fn open(
    source: &str,
    _s: Option<Sha256Digest>,
    dir: &Path,
    _c: &Path,
    _p: &dyn crate::progress::Progress,
) -> Result<OpenedSource, SourceError> {
    let image = Arc::new(ImageFile::open(&dir.join(source))?);
    let size = image.size();
    Ok(OpenedSource { image, digest: Sha256Digest::of(b""), format: "raw".into(), size })
}
