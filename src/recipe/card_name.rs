//! Card names: a template in the recipe, one name per card. The name becomes the host name and the SSM default
//! instance name, so it must be a host name label: `[a-z0-9-]`, 63 characters at most (RFC 1123, hostname(7)).

/// The longest host name label, in characters (RFC 1035, 2.3.4).
const LONGEST: usize = 63;

/// The highest serial number that is given out. Templates are checked with it.
const HIGHEST_SERIAL: u64 = 999_999;

/// A checked `[card] name`, ready to give names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardName {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Serial { width: usize },
}

/// What is wrong with a card name or its template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardNameError {
    /// A `{` without its `}`, or the other way round.
    #[error("a `{{` or `}}` stands alone")]
    Brace,
    /// Something else than `{serial}`, `{serial:04}`, `{recipe}`.
    #[error("`{{{0}}}` is nothing that a card name knows")]
    Unknown(String),
    /// Every card would get the same name.
    #[error("every card would get the same name")]
    NoSerial,
    /// What comes out is no host name.
    #[error("it gives the name {name:?}, which is no host name: {why}")]
    NotAHostName {
        /// What would come out.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
    },
}

impl CardName {
    /// Reads a template such as `kiosk-{serial:04}` of the recipe `recipe`.
    ///
    /// # Errors
    /// [`CardNameError`] where some serial number would give a name that is no host name.
    pub fn parse(template: &str, recipe: &str) -> Result<CardName, CardNameError> {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((text, after)) = rest.split_once('{') {
            let (field, behind) = after.split_once('}').ok_or(CardNameError::Brace)?;
            push_text(&mut parts, text)?;
            parts.push(match field {
                "recipe" => Part::Text(recipe.to_owned()),
                "serial" => Part::Serial { width: 0 },
                _ => Part::Serial { width: width(field).ok_or_else(|| CardNameError::Unknown(field.to_owned()))? },
            });
            rest = behind;
        }
        push_text(&mut parts, rest)?;
        let name = CardName { parts };
        if !name.parts.iter().any(|part| matches!(part, Part::Serial { .. })) {
            return Err(CardNameError::NoSerial);
        }
        for serial in [1, HIGHEST_SERIAL] {
            is_host_name(&name.of(serial))?;
        }
        Ok(name)
    }

    /// The name of the card with this serial number.
    pub fn of(&self, serial: u64) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Serial { width } => format!("{serial:0width$}"),
        };
        self.parts.iter().map(part).collect()
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) -> Result<(), CardNameError> {
    if text.contains('}') {
        return Err(CardNameError::Brace);
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(())
}

/// The width in `serial:04`.
fn width(field: &str) -> Option<usize> {
    let digits = field.strip_prefix("serial:0")?;
    digits.parse().ok().filter(|width| (1..=9).contains(width) && digits.len() == 1)
}

/// Whether `name` can be a card's host name.
///
/// # Errors
/// [`CardNameError::NotAHostName`] with the rule that it breaks.
pub fn is_host_name(name: &str) -> Result<(), CardNameError> {
    let refuse = |why| Err(CardNameError::NotAHostName { name: name.to_owned(), why });
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    match name {
        _ if name.len() > LONGEST => refuse("more than 63 characters"),
        _ if !name.starts_with(letter) => refuse("it must begin with a-z or 0-9"),
        _ if !name.ends_with(letter) => refuse("it must end with a-z or 0-9"),
        _ if !name.chars().all(|c| letter(c) || c == '-') => refuse("only a-z, 0-9 and - are allowed"),
        // A label of digits alone reads as (part of) an IP address; RFC 1123 2.1.
        _ if name.chars().all(|c| c.is_ascii_digit()) => refuse("it must not be digits alone"),
        "localhost" => refuse("it means this machine"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_gives_every_card_its_own_host_name() {
        let name = CardName::parse("{recipe}-{serial:04}", "kiosk").unwrap();
        assert_eq!(name.of(7), "kiosk-0007");
        assert_eq!(name.of(123_456), "kiosk-123456");
        assert_eq!(CardName::parse("pi{serial}", "x").unwrap().of(42), "pi42");
    }

    #[test]
    fn what_is_no_host_name_is_refused_before_any_card_is_made() {
        use CardNameError as E;
        let long = format!("{}-{{serial}}", "a".repeat(60));
        for (template, what) in [
            ("kiosk", E::NoSerial),
            ("kiosk-{serial", E::Brace),
            ("kiosk-}{serial}", E::Brace),
            ("{serial:4}", E::Unknown("serial:4".into())),
            ("{serial:0999999999}", E::Unknown("serial:0999999999".into())),
            ("{Serial}-a", E::Unknown("Serial".into())),
        ] {
            assert_eq!(CardName::parse(template, "r"), Err(what), "{template}");
        }
        for template in ["Kiosk-{serial}", "-{serial}", "a{serial}-", "{serial}", "a_{serial}", "é{serial}", &long] {
            assert!(matches!(CardName::parse(template, "r"), Err(E::NotAHostName { .. })), "{template}");
        }
    }
}
