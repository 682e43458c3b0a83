//! Paths inside an image: absolute, without `.` or `..`, as bytes (ext4 names need not be UTF-8).

use crate::printable::Printable;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An absolute path inside an image. `/` is the root of the file system it is used with.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImagePath(Vec<u8>);

/// Why a text cannot be a path inside an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It does not begin with `/`.
    #[error("{0:?} is not an absolute path inside the image: begin it with \"/\"")]
    Relative(String),
    /// It has a `..` component, which could reach out of the image.
    #[error("{0:?} has a \"..\" in it: name the place inside the image directly")]
    Escapes(String),
    /// A component is longer than the 255 bytes that ext4 allows, or holds a NUL.
    #[error("{0:?} has a component that no file system can hold (over 255 bytes, or a NUL byte)")]
    Component(String),
}

impl ImagePath {
    /// The root directory.
    pub fn root() -> ImagePath {
        ImagePath(b"/".to_vec())
    }

    /// Checks and normalises `text`: doubled slashes and `.` components vanish, `..` is refused.
    ///
    /// # Errors
    /// [`BadPath`], naming what is wrong.
    pub fn new(text: impl AsRef<[u8]>) -> Result<ImagePath, BadPath> {
        let text = text.as_ref();
        let shown = || String::from_utf8_lossy(text).into_owned();
        if !text.starts_with(b"/") {
            return Err(BadPath::Relative(shown()));
        }
        let mut path = Vec::with_capacity(text.len());
        for component in text.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".") {
            if component == b".." {
                return Err(BadPath::Escapes(shown()));
            }
            // `EXT4_NAME_LEN`; FAT takes as many UTF-16 units.
            if component.len() > 255 || component.contains(&0) {
                return Err(BadPath::Component(shown()));
            }
            path.push(b'/');
            path.extend_from_slice(component);
        }
        // Nothing is left of `//` or `/./`.
        if path.is_empty() {
            path.push(b'/');
        }
        Ok(ImagePath(path))
    }

    /// The path as bytes, beginning with `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its components, from the root down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|c| !c.is_empty())
    }

    /// The last component; `None` for the root.
    pub fn name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// The directory that holds it; `None` for the root.
    pub fn parent(&self) -> Option<ImagePath> {
        let name = self.name()?;
        let end = self.0.len().saturating_sub(name.len() + 1);
        Some(if end == 0 { ImagePath::root() } else { ImagePath(self.0.get(..end)?.to_vec()) })
    }

    /// The path of `name` in this directory.
    ///
    /// # Errors
    /// [`BadPath`] where `name` is not one component (a directory entry of a corrupt image may hold anything).
    pub fn join(&self, name: impl AsRef<[u8]>) -> Result<ImagePath, BadPath> {
        let name = name.as_ref();
        // `..` is refused by `new`.
        if name.is_empty() || name == b"." || name.contains(&b'/') {
            return Err(BadPath::Component(String::from_utf8_lossy(name).into_owned()));
        }
        let mut joined = self.0.clone();
        joined.push(b'/');
        joined.extend_from_slice(name);
        ImagePath::new(joined)
    }

    /// Whether it is `directory` or lies below it.
    pub fn is_within(&self, directory: &ImagePath) -> bool {
        directory.0 == b"/"
            // With the slash: `/etcetera` is not within `/etc`.
            || self.0.strip_prefix(directory.0.as_slice()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }
}

impl AsRef<[u8]> for ImagePath {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl FromStr for ImagePath {
    type Err = BadPath;
    fn from_str(text: &str) -> Result<Self, BadPath> {
        ImagePath::new(text)
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable::of(&self.0).fmt(f)
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for ImagePath {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImagePath {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_and_never_escape() {
        let path = ImagePath::new("//etc/./ssh/").unwrap();
        assert_eq!(path.as_bytes(), b"/etc/ssh");
        assert_eq!(path.parent().unwrap().as_bytes(), b"/etc");
        assert_eq!(path.parent().unwrap().parent().unwrap(), ImagePath::root());
        assert_eq!(ImagePath::root().parent(), None);
        assert_eq!(ImagePath::root().join("etc").unwrap().as_bytes(), b"/etc");
        assert!(matches!(ImagePath::new("/etc/../shadow"), Err(BadPath::Escapes(_))));
        assert!(matches!(ImagePath::new("etc"), Err(BadPath::Relative(_))));
        assert!(ImagePath::root().join("..").is_err());
    }

    #[test]
    fn within_means_whole_components() {
        let vault = ImagePath::new("/var/lib/amazon/ssm/Vault").unwrap();
        assert!(ImagePath::new("/var/lib/amazon/ssm/Vault/Store").unwrap().is_within(&vault));
        assert!(!ImagePath::new("/var/lib/amazon/ssm/Vault2").unwrap().is_within(&vault));
        assert!(vault.is_within(&ImagePath::root()));
    }
}
