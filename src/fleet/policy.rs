//! `fleet policy`: least-privilege IAM policies for who works with a fleet.

use serde_json::{Value, json};

use crate::aws::partition_name;

/// Whom a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Who logs in to the cards of this fleet.
    Operator,
    /// The bench that makes cards.
    Bench,
    /// Who retires cards and checks the role.
    Admin,
}

/// What the policy is about.
pub struct Scope<'a> {
    /// The recipe's name: the fleet is what carries the tag `Recipe` with this value.
    pub recipe: &'a str,
    /// The region; `*` where the recipe leaves it open.
    pub region: &'a str,
    /// The account number, or `*`.
    pub account: &'a str,
    /// The role that the fleet's nodes get.
    pub role: &'a str,
    /// The SSM parameter that the recipe names as a secret.
    pub parameter: Option<&'a str>,
}

/// The policy.
pub fn policy(audience: Audience, scope: &Scope<'_>) -> Value {
    let Scope { recipe, region, account, role, parameter } = scope;
    let aws = partition_name(region);
    let role = format!("arn:{aws}:iam::{account}:role/{role}");
    let nodes = format!("arn:{aws}:ssm:{region}:{account}:managed-instance/*");
    let of_fleet = json!({ "ssm:resourceTag/Recipe": recipe });
    let mut statements = match audience {
        Audience::Operator => vec![
            // With the document check on, a session needs one of the documents below as well as the node: nobody
            // with this policy can open a port forwarding session or one that runs elevated.
            json!({
                "Sid": "SessionsOnThisFleet", "Effect": "Allow", "Action": "ssm:StartSession", "Resource": nodes,
                "Condition": {
                    "StringEquals": of_fleet,
                    "BoolIfExists": { "ssm:SessionDocumentAccessCheck": "true" },
                },
            }),
            json!({
                "Sid": "ShellAndSshOnly", "Effect": "Allow", "Action": "ssm:StartSession",
                "Resource": [
                    format!("arn:{aws}:ssm:{region}:{account}:document/SSM-SessionManagerRunShell"),
                    format!("arn:{aws}:ssm:{region}::document/AWS-StartSSHSession"),
                ],
            }),
            // The tag that Session Manager puts on every session names who started it. Unlike the session's ARN it is
            // right for roles and single sign-on too.
            json!({
                "Sid": "OwnSessionsOnly", "Effect": "Allow", "Action": ["ssm:TerminateSession", "ssm:ResumeSession"],
                "Resource": format!("arn:{aws}:ssm:*:*:session/*"),
                "Condition": { "StringLike": { "ssm:resourceTag/aws:ssmmessages:session-id": "${aws:userid}" } },
            }),
            json!({
                "Sid": "OwnDataChannel", "Effect": "Allow", "Action": "ssmmessages:OpenDataChannel",
                "Resource": format!("arn:{aws}:ssm:*:*:session/${{aws:userid}}-*"),
            }),
            // These know no resource: they list, and show no content of a session.
            json!({
                "Sid": "FindNodes", "Effect": "Allow",
                "Action": ["ssm:DescribeInstanceInformation", "ssm:DescribeSessions", "ssm:GetConnectionStatus"],
                "Resource": "*",
            }),
        ],
        Audience::Bench => vec![
            // None of these knows a resource (service authorization reference of Systems Manager).
            json!({
                "Sid": "Activations", "Effect": "Allow",
                "Action": [
                    "ssm:CreateActivation", "ssm:DescribeActivations", "ssm:DeleteActivation",
                    "ssm:DescribeInstanceInformation",
                ],
                "Resource": "*",
            }),
            // The bench tags no node itself: this is for the tags that an activation hands on to its nodes.
            json!({ "Sid": "TagNodes", "Effect": "Allow", "Action": "ssm:AddTagsToResource", "Resource": nodes }),
            json!({
                "Sid": "GiveNodesTheirRole", "Effect": "Allow", "Action": "iam:PassRole", "Resource": role,
                "Condition": { "StringEquals": { "iam:PassedToService": "ssm.amazonaws.com" } },
            }),
        ],
        Audience::Admin => vec![
            json!({
                "Sid": "RetireNodesOfThisFleet", "Effect": "Allow", "Action": "ssm:DeregisterManagedInstance",
                "Resource": nodes, "Condition": { "StringEquals": of_fleet },
            }),
            json!({
                "Sid": "RetireActivations", "Effect": "Allow",
                "Action": ["ssm:DescribeActivations", "ssm:DeleteActivation", "ssm:DescribeInstanceInformation"],
                "Resource": "*",
            }),
            json!({
                "Sid": "CheckTier", "Effect": "Allow", "Action": "ssm:GetServiceSetting",
                "Resource": format!("arn:{aws}:ssm:{region}:{account}:servicesetting/ssm/managed-instance/activation-tier"),
            }),
            json!({
                "Sid": "CheckRole", "Effect": "Allow",
                "Action": [
                    "iam:GetRole", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:GetRolePolicy",
                ],
                "Resource": role,
            }),
        ],
    };

    if let (Audience::Bench, Some(name)) = (audience, parameter) {
        // A parameter's name begins with a slash where it has one inside; its ARN has one slash in either case. With a
        // key of one's own, kms:Decrypt on that key is needed too.
        let name = name.trim_start_matches('/');
        statements.push(json!({
            "Sid": "ReadTheSecret", "Effect": "Allow", "Action": "ssm:GetParameter",
            "Resource": format!("arn:{aws}:ssm:{region}:{account}:parameter/{name}"),
        }));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}
