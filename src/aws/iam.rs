//! What IAM says of a role: who may assume it, and which policies it has.

use super::error::AwsError;
use super::partition;
use super::query::{Api, Endpoint, Query, members, text_in};
use super::ssm::Ssm;
use crate::percent::decoded;

const API: Api = Api { id: "IAM", signs_as: "iam", version: "2010-05-08" };

/// More pages of policies than a role can have: it has at most some 20 managed and, by their total size, a few dozen
/// inline ones. What goes on after these goes on for ever.
const MOST_PAGES: usize = 50;

/// IAM, asked with somebody's credentials.
pub struct Iam<'s>(Query<'s>);

impl Ssm {
    /// IAM of the same account, with the same credentials.
    ///
    /// # Errors
    /// When the credentials are gone. Nothing was sent to IAM yet.
    pub fn iam(&self) -> Result<Iam<'_>, AwsError> {
        let config = &self.session.config;
        let partition = partition::of_region(self.session.region());
        let host = if config.use_fips() == Some(true) { partition.iam_fips } else { partition.iam };
        let usual = Endpoint { url: format!("https://{host}"), region: partition.iam_region.to_owned() };
        Query::new(&self.session, API, usual).map(Iam)
    }
}

impl Iam<'_> {
    /// A role's trust policy, as JSON.
    ///
    /// # Errors
    /// When AWS refuses (`NoSuchEntity`: there is no such role) or cannot be reached.
    pub fn trust_policy(&self, role: &str) -> Result<String, AwsError> {
        self.0.ask("read the role", "GetRole", &[("RoleName", role)], |result| {
            let role = super::query::child(result, "Role")?;
            // IAM sends policies percent-encoded (RFC 3986).
            Some(decoded(text_in(role, "AssumeRolePolicyDocument").unwrap_or_default()))
        })
    }

    /// The names of the managed policies that are attached to a role.
    ///
    /// # Errors
    /// When AWS refuses or cannot be reached.
    pub fn managed_policies(&self, role: &str) -> Result<Vec<String>, AwsError> {
        self.all_pages("list the role's policies", "ListAttachedRolePolicies", role, |page| {
            members(page, "AttachedPolicies")
                .filter_map(|policy| text_in(policy, "PolicyName"))
                .map(str::to_owned)
                .collect()
        })
    }

    /// A role's inline policies, as JSON.
    ///
    /// # Errors
    /// When AWS refuses or cannot be reached.
    pub fn inline_policies(&self, role: &str) -> Result<Vec<String>, AwsError> {
        let names = self.all_pages("list the role's own policies", "ListRolePolicies", role, |page| {
            members(page, "PolicyNames").filter_map(|name| name.text()).map(|name| name.trim().to_owned()).collect()
        })?;
        // One question for each: no call gives all policies of one role.
        let read = |name: &String| {
            let fields = [("RoleName", role), ("PolicyName", name)];
            self.0.ask("read a policy of the role", "GetRolePolicy", &fields, |result| {
                text_in(result, "PolicyDocument").map(decoded)
            })
        };
        names.iter().map(read).collect()
    }

    fn all_pages(
        &self,
        doing: &str,
        action: &str,
        role: &str,
        names: impl Fn(roxmltree::Node<'_, '_>) -> Vec<String>,
    ) -> Result<Vec<String>, AwsError> {
        let (mut all, mut marker) = (Vec::new(), None::<String>);
        for _ in 0..MOST_PAGES {
            let mut fields = vec![("RoleName", role)];
            fields.extend(marker.as_deref().map(|marker| ("Marker", marker)));
            let (found, next) = self.0.ask(doing, action, &fields, |page| {
                // IAM may cut a page off before it is full: only this tells whether there is more.
                let more = text_in(page, "IsTruncated") == Some("true");
                let next = text_in(page, "Marker").filter(|_| more).map(str::to_owned);
                Some((names(page), next))
            })?;
            all.extend(found);
            match next {
                Some(next) => marker = Some(next),
                None => return Ok(all),
            }
        }
        Err(AwsError::strange_answer(doing, "the list does not end"))
    }
}
