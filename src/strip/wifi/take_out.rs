//! Takes the networks out of a file: the whole of it, a part, or nothing where that would do harm, and then no golden image
//! is made.

use super::cut::Cut;
use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, SETTINGS_LIMIT, StepError, View, Volume};
use crate::strip::choices::Strip;

/// The networks that the code here takes out.
pub(super) const GROUP: &str = "wifi";
const BY_RECIPE: &str = "the recipe, [strip] also";

/// What is left of a file.
pub(super) enum Left {
    /// All of it: it holds no network.
    Everything,
    /// Nothing that anybody needs: the file goes.
    Nothing(Cut),
    /// A part.
    Text(Cut),
    /// It cannot be taken out without harm, and why.
    Blocked(&'static str),
}

/// Takes the networks out of a file, which may stand elsewhere than its name.
pub(super) fn take_out(
    view: &mut View<'_>,
    strip: &Strip,
    volume: Volume,
    path: &ImagePath,
    file: &ImagePath,
    rest_of: &dyn Fn(&str) -> Left,
) -> Result<(), StepError> {
    let Some(stat) = view.tree(volume).stat(file)?.filter(|stat| stat.kind == FileKind::File) else { return Ok(()) };
    let left = match stat.size {
        0..=SETTINGS_LIMIT => match String::from_utf8(view.tree(volume).read(file, SETTINGS_LIMIT)?) {
            Ok(text) => rest_of(&text),
            // A file that goes whole goes whatever it holds; to cut a part out, one has to read it.
            Err(bytes) => match rest_of(&String::from_utf8_lossy(bytes.as_bytes())) {
                Left::Nothing(cut) => Left::Nothing(cut),
                _ => Left::Blocked("it is no UTF-8 text"),
            },
        },
        _ => Left::Blocked("it is too large for a file of settings"),
    };
    match left {
        Left::Everything => {}
        Left::Blocked(why) => block(view, strip, volume, path, why),
        Left::Text(cut) | Left::Nothing(cut) if cut.leaves_a_password() => {
            block(view, strip, volume, path, "one of its passwords also stands in another part of the file");
        }
        Left::Nothing(cut) => {
            view.remove(volume, file, Class::Secret.because("a saved Wi-Fi network", BY_RECIPE))?;
            if path != file {
                view.remove(volume, path, Class::Secret.because("a link to a saved Wi-Fi network", BY_RECIPE))?;
            }
            say_files(view, path, &cut)?;
        }
        Left::Text(cut) => {
            say_files(view, path, &cut)?;
            let content = Content::Bytes(cut.rest.into_bytes());
            view.write(
                volume,
                file,
                content,
                stat.attributes,
                Class::Secret.because("saved Wi-Fi networks", BY_RECIPE),
            )?;
        }
    }
    Ok(())
}

pub(super) fn block(view: &mut View<'_>, strip: &Strip, volume: Volume, path: &ImagePath, why: &str) {
    let is_above = |text: &String| ImagePath::new(text).is_ok_and(|removed| path.is_within(&removed));
    // The recipe removes the file itself, in a later step.
    if volume == Volume::Root && strip.remove.iter().any(is_above) {
        return;
    }
    let (side, next) = match volume {
        Volume::Boot => (
            " on the boot partition",
            "take it out of the base image, or remove the file with also = [\"first-boot-files\"]",
        ),
        Volume::Root => ("", "take it out of the base image, or remove the file with [strip] remove"),
    };
    view.block(format!(
        "{path}{side} may hold a Wi-Fi network that cannot be taken out: {why}. The recipe wants none left ([strip] also = \
         [\"{GROUP}\"]): {next}"
    ));
}

/// Keys and certificates that a network's login used are files of their own: they are no password, and stay.
fn say_files(view: &mut View<'_>, path: &ImagePath, cut: &Cut) -> Result<(), FsError> {
    for name in cut.named_files() {
        let Ok(file) = ImagePath::new(&name) else { continue };
        if view.root().stat(&view.root().resolve(&file)?)?.is_some_and(|stat| stat.kind == FileKind::File) {
            view.warn(format!(
                "{file} stays, a file of a Wi-Fi login that goes from {path}: [strip] remove = [\"{file}\"] removes it"
            ));
        }
    }
    Ok(())
}
