//! A secret by reference: where its value is found when cards are made. The value itself is never part of a recipe, a
//! golden image or a manifest.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::extends::REFERENCES;

/// Where a secret is found: exactly one of `{ env = "…" }`, `{ file = "…" }` and `{ ssm-parameter = "…" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecretRef {
    /// The name of an environment variable.
    Env(String),
    /// A file beside the recipe, not in git, that nobody else can read. A line end behind the secret does not count.
    File(PathBuf),
    /// The name of a parameter of AWS Systems Manager, `/fleet/wifi/psk`; a SecureString is decrypted.
    SsmParameter(String),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "the environment variable {name}"),
            SecretRef::File(path) => write!(f, "the file {}", path.display()),
            SecretRef::SsmParameter(name) => write!(f, "the SSM parameter {name}"),
        }
    }
}

/// As the command line has it: `env:WIFI_PSK`, `file:wifi.psk`, `ssm:/fleet/wifi/psk`.
impl FromStr for SecretRef {
    type Err = String;

    fn from_str(text: &str) -> Result<SecretRef, String> {
        const FORM: &str = "it is env:NAME, file:PATH or ssm:PARAMETER, as the message that asks for it has it";
        let (kind, name) = text.split_once(':').ok_or(FORM)?;
        let reference = match kind {
            "env" => SecretRef::Env(name.to_owned()),
            "file" => SecretRef::File(PathBuf::from(name)),
            "ssm" => SecretRef::SsmParameter(name.to_owned()),
            _ => return Err(FORM.to_owned()),
        };
        match reference.problem() {
            None => Ok(reference),
            Some(problem) => Err(problem.to_owned()),
        }
    }
}

impl SecretRef {
    /// The reference as the command line takes it; [`FromStr`] reads it again.
    pub fn word(&self) -> String {
        match self {
            SecretRef::Env(name) => format!("env:{name}"),
            SecretRef::File(path) => format!("file:{}", path.display()),
            SecretRef::SsmParameter(name) => format!("ssm:{name}"),
        }
    }

    /// What is wrong with the reference itself, as far as one can see. Never quotes it: people put the secret there.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let fits = |text: &str, most: usize, also: &str| {
            (1..=most).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
        };
        match self {
            SecretRef::Env(name) => (!fits(name, 200, "_") || name.starts_with(|c: char| c.is_ascii_digit()))
                .then_some("this is not the name of an environment variable"),
            SecretRef::File(path) => {
                let bytes = path.as_os_str().as_encoded_bytes();
                (bytes.is_empty() || bytes.contains(&0)).then_some("no file is named")
            }
            SecretRef::SsmParameter(name) => {
                (!fits(name, 2048, "_.-/:")).then_some("this is not the name of an SSM parameter")
            }
        }
    }
}

/// What is said instead of a literal value, which no message may quote.
pub(super) const LITERAL: &str = "a secret must not be in a recipe; say where it is found";

// By hand: derived code would quote a literal secret in its message ("unknown variant `…`").
impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretRef, D::Error> {
        deserializer.deserialize_any(Reference)
    }
}

struct Reference;

impl<'de> Visitor<'de> for Reference {
    type Value = SecretRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ env = \"NAME\" }, { file = \"PATH\" } or { ssm-parameter = \"NAME\" }")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretRef, E> {
        Err(E::custom(LITERAL))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretRef, E> {
        Err(E::custom(LITERAL))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretRef, E> {
        Err(E::custom(LITERAL))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretRef, E> {
        Err(E::custom(LITERAL))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretRef, A::Error> {
        let one = "a secret has one place: env, file or ssm-parameter";
        let Some(kind) = map.next_key::<String>()? else { return Err(de::Error::custom(one)) };
        let reference = match kind.as_str() {
            "env" => SecretRef::Env(map.next_value()?),
            "file" => SecretRef::File(map.next_value()?),
            "ssm-parameter" => SecretRef::SsmParameter(map.next_value()?),
            other => return Err(de::Error::unknown_field(other, &REFERENCES)),
        };
        match map.next_key::<String>()? {
            None => Ok(reference),
            Some(_) => Err(de::Error::custom(one)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_line_takes_is_what_messages_show() {
        for word in ["env:WIFI_PSK", "file:wifi.psk", "file:/etc/a:b", "file:../x", "ssm:/fleet/wifi/psk"] {
            assert_eq!(word.parse::<SecretRef>().unwrap().word(), word);
        }
        for bad in ["", "WIFI_PSK", "env:", "env:A=B", "env:1", "file:", "ssm:", "ssm:a b", "Env:A", "http:x"] {
            assert!(bad.parse::<SecretRef>().is_err(), "{bad}");
        }
    }

    #[derive(Debug, Deserialize)]
    struct Holder {
        psk: SecretRef,
    }

    #[test]
    fn a_reference_has_exactly_one_place_and_a_literal_is_never_quoted() {
        let read = |text: &str| toml::from_str::<Holder>(text).map(|holder| holder.psk);
        assert_eq!(read("psk = { env = \"WIFI\" }").unwrap(), SecretRef::Env("WIFI".into()));
        assert_eq!(read("psk.ssm-parameter = \"/a/b\"").unwrap(), SecretRef::SsmParameter("/a/b".into()));
        for bad in ["\"hush-hush\"", "12345678", "{}", "{ env = \"A\", file = \"hush\" }", "[\"hush\"]", "true"] {
            let error = read(&format!("psk = {bad}")).unwrap_err().message().to_owned();
            assert!(!error.contains("hush") && !error.contains("12345678"), "{error}");
        }
        let json = serde_json::to_string(&SecretRef::File("wifi.psk".into())).unwrap();
        assert_eq!(json, "{\"file\":\"wifi.psk\"}");
        assert_eq!(serde_json::from_str::<SecretRef>(&json).unwrap(), SecretRef::File("wifi.psk".into()));
    }
}
