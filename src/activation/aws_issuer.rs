//! Activations that AWS makes, one for each card, when the card is made.

use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::file::{is_code, is_uuid};
use super::{Activation, ActivationCode, ActivationError, CardRequest};
use crate::aws::{ActivationWish, AwsError, NewActivation, Ssm};
use crate::ledger::now;
use crate::progress::Progress;
use crate::recipe::{Expiry, is_region, schema};

/// Tags that every activation gets, and every node that registers with it. `Recipe` is what `fleet policy` goes by.
const OWN_TAGS: [&str; 3] = ["CardSerial", "Recipe", "GoldenDigest"];

/// How long to wait between tries while AWS throttles: 63 s in all.
const THROTTLED: [u64; 6] = [1, 2, 4, 8, 16, 32];

/// How long to wait between tries for a role that AWS does not know yet: IAM is eventually consistent, and a role made
/// a minute ago by the same script is the usual case (terraform-provider-aws #27952).
const NEW_ROLE: [u64; 7] = [1, 2, 4, 8, 8, 8, 8];

/// AWS, asked for one activation per card.
pub struct AwsIssuer {
    ssm: Ssm,
    role: String,
    expiry: Expiry,
    tags: Vec<(String, String)>,
    // One creation at a time, however many cards are written side by side: the service throttles bursts.
    turn: Mutex<()>,
}

impl AwsIssuer {
    /// Checks what the recipe asks for and whether AWS can be reached with what the environment has.
    pub fn connect(wanted: &schema::Activation) -> Result<AwsIssuer, ActivationError> {
        let recipe = ActivationError::Recipe;
        let missing = |what| recipe(format!("from = \"aws\" needs {what}"));
        let region = wanted.region.as_deref().ok_or_else(|| missing("region = \"…\", such as \"eu-west-1\""))?;
        if !is_region(region) {
            return Err(recipe(format!("region = {region:?} is not the name of an AWS region, such as eu-west-1")));
        }
        let role = wanted.role.as_deref().ok_or_else(|| missing("role = \"…\", the IAM role that nodes get"))?;
        check_role(role).map_err(recipe)?;
        let expiry = match wanted.expires.as_deref() {
            Some(text) => text.parse::<Expiry>().map_err(|error| recipe(error.to_string()))?,
            None => Expiry::default(),
        };
        let tags: Vec<_> = wanted.tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        check_tags(&tags).map_err(recipe)?;

        let ssm = Ssm::connect(region)?;
        // Asked once before anything is written: what a crash leaves could not be found again without this right, and
        // wrong credentials or a wrong region are told before the first card is touched.
        ssm.activations()?;
        Ok(AwsIssuer { ssm, role: role.to_owned(), expiry, tags, turn: Mutex::new(()) })
    }

    /// SSM in the recipe's region.
    pub fn ssm(&self) -> &Ssm {
        &self.ssm
    }

    /// The region.
    pub fn region(&self) -> &str {
        self.ssm.region()
    }

    /// Asks for one activation. Only what certainly was not done is tried again here (throttling, a role that is too
    /// new): CreateActivation knows no client token, so that a blind second try after a lost answer would leave an
    /// activation behind that nobody has the code of. The SDK's own retries are off for the same reason. After an
    /// ambiguous failure the [`super::Dispenser`] looks for the activation by its description.
    pub(super) fn create(&self, card: &CardRequest<'_>, progress: &dyn Progress) -> Result<Activation, AwsError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut throttled, mut new_role) = (THROTTLED.iter(), NEW_ROLE.iter());
        loop {
            let error = match self.create_once(card) {
                Ok(activation) => return Ok(activation),
                Err(error) => error,
            };
            // Each cause has its own patience, so that throttling does not use up what a new role needs.
            let wait = if error.ambiguous {
                None
            } else if error.is_throttling() {
                throttled.next()
            } else if is_new_role(&error) {
                if new_role.len() == NEW_ROLE.len() {
                    let role = &self.role;
                    progress.note(&format!("AWS does not know role {role:?} yet; trying again for up to 40 seconds"));
                }
                new_role.next()
            } else {
                None
            };
            let Some(seconds) = wait else { return Err(self.explain(error)) };
            sleep(Duration::from_secs(*seconds));
        }
    }

    fn create_once(&self, card: &CardRequest<'_>) -> Result<Activation, AwsError> {
        let doing = format!("make an activation for {}", card.name);
        let tag = |(key, value): (&str, String)| (key.to_owned(), value);
        let own = [("CardSerial", card.serial.to_string()), ("Recipe", card.recipe.to_owned())];
        let golden = card.golden.map(|digest| ("GoldenDigest", digest.to_string()));
        let tags: Vec<_> = self.tags.iter().cloned().chain(own.into_iter().chain(golden).map(tag)).collect();
        // A minute less: "30d" counts by our clock, the limit by theirs.
        let expires = now().saturating_add(i64::try_from(self.expiry.seconds()).unwrap_or(0)).saturating_sub(60);
        let description = card.description();
        let wish =
            ActivationWish { description: &description, node_name: card.name, role: &self.role, expires, tags: &tags };
        let NewActivation { id, code } = self.ssm.create_activation(&doing, &wish)?;
        // They go into a file on the card that a shell script reads: what is not of the documented form could say
        // anything there. There is an activation all the same, and the error says so: it is looked for and deleted.
        if !is_uuid(&id) || !is_code(code.expose_secret()) {
            let message = "the activation in the answer is not of the documented form";
            return Err(AwsError::strange_answer(&doing, message));
        }
        Ok(Activation {
            id: id.to_ascii_lowercase(),
            code: ActivationCode::from(code),
            region: self.ssm.region().to_owned(),
            expires: Some(expires),
        })
    }

    fn explain(&self, mut error: AwsError) -> AwsError {
        if is_new_role(&error) {
            error.message = format!(
                "{} (role {:?}); is its name right, and may ssm.amazonaws.com assume it? `cardsmith fleet check-role` tells",
                error.message, self.role
            );
        }
        error
    }
}

fn is_new_role(error: &AwsError) -> bool {
    error.code.as_deref() == Some("ValidationException") && error.message.contains("Nonexistent role")
}

/// CreateActivation takes a role's name, 64 characters at most, not its ARN (botocore, ssm 2014-11-06).
fn check_role(role: &str) -> Result<(), String> {
    // What a console shows and people paste; the name is its last part.
    if role.starts_with("arn:") {
        let name = role.rsplit('/').next().unwrap_or_default();
        return Err(format!("role = {role:?} is an ARN, AWS wants the role's name here: role = {name:?}"));
    }
    let name = role.strip_prefix("service-role/").unwrap_or(role);
    let legal = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    if name.is_empty() || role.len() > 64 || !name.chars().all(legal) {
        return Err(format!("role = {role:?} is not the name of an IAM role (64 characters at most, no path)"));
    }
    Ok(())
}

/// The limits of tags: 50 of them, 128 characters in a key, 256 in a value, and only these characters
/// (AddTagsToResource and Tag in botocore, ssm 2014-11-06).
fn check_tags(tags: &[(String, String)]) -> Result<(), String> {
    let legal = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c));
    if tags.len() + OWN_TAGS.len() > 50 {
        return Err("tags: AWS takes 50 for a node, cardsmith's own three among them".to_owned());
    }
    for (key, value) in tags {
        if OWN_TAGS.contains(&key.as_str()) {
            return Err(format!("tags: {key} is set by cardsmith itself; use another key"));
        }
        if key.is_empty() || key.chars().count() > 128 || key.to_ascii_lowercase().starts_with("aws:") || !legal(key) {
            return Err(format!(
                "tags: {key:?} is no key that AWS takes (1 to 128 letters, digits and _.:/=+-@, no aws:)"
            ));
        }
        if value.chars().count() > 256 || !legal(value) {
            return Err(format!("tags: the value of {key} is none that AWS takes (256 letters, digits and _.:/=+-@)"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_a_name_and_an_arn_is_told_its_name() {
        assert_eq!(check_role("ssm-managed-instance"), Ok(()));
        assert_eq!(check_role("service-role/AmazonEC2RunCommandRoleForManagedInstances"), Ok(()));
        let error = check_role("arn:aws:iam::123456789012:role/fleet/kiosk").unwrap_err();
        assert!(error.contains("role = \"kiosk\""), "{error}");
        for bad in ["", "a/b", "a b", &"r".repeat(65), "rôle"] {
            assert!(check_role(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_that_aws_would_refuse_are_refused_here() {
        let tags = |key: &str, value: &str| check_tags(&[(key.to_owned(), value.to_owned())]);
        assert_eq!(tags("Fleet", "kiosk north: 2"), Ok(()));
        for (key, value) in [("", "x"), ("aws:x", "x"), ("Recipe", "x"), ("a", "<b>"), ("a", &"v".repeat(257))] {
            assert!(tags(key, value).is_err(), "{key}={value}");
        }
    }
}
