//! Hybrid activations at SSM: made, listed, deleted.

use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::primitives::DateTime;
use aws_sdk_ssm::types::Tag;
use secrecy::SecretString;

use super::error::AwsError;
use super::ssm::Ssm;
use crate::fault;

/// What an activation is asked for with. One node may register with it.
pub struct ActivationWish<'a> {
    /// What it is found by where its answer is lost.
    pub description: &'a str,
    /// The name of the node that will register.
    pub node_name: &'a str,
    /// The name of the IAM role that the node gets.
    pub role: &'a str,
    /// When it stops being usable, in seconds since 1970.
    pub expires: i64,
    /// Tags of the activation, and of the node.
    pub tags: &'a [(String, String)],
}

/// An activation as AWS hands it out, once. No `Debug` on purpose.
pub struct NewActivation {
    /// Its id, as it came.
    pub id: String,
    /// Its code. AWS never tells it again.
    pub code: SecretString,
}

/// An activation as AWS describes it; it never tells the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownActivation {
    /// Its id.
    pub id: String,
    /// What it was made with.
    pub description: String,
    /// How many nodes registered with it.
    pub registrations: i32,
    /// Whether it can be used no longer.
    pub expired: bool,
}

impl Ssm {
    /// Asks for an activation, once.
    ///
    /// # Errors
    /// When AWS refuses or cannot be reached. Where the error is ambiguous, there may be an activation all the same.
    pub fn create_activation(&self, doing: &str, wish: &ActivationWish<'_>) -> Result<NewActivation, AwsError> {
        let tags = wish.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let tags = tags.collect::<Result<Vec<_>, _>>();
        // What the SDK refuses never left this machine.
        let tags = tags.map_err(|error| AwsError::before_sending(doing, "Tags", error.to_string()))?;
        // CreateActivation knows no client token: the second of two tries would make a second activation, and the code
        // of the first would be lost. So the SDK must not try again by itself; who asked decides, when it has looked.
        let once = aws_sdk_ssm::config::Builder::new().retry_config(RetryConfig::disabled());
        let call = self.client.create_activation();
        let call = call.description(wish.description).default_instance_name(wish.node_name).iam_role(wish.role);
        let call = call.registration_limit(1).expiration_date(DateTime::from_secs(wish.expires)).set_tags(Some(tags));
        let call = call.customize().config_override(once).send();
        // Tests end the process here and below. After the second point AWS has made it, and the code is lost.
        fault::point("CreateActivation");
        let answer = self.wait(doing, call);
        fault::point("CreateActivation");
        let answer = answer?;
        let (Some(id), Some(code)) = (answer.activation_id, answer.activation_code) else {
            // Something was made all the same, which the error says.
            return Err(AwsError::strange_answer(doing, "the answer had no activation in it"));
        };
        Ok(NewActivation { id, code: SecretString::from(code) })
    }

    /// Every activation of the account in this region.
    ///
    /// # Errors
    /// When AWS refuses or cannot be reached.
    pub fn activations(&self) -> Result<Vec<KnownActivation>, AwsError> {
        fault::point("DescribeActivations");
        // A page cannot have more than 50.
        let pages = self.client.describe_activations().max_results(50).into_paginator().items().send();
        let all = self.wait("list the activations", pages.collect::<Result<Vec<_>, _>>())?;
        fault::point("DescribeActivations");
        let known = all.into_iter().map(|activation| KnownActivation {
            // Ids are compared with those of files, which people may have typed in capitals.
            id: activation.activation_id.unwrap_or_default().to_ascii_lowercase(),
            description: activation.description.unwrap_or_default(),
            registrations: activation.registrations_count.unwrap_or_default(),
            expired: activation.expired,
        });
        // What has no id cannot be deleted either.
        Ok(known.filter(|activation| !activation.id.is_empty()).collect())
    }

    /// Deletes an activation. One that AWS does not have is as good as deleted: a second attempt after an answer that
    /// never arrived finds exactly that.
    ///
    /// # Errors
    /// When AWS refuses or cannot be reached.
    pub fn delete_activation(&self, id: &str) -> Result<(), AwsError> {
        fault::point("DeleteActivation");
        let result =
            self.wait(&format!("delete activation {id}"), self.client.delete_activation().activation_id(id).send());
        fault::point("DeleteActivation");
        match result {
            Ok(_) => Ok(()),
            // The id came from AWS, so it is one; both codes say that it is not there (any more).
            Err(error) if matches!(error.code.as_deref(), Some("InvalidActivation" | "InvalidActivationId")) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
