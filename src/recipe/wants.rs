//! What a recipe wants of the machine at which cards are made: secrets, a role of its AWS account, a file of activations.
//! Everything else in a recipe goes into the golden image and is read where that is made.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::schema::{ActivationFrom, Recipe};
use super::secret_ref::SecretRef;

/// What is read or used when cards are made of a recipe. Shown before it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Wants {
    /// Secrets, by reference; for programs as the command line takes them: `env:WIFI_PSK`.
    #[serde(serialize_with = "words")]
    pub secrets: Vec<SecretRef>,
    /// Activations that AWS makes, one for each card.
    pub role: Option<WantedRole>,
    /// The file of pre-issued activations that the recipe names.
    pub activations: Option<PathBuf>,
}

/// A role of the machine's AWS account, which every node gets that registers with an activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WantedRole {
    /// Its name.
    pub name: String,
    /// The region in which activations are made.
    pub region: String,
    /// What nodes are tagged with; rules of the account may go by tags.
    pub tags: BTreeMap<String, String>,
}

fn words<S: Serializer>(secrets: &[SecretRef], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(secrets.iter().map(SecretRef::word))
}

impl Wants {
    /// What this recipe wants.
    pub fn of(recipe: &Recipe) -> Wants {
        let wifi = recipe.network.as_ref().and_then(|network| network.wifi.as_ref());
        let mut wants = Wants { secrets: wifi.map(|wifi| wifi.psk.clone()).into_iter().collect(), ..Wants::default() };
        let Some(activation) = &recipe.activation else { return wants };
        match activation.from {
            ActivationFrom::File => wants.activations = activation.path.clone(),
            ActivationFrom::Aws => {
                // A recipe that was checked has both.
                let text = |value: &Option<String>| value.clone().unwrap_or_default();
                let (name, region) = (text(&activation.role), text(&activation.region));
                wants.role = Some(WantedRole { name, region, tags: activation.tags.clone() });
            }
        }
        wants
    }

    /// Whether nothing of the machine is wanted.
    pub fn is_empty(&self) -> bool {
        *self == Wants::default()
    }
}

/// One line: "env:WIFI_PSK; activations for the role kiosk in eu-central-1".
impl fmt::Display for Wants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.secrets.iter().map(SecretRef::word).collect();
        if let Some(role) = &self.role {
            let tags: Vec<String> = role.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let tags = if tags.is_empty() { String::new() } else { format!(", tagged {}", tags.join(", ")) };
            parts.push(format!("activations for the role {} in {}{tags}", role.name, role.region));
        }
        parts.extend(self.activations.as_ref().map(|path| format!("activations from {}", path.display())));
        f.write_str(&parts.join("; "))
    }
}
