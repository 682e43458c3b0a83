//! The agent's settings file: kept, without the identities that are written into it.

use serde_json::Value;

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::plan::{Class, Content, Volume};
use crate::prepare::view::View;

const LIMIT: u64 = 1 << 20;
const SOURCE: &str = "agent/appconfig/contracts.go";

/// Proposes the settings without `Identity.CustomIdentities`. Broken JSON is left alone with a warning, as the agent
/// falls back to its defaults then.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>) -> Result<(), FsError> {
    let path = view.root().resolve(&ImagePath::new("/etc/amazon/ssm/amazon-ssm-agent.json")?)?;
    let Some(stat) = view.root().stat(&path)?.filter(|stat| stat.kind == FileKind::File) else { return Ok(()) };
    if stat.size > LIMIT {
        view.warn(format!("{path} has {} bytes, too many for the agent's settings: it was left alone", stat.size));
        return Ok(());
    }
    let text = String::from_utf8_lossy(&view.root().read(&path, LIMIT)?).into_owned();
    let mut settings: Value = match serde_json::from_str(&text) {
        Ok(settings) => settings,
        Err(error) => {
            view.warn(format!(
                "{path} is not JSON (line {}, column {}): the agent will use its defaults. It was left alone; look \
                 whether it names an identity",
                error.line(),
                error.column()
            ));
            return Ok(());
        }
    };
    let identities = settings.get_mut("Identity").and_then(Value::as_object_mut);
    let Some(removed) = identities.and_then(|identity| identity.shift_remove("CustomIdentities")) else {
        return Ok(());
    };
    // An empty list says nothing: the file stays as it is.
    if removed.as_array().is_some_and(Vec::is_empty) || removed.is_null() {
        return Ok(());
    }
    let Some(stripped) = as_written_before(&settings, &text) else { return Ok(()) };
    let why = "identities that are written into the agent's settings (Identity.CustomIdentities)";
    // The old text is not shown: a custom identity may carry keys.
    let content = Content::Bytes(stripped.into_bytes());
    view.write(Volume::Root, &path, content, stat.attributes, Class::Identity, why, SOURCE)?;
    Ok(())
}

/// `settings` with the indentation and the last line end of `text`, so that a diff shows what went and nothing else.
fn as_written_before(settings: &Value, text: &str) -> Option<String> {
    let indent = text.lines().find_map(|line| {
        let blank = line.len() - line.trim_start().len();
        line.get(..blank).filter(|blank| !blank.is_empty())
    });
    let mut out = match indent {
        None if !text.trim_end().contains('\n') => serde_json::to_vec(settings).ok()?,
        _ => {
            use serde::Serialize;
            let mut out = Vec::new();
            let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.unwrap_or("    ").as_bytes());
            settings.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter)).ok()?;
            out
        }
    };
    if text.ends_with('\n') {
        out.push(b'\n');
    }
    String::from_utf8(out).ok()
}
