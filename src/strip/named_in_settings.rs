//! Files that settings name: an expression has what stands in front of the name.

use std::collections::BTreeSet;

use super::expressions::compiled;
use crate::fs::{FsError, ImagePath};
use crate::prepare::{View, Volume};

/// The paths that an expression finds in the settings at `places`, links to the settings followed. They are as they are
/// written. Devices are no files of the image.
///
/// # Errors
/// Where the image cannot be read.
pub(super) fn named(
    view: &View<'_>,
    places: &[&str],
    expression: &'static str,
) -> Result<BTreeSet<ImagePath>, FsError> {
    let Some(regex) = compiled(expression) else { return Ok(BTreeSet::new()) };
    let mut named = BTreeSet::new();
    for place in places {
        for path in view.find(place)? {
            // One character for each byte: expressions are for text, and names need not be any.
            let text: String =
                view.read_settings(Volume::Root, &path)?.unwrap_or_default().into_iter().map(char::from).collect();
            for found in regex.captures_iter(&text) {
                let name: Vec<u8> = found.get(1).map_or("", |name| name.as_str()).chars().filter_map(byte).collect();
                if let Ok(path) = ImagePath::new(name.trim_ascii())
                    && !path.as_bytes().starts_with(b"/dev/")
                {
                    named.insert(path);
                }
            }
        }
    }
    Ok(named)
}

fn byte(c: char) -> Option<u8> {
    u8::try_from(c).ok()
}
