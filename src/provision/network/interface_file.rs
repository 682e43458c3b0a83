//! What the files of all three network programs have in common.

use crate::fs::{Attributes, FsError};
use crate::prepare::{Class, Content, View, Volume};
use crate::recipe::schema::Cidr;

/// Proposes a file that describes an interface.
pub(super) fn put(
    view: &mut View<'_>,
    path: &str,
    text: String,
    mode: u16,
    source: &'static str,
) -> Result<(), FsError> {
    let why = "the recipe, [[network.interface]]";
    let content = Content::Bytes(text.into_bytes());
    view.write(Volume::Root, path, content, Attributes::root(mode), Class::Configuration.because(why, source))?;
    Ok(())
}

/// Whether this address, with its prefix, is one of IPv4.
pub(super) fn is_v4(text: &str) -> bool {
    Cidr::parse(text).is_some_and(|cidr| cidr.address.is_ipv4())
}
