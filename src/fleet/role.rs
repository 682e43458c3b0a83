//! `fleet check-role`: whether the recipe's role can serve hybrid nodes.

use serde::Serialize;
use serde_json::Value;

use crate::aws::{AwsError, Iam, Ssm, partition_name};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Good,
    /// Something that fleets often want does not work.
    Advice,
    /// It could not be found out.
    Unknown,
    /// Nodes cannot work with this.
    Problem,
}

/// What was found, and what to do about it in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleFinding {
    /// A stable name: `trust`, `core-policy`, `session-logs`, `patching`, `tier`.
    pub id: &'static str,
    /// How much it matters.
    pub level: Level,
    /// What was found.
    pub text: String,
    /// What to do.
    pub remedy: Option<String>,
}

const SSM: &str = "ssm.amazonaws.com";

/// The least that an agent needs to be a managed node and to have sessions (AmazonSSMManagedInstanceCore, shortened).
const CORE: [&str; 3] =
    ["ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:OpenDataChannel"];
const LOGS: [&str; 2] = ["logs:CreateLogStream", "logs:PutLogEvents"];
const PATCH: [&str; 2] = ["ssm:GetDeployablePatchSnapshotForInstance", "ssm:PutComplianceItems"];

/// Checks the role and the account's tier. What may not be read is a finding, not an error.
///
/// # Errors
/// When AWS cannot be reached at all.
pub fn check(role: &str, region: &str) -> Result<Vec<RoleFinding>, AwsError> {
    let aws = Ssm::connect(region)?;
    let iam = aws.iam()?;
    let mut findings = Vec::new();
    // `service-role/NAME` is a path and a name; IAM asks for the name alone.
    let name = role.rsplit('/').next().unwrap_or(role);

    match iam.trust_policy(name) {
        Ok(document) => {
            findings.push(judge_trust(name, &document));
            findings.extend(check_policies(&iam, name, region)?);
        }
        // Without the role there are no policies to look at.
        Err(error) if error.code.as_deref() == Some("NoSuchEntity") => findings.push(RoleFinding {
            id: "trust",
            level: Level::Problem,
            text: format!("there is no role {name:?}"),
            remedy: Some(format!(
                "aws iam create-role --role-name {name} --assume-role-policy-document '{}'",
                trust_policy()
            )),
        }),
        Err(error) => findings.push(unreadable("trust", &error)?),
    }
    findings.push(match aws.tier() {
        Ok((tier, _)) if tier == "advanced" => RoleFinding {
            id: "tier",
            level: Level::Good,
            text: "the account has the advanced-instances tier: Session Manager works on hybrid nodes".to_owned(),
            remedy: None,
        },
        // Only advice: nodes register and run commands without it, and it costs.
        Ok((_, setting)) => RoleFinding {
            id: "tier",
            level: Level::Advice,
            text: "the account has the standard tier: Session Manager does not reach hybrid nodes (Run Command does)"
                .to_owned(),
            remedy: Some(format!(
                "aws ssm update-service-setting --region {region} --setting-value advanced --setting-id {setting} (it costs)"
            )),
        },
        Err(error) => unreadable("tier", &error)?,
    });
    Ok(findings)
}

/// A refusal to answer is a finding; no answer at all is an error.
fn unreadable(id: &'static str, error: &AwsError) -> Result<RoleFinding, AwsError> {
    // It is only reading: nothing can have been done all the same.
    if error.code.is_none() {
        return Err(AwsError { ambiguous: false, ..error.clone() });
    }
    let remedy =
        error.is_denied().then(|| "give yourself the policy of: cardsmith fleet policy RECIPE --admin".to_owned());
    Ok(RoleFinding { id, level: Level::Unknown, text: format!("not found out: {}", error.plain()), remedy })
}

fn trust_policy() -> Value {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": { "Service": SSM }, "Action": "sts:AssumeRole" }],
    })
}

fn judge_trust(name: &str, document: &str) -> RoleFinding {
    let policy: Value = serde_json::from_str(document).unwrap_or(Value::Null);
    let assuming: Vec<&Value> = statements(&policy)
        .filter(|statement| statement["Effect"] == "Allow" && allows(statement, "sts:AssumeRole"))
        .collect();
    let services = assuming.iter().flat_map(|statement| words(&statement["Principal"]["Service"]));
    let services: Vec<&str> = services.collect();
    let remedy = Some(format!(
        "aws iam update-assume-role-policy --role-name {name} --policy-document '{}' (keep what else it must say)",
        trust_policy()
    ));
    // EC2 is told apart because it is the usual mistake: its role has the same policies and looks right.
    let (level, text, remedy) = if services.contains(&SSM) {
        (Level::Good, format!("{SSM} may assume the role"), None)
    } else if services.contains(&"ec2.amazonaws.com") {
        let text =
            format!("only EC2 instances may assume the role, as Quick Setup for EC2 makes it; hybrid nodes need {SSM}");
        (Level::Problem, text, remedy)
    } else {
        (Level::Problem, format!("the trust policy does not let {SSM} assume the role"), remedy)
    };
    RoleFinding { id: "trust", level, text, remedy }
}

/// The address of a policy that AWS itself keeps. China and GovCloud have their own copies of them.
fn policy_of_aws(region: &str, policy: &str) -> String {
    format!("arn:{partition}:iam::aws:policy/{policy}", partition = partition_name(region))
}

fn check_policies(iam: &Iam<'_>, role: &str, region: &str) -> Result<Vec<RoleFinding>, AwsError> {
    let managed = match iam.managed_policies(role) {
        Ok(managed) => managed,
        Err(error) => return Ok(vec![unreadable("core-policy", &error)?]),
    };
    // Inline policies may do the same; where they may not be read, only the managed ones count.
    let inline = iam.inline_policies(role).unwrap_or_default();
    let inline: Vec<Value> = inline.iter().filter_map(|policy| serde_json::from_str(policy).ok()).collect();
    let has = |names: &[&str], actions: &[&str]| {
        // By name: AWS changes what its policies hold, not what they are called.
        managed.iter().any(|name| names.contains(&name.as_str()))
            || actions.iter().all(|action| inline.iter().any(|policy| grants(policy, action)))
    };
    let finding = |id, level, names: &[&str], actions: &[&str], good: &str, bad: &str| {
        if has(names, actions) {
            return RoleFinding { id, level: Level::Good, text: good.to_owned(), remedy: None };
        }
        let policy = names.first().copied().unwrap_or_default();
        let arn = policy_of_aws(region, policy);
        let remedy = Some(format!("aws iam attach-role-policy --role-name {role} --policy-arn {arn}"));
        RoleFinding { id, level, text: bad.to_owned(), remedy }
    };
    Ok(vec![
        finding(
            "core-policy",
            Level::Problem,
            &["AmazonSSMManagedInstanceCore"],
            &CORE,
            "the role has what a managed node needs",
            "AmazonSSMManagedInstanceCore is not attached: nodes register, but never come online (a policy of your own \
             that is attached is not looked into)",
        ),
        finding(
            "session-logs",
            Level::Advice,
            &["CloudWatchAgentServerPolicy", "CloudWatchLogsFullAccess"],
            &LOGS,
            "sessions can be logged to CloudWatch",
            "sessions cannot be logged to CloudWatch",
        ),
        finding(
            "patching",
            Level::Advice,
            &["AmazonSSMPatchAssociation"],
            &PATCH,
            "Patch Manager can work",
            "Patch Manager cannot work with patch policies",
        ),
    ])
}

/// Whether a policy allows `action` on something and forbids it on nothing. A rough look, not IAM's evaluation.
fn grants(policy: &Value, action: &str) -> bool {
    let of_effect = |effect: &'static str| {
        statements(policy).any(move |statement| statement["Effect"] == effect && allows(statement, action))
    };
    // Any denial counts, whatever its condition: a warning too many is better than a broken role called good.
    of_effect("Allow") && !of_effect("Deny")
}

fn allows(statement: &Value, action: &str) -> bool {
    // IAM compares actions without regard to case.
    words(&statement["Action"]).any(|pattern| matches(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase()))
}

/// `*` at the end or anywhere, as in IAM's action patterns.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| matches(tail, rest.get(at..).unwrap_or_default()))
}

/// A policy has one statement or a list of them.
fn statements(policy: &Value) -> impl Iterator<Item = &Value> {
    let statement = &policy["Statement"];
    let list = statement.as_array().map_or_else(|| std::slice::from_ref(statement), Vec::as_slice);
    list.iter()
}

/// One word or a list of them.
fn words(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_patterns_match_as_iams_do() {
        for (pattern, text) in [("*", "ssm:x"), ("ssm:*", "ssm:put"), ("ssm:p*t", "ssm:put"), ("ssm:put", "ssm:put")] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "ssm:x"), ("ssm:p*x", "ssm:put"), ("s3:*", "ssm:put"), ("ssm:", "ssm:put")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_policy_of_aws_is_named_as_its_partition_does() {
        for (region, arn) in
            [("eu-west-1", "arn:aws:"), ("cn-north-1", "arn:aws-cn:"), ("us-gov-west-1", "arn:aws-us-gov:")]
        {
            assert_eq!(policy_of_aws(region, "X"), format!("{arn}iam::aws:policy/X"));
        }
    }

    #[test]
    fn a_trust_policy_in_any_of_its_forms_is_understood() {
        let level = |document: &str| judge_trust("r", document).level;
        let one =
            r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"ssm.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
        assert_eq!(level(one), Level::Good);
        let many = r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":["ec2.amazonaws.com","ssm.amazonaws.com"]},
            "Action":["sts:AssumeRole","sts:TagSession"]}]}"#;
        assert_eq!(level(many), Level::Good);
        let ec2 = judge_trust("r", &one.replace("ssm.", "ec2."));
        assert!(ec2.level == Level::Problem && ec2.text.contains("Quick Setup"), "{ec2:?}");
        assert_eq!(level(&one.replace("Allow", "Deny")), Level::Problem);
        assert_eq!(level("not JSON"), Level::Problem);
    }
}
