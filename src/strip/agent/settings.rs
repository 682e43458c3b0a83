//! The agent's settings file: kept, without the identities that are written into it.

use serde_json::Value;

use crate::fs::{FileKind, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, SETTINGS_LIMIT, View, Volume};

const SOURCE: &str = "agent/appconfig/contracts.go";

/// Proposes the settings without `Identity.CustomIdentities`. Broken JSON is left alone with a warning, as the agent
/// falls back to its defaults then.
///
/// # Errors
/// Where the image cannot be read.
pub fn propose(view: &mut View<'_>) -> Result<(), FsError> {
    let path = view.root().resolve(&ImagePath::new("/etc/amazon/ssm/amazon-ssm-agent.json")?)?;
    let Some(stat) = view.root().stat(&path)?.filter(|stat| stat.kind == FileKind::File) else { return Ok(()) };
    if stat.size > SETTINGS_LIMIT {
        view.warn(format!("{path} has {} bytes, too many for the agent's settings: it was left alone", stat.size));
        return Ok(());
    }
    let text = String::from_utf8_lossy(&view.root().read(&path, SETTINGS_LIMIT)?).into_owned();
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
    let Some(stripped) = cut_out(&text, &settings).or_else(|| rewritten(&settings)) else { return Ok(()) };
    let why = "identities that are written into the agent's settings (Identity.CustomIdentities)";
    // The old text is not shown: a custom identity may carry keys.
    let content = Content::Bytes(stripped.into_bytes());
    view.write(Volume::Root, &path, content, stat.attributes, Class::Identity.because(why, SOURCE))?;
    Ok(())
}

/// The text without the member, and otherwise byte for byte as it was. `None` where that would not say `settings`.
fn cut_out(text: &str, settings: &Value) -> Option<String> {
    let identity = members(text, 0)?.into_iter().find(|member| member.key == "\"Identity\"")?;
    let all = members(text, identity.value.start)?;
    let index = all.iter().position(|member| member.key == "\"CustomIdentities\"")?;
    let member = all.get(index)?;
    let before = index.checked_sub(1).and_then(|index| all.get(index));
    // With the comma that parts it from the member before or after it.
    let cut = match (before, all.get(index + 1)) {
        (Some(before), _) => before.value.end..member.value.end,
        (None, Some(after)) => member.start..after.start,
        (None, None) => member.start..member.value.end,
    };
    let mut rest = text.to_owned();
    rest.replace_range(cut, "");
    (serde_json::from_str::<Value>(&rest).ok()? == *settings).then_some(rest)
}

fn rewritten(settings: &Value) -> Option<String> {
    serde_json::to_string_pretty(settings).ok().map(|text| text + "\n")
}

/// One member of an object, as places in the text.
struct Member<'t> {
    start: usize,
    /// With its quotes, as it is written.
    key: &'t str,
    value: std::ops::Range<usize>,
}

/// The members of the object that begins at or after `from`. The text is known to be JSON.
fn members(text: &str, from: usize) -> Option<Vec<Member<'_>>> {
    let skip_blank = |at: usize| {
        let rest = text.get(at..)?;
        Some(at + (rest.len() - rest.trim_start().len()))
    };
    let mut at = skip_blank(from)?;
    at = text.get(at..)?.starts_with('{').then_some(at + 1)?;
    let mut members = Vec::new();
    loop {
        let start = skip_blank(at)?;
        if !text.get(start..)?.starts_with('"') {
            return Some(members);
        }
        let end = value_end(text, start)?;
        let colon = skip_blank(end)?;
        let value = skip_blank(colon + 1)?;
        let value = value..value_end(text, value)?;
        at = skip_blank(value.end)?;
        members.push(Member { start, key: text.get(start..end)?, value });
        if text.get(at..)?.starts_with(',') {
            at += 1;
        }
    }
}

/// Where the value that begins at `start` ends.
fn value_end(text: &str, start: usize) -> Option<usize> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (offset, byte) in text.get(start..)?.bytes().enumerate() {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => continue,
            }
            if in_text || depth > 0 {
                continue;
            }
            return Some(start + offset + 1);
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(start + offset),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(start + offset + 1);
                }
            }
            b',' if depth == 0 => return Some(start + offset),
            byte if depth == 0 && byte.is_ascii_whitespace() => return Some(start + offset),
            _ => {}
        }
    }
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_member_is_cut_out_and_every_other_byte_stays() {
        for (text, expected) in [
            (
                r#"{ "A":  1.50, "Identity": {"O": ["x"],"CustomIdentities": [{"I":"}\"]"}] }, "B": {} }"#,
                r#"{ "A":  1.50, "Identity": {"O": ["x"] }, "B": {} }"#,
            ),
            (r#"{"Identity":{"CustomIdentities":[{}],"O":[]}}"#, r#"{"Identity":{"O":[]}}"#),
            ("{\"Identity\":\n {\"CustomIdentities\" : [1] }\n}\n", "{\"Identity\":\n { }\n}\n"),
            (
                r#"{"X":{"CustomIdentities":[1]},"Identity":{"CustomIdentities":[2],"z":"CustomIdentities"}}"#,
                r#"{"X":{"CustomIdentities":[1]},"Identity":{"z":"CustomIdentities"}}"#,
            ),
        ] {
            let mut settings: Value = serde_json::from_str(text).unwrap();
            settings.get_mut("Identity").unwrap().as_object_mut().unwrap().shift_remove("CustomIdentities").unwrap();
            assert_eq!(cut_out(text, &settings).as_deref(), Some(expected));
        }
    }
}
