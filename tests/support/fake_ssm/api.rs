//! SSM's operations, JSON 1.1.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::http::{Answer, Request};
use super::{FakeActivation, FakeNode, REGION, State};

const JSON: &str = "application/x-amz-json-1.1";
const THIRTY_DAYS: f64 = 30.0 * 86_400.0;

/// A refusal, as SSM words it.
pub struct Refusal {
    pub code: &'static str,
    pub message: String,
}

type Outcome = Result<Value, Refusal>;

fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, message: message.into() })
}

/// A refusal as an answer, in SSM's or in IAM's way.
pub fn refusal(code: &str, message: &str, is_iam: bool) -> Answer {
    if is_iam {
        return super::iam::refusal(400, code, message);
    }
    Answer { status: 400, kind: JSON, body: json!({ "__type": code, "message": message }).to_string() }
}

/// What AWS says when it is at fault itself.
pub fn internal_error(is_iam: bool) -> Answer {
    if is_iam {
        return super::iam::refusal(500, "ServiceFailure", "internal");
    }
    Answer { status: 500, kind: JSON, body: json!({ "__type": "InternalServerError", "message": "oops" }).to_string() }
}

/// Answers one call.
pub fn answer(state: &mut State, operation: &str, body: &Value, request: &Request) -> Answer {
    let anonymous = matches!(operation, "RegisterManagedInstance" | "RequestManagedInstanceRoleToken");
    let region = request.header("authorization").and_then(region_of);
    let outcome = match (region, anonymous) {
        (None, false) => refuse("MissingAuthenticationTokenException", "Missing Authentication Token"),
        (region, _) => operate(state, operation, body, &region.unwrap_or_else(|| REGION.to_owned())),
    };
    match outcome {
        Ok(value) => Answer { status: 200, kind: JSON, body: value.to_string() },
        Err(Refusal { code, message }) => refusal(code, &message, false),
    }
}

/// `AWS4-HMAC-SHA256 Credential=AKID/20261123/eu-west-1/ssm/aws4_request, …`
fn region_of(authorization: &str) -> Option<String> {
    let scope = authorization.split("Credential=").nth(1)?.split(',').next()?;
    scope.split('/').nth(2).map(str::to_owned)
}

fn operate(state: &mut State, operation: &str, body: &Value, region: &str) -> Outcome {
    match operation {
        "CreateActivation" => create(state, body, region),
        "DescribeActivations" => describe_activations(state, body, region),
        "DeleteActivation" => delete(state, body, region),
        "DescribeInstanceInformation" => describe_instances(state, body, region),
        "DeregisterManagedInstance" => deregister(state, body, region),
        "AddTagsToResource" => add_tags(state, body),
        "GetParameter" => parameter(state, body),
        "GetServiceSetting" => service_setting(state, body, region),
        "RegisterManagedInstance" => register(state, body),
        "RequestManagedInstanceRoleToken" => role_token(state),
        "UpdateInstanceInformation" => update_information(state, body),
        _ => refuse("UnknownOperationException", operation),
    }
}

fn text<'v>(body: &'v Value, key: &str) -> &'v str {
    body[key].as_str().unwrap_or_default()
}

fn is_name(text: &str) -> bool {
    text.chars().count() <= 256
        && text.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c))
}

/// A code as AWS makes them: 20 characters, `/` and `+` among them.
fn new_code() -> String {
    let bytes = Uuid::new_v4().into_bytes();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+";
    let body: String = bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % 64])).collect();
    format!("{body}/a+Z")
}

pub fn new_activation(state: &mut State, region: &str, name: &str, description: &str) -> FakeActivation {
    FakeActivation {
        id: Uuid::new_v4().to_string(),
        code: new_code(),
        region: region.to_owned(),
        description: description.to_owned(),
        name: name.to_owned(),
        role: "ssm-managed-instance".to_owned(),
        limit: 1,
        registrations: 0,
        created: state.now(),
        expires: state.now() + 86_400.0,
        tags: BTreeMap::new(),
        deleted: false,
    }
}

fn tags_of(body: &Value) -> Result<BTreeMap<String, String>, Refusal> {
    let mut tags = BTreeMap::new();
    for tag in body["Tags"].as_array().into_iter().flatten() {
        let (key, value) = (text(tag, "Key"), text(tag, "Value"));
        if key.is_empty()
            || key.chars().count() > 128
            || value.chars().count() > 256
            || !is_name(key)
            || !is_name(value)
        {
            return refuse("ValidationException", format!("invalid tag {key}"));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return refuse("InvalidParameters", format!("duplicate tag key {key}"));
        }
    }
    if tags.len() > 50 {
        return refuse("TooManyTagsError", "more than 50 tags");
    }
    Ok(tags)
}

fn create(state: &mut State, body: &Value, region: &str) -> Outcome {
    let (role, description, name) =
        (text(body, "IamRole"), text(body, "Description"), text(body, "DefaultInstanceName"));
    if role.is_empty() || role.chars().count() > 64 {
        return refuse("ValidationException", "1 validation error detected: IamRole must have length 1 to 64");
    }
    if description.chars().count() > 256 || !is_name(name) {
        return refuse("ValidationException", "Description or DefaultInstanceName is too long or has bad characters");
    }
    if role.starts_with("arn:") || (!state.roles.is_empty() && !state.roles.contains_key(role)) {
        let message = "Nonexistent role or missing ssm service principal in trust policy: arn:aws:iam::1:role/x";
        return refuse("ValidationException", message);
    }
    let limit = body["RegistrationLimit"].as_i64().unwrap_or(1);
    if !(1..=1000).contains(&limit) {
        return refuse("ValidationException", "RegistrationLimit must be 1 to 1000");
    }
    let now = state.now();
    let expires = body["ExpirationDate"].as_f64().unwrap_or(now + 86_400.0);
    if expires <= now || expires > now + THIRTY_DAYS {
        return refuse("InvalidParameters", "ExpirationDate must be in the future and within 30 days");
    }
    let mut activation = new_activation(state, region, name, description);
    activation.role = role.to_owned();
    activation.limit = limit;
    activation.expires = expires;
    activation.tags = tags_of(body)?;
    let answer = json!({ "ActivationId": activation.id, "ActivationCode": activation.code });
    state.activations.push(activation);
    Ok(answer)
}

/// One page of `all`, and the token of the next one.
fn page(state: &State, body: &Value, least: i64, key: &str, all: &[Value]) -> Outcome {
    let wanted = body["MaxResults"].as_i64().unwrap_or(50);
    if !(least..=50).contains(&wanted) {
        return refuse("ValidationException", format!("MaxResults must be between {least} and 50"));
    }
    let start = match body["NextToken"].as_str() {
        None => 0,
        Some(token) => match token.strip_prefix("page-").and_then(|text| text.parse::<usize>().ok()) {
            Some(start) => start,
            None => return refuse("InvalidNextToken", "the token is not valid"),
        },
    };
    let size = state.page.unwrap_or(50).min(usize::try_from(wanted).unwrap());
    let end = (start + size).min(all.len());
    let mut answer = json!({ key: all.get(start..end).unwrap_or_default() });
    if end < all.len() {
        answer["NextToken"] = json!(format!("page-{end}"));
    }
    Ok(answer)
}

fn filters<'b>(body: &'b Value, list: &str, key: &str, values: &str) -> Vec<(&'b str, Vec<&'b str>)> {
    let filters = body[list].as_array().into_iter().flatten();
    filters
        .map(|filter| {
            let of = filter[values].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            (filter[key].as_str().unwrap_or_default(), of)
        })
        .collect()
}

fn describe_activations(state: &State, body: &Value, region: &str) -> Outcome {
    let filters = filters(body, "Filters", "FilterKey", "FilterValues");
    let mut all = Vec::new();
    for a in state.activations.iter().filter(|a| !a.deleted && a.region == region) {
        let mut fits = true;
        for (key, values) in &filters {
            let value = match *key {
                "ActivationIds" => &a.id,
                "DefaultInstanceName" => &a.name,
                "IamRole" => &a.role,
                _ => return refuse("InvalidFilter", "unknown filter key"),
            };
            fits &= values.contains(&value.as_str());
        }
        if fits {
            let tags: Vec<_> = a.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
            all.push(json!({
                "ActivationId": a.id, "Description": a.description, "DefaultInstanceName": a.name,
                "IamRole": a.role, "RegistrationLimit": a.limit, "RegistrationsCount": a.registrations,
                "ExpirationDate": a.expires, "Expired": a.expires <= state.now(), "CreatedDate": a.created,
                "Tags": tags,
            }));
        }
    }
    page(state, body, 1, "ActivationList", &all)
}

fn delete(state: &mut State, body: &Value, region: &str) -> Outcome {
    let id = text(body, "ActivationId");
    if Uuid::parse_str(id).is_err() {
        return refuse("InvalidActivationId", "The activation ID isn't valid.");
    }
    match state.activations.iter_mut().find(|a| a.id == id && a.region == region) {
        Some(activation) if !activation.deleted => activation.deleted = true,
        Some(_) => return refuse("InvalidActivation", "The activation isn't valid. It might have been deleted."),
        None => return refuse("InvalidActivationId", "The activation ID isn't valid."),
    }
    Ok(json!({}))
}

fn describe_instances(state: &State, body: &Value, region: &str) -> Outcome {
    let old = body["InstanceInformationFilterList"].is_array();
    if old && body["Filters"].is_array() {
        return refuse("ValidationException", "Filters and InstanceInformationFilterList cannot be used together");
    }
    let filters = filters(body, "Filters", "Key", "Values");
    let mut all = Vec::new();
    for node in state.nodes.iter().filter(|node| !node.deregistered && node.region == region) {
        let mut fits = true;
        for (key, values) in &filters {
            if values.is_empty() || values.len() > 100 {
                return refuse("ValidationException", "a filter takes 1 to 100 values");
            }
            let value = match *key {
                "ActivationIds" => node.activation_id.as_str(),
                "InstanceIds" => node.id.as_str(),
                "PingStatus" => node.ping.as_str(),
                "IamRole" => node.role.as_str(),
                "ResourceType" => "ManagedInstance",
                key => match key.strip_prefix("tag:") {
                    Some(tag) => node.tags.get(tag).map_or("", String::as_str),
                    None => return refuse("InvalidFilterKey", "unknown filter key"),
                },
            };
            fits &= values.contains(&value);
        }
        if fits {
            all.push(json!({
                "InstanceId": node.id, "ActivationId": node.activation_id, "Name": node.name,
                "ComputerName": node.name, "PingStatus": node.ping, "LastPingDateTime": node.registered,
                "AgentVersion": node.agent_version, "IsLatestVersion": true, "PlatformType": "Linux",
                "PlatformName": "Debian GNU/Linux", "PlatformVersion": "13", "IamRole": node.role,
                "RegistrationDate": node.registered, "ResourceType": "ManagedInstance", "IPAddress": "192.0.2.7",
            }));
        }
    }
    page(state, body, 5, "InstanceInformationList", &all)
}

fn deregister(state: &mut State, body: &Value, region: &str) -> Outcome {
    let id = text(body, "InstanceId");
    let node = state.nodes.iter_mut().find(|node| node.id == id && node.region == region && !node.deregistered);
    match node {
        Some(node) => node.deregistered = true,
        None => return refuse("InvalidInstanceId", format!("{id} is not a managed instance")),
    }
    Ok(json!({}))
}

fn add_tags(state: &mut State, body: &Value) -> Outcome {
    let tags = tags_of(body)?;
    if text(body, "ResourceType") != "ManagedInstance" {
        return refuse("InvalidResourceType", "only managed instances here");
    }
    match state.nodes.iter_mut().find(|node| node.id == text(body, "ResourceId")) {
        Some(node) => node.tags.extend(tags),
        None => return refuse("InvalidResourceId", "no such instance"),
    }
    Ok(json!({}))
}

fn service_setting(state: &State, body: &Value, region: &str) -> Outcome {
    let id = text(body, "SettingId");
    if !id.ends_with("/ssm/managed-instance/activation-tier") {
        return refuse("ServiceSettingNotFound", "unknown setting");
    }
    Ok(json!({ "ServiceSetting": {
        "SettingId": "/ssm/managed-instance/activation-tier", "SettingValue": state.tier, "Status": "Default",
        "LastModifiedDate": 1_700_000_000.0, "LastModifiedUser": "System",
        "ARN": format!("arn:aws:ssm:{region}:123456789012:servicesetting/ssm/managed-instance/activation-tier"),
    }}))
}

/// The agent's side: anonymous, the code is the credential.
pub fn register(state: &mut State, body: &Value) -> Outcome {
    let (id, code, fingerprint) = (text(body, "ActivationId"), text(body, "ActivationCode"), text(body, "Fingerprint"));
    if id.len() < 36 || code.len() < 20 {
        return refuse("ValidationException", "ActivationId or ActivationCode is too short");
    }
    if text(body, "PublicKeyType") != "Rsa" || text(body, "PublicKey").is_empty() {
        return refuse("InvalidPublicKey", "The public key is not valid");
    }
    let now = state.now();
    let serial = state.next_serial();
    let known = state.nodes.iter().any(|node| node.fingerprint == fingerprint && !node.deregistered);
    let Some(activation) = state.activations.iter_mut().find(|a| a.id == id && a.code == code && !a.deleted) else {
        return refuse("InvalidActivation", "The activation isn't valid.");
    };
    if activation.expires <= now {
        return refuse("ActivationExpired", "The activation has expired.");
    }
    if activation.registrations >= activation.limit {
        return refuse("RegistrationLimitExceeded", "The activation's registration limit is reached.");
    }
    if known {
        return refuse("InstanceAlreadyRegistered", "An instance with this fingerprint is registered.");
    }
    activation.registrations += 1;
    let node = FakeNode {
        id: format!("mi-{serial:017x}"),
        activation_id: id.to_owned(),
        region: activation.region.clone(),
        name: activation.name.clone(),
        role: activation.role.clone(),
        fingerprint: fingerprint.to_owned(),
        public_key: text(body, "PublicKey").to_owned(),
        ping: "Online".to_owned(),
        agent_version: "3.3.987.0".to_owned(),
        registered: now,
        tags: activation.tags.clone(),
        deregistered: false,
    };
    let answer = json!({ "InstanceId": node.id });
    state.nodes.push(node);
    Ok(answer)
}

fn parameter(state: &State, body: &Value) -> Outcome {
    let name = text(body, "Name");
    let Some((secure, value)) = state.parameters.get(name) else { return refuse("ParameterNotFound", "") };
    let value = match (secure, body["WithDecryption"].as_bool()) {
        (true, Some(true)) | (false, _) => value.clone(),
        (true, _) => "AQICAHhEncrypted".to_owned(),
    };
    let kind = if *secure { "SecureString" } else { "String" };
    Ok(json!({ "Parameter": { "Name": name, "Type": kind, "Value": value, "Version": 1, "DataType": "text" } }))
}

fn role_token(state: &State) -> Outcome {
    Ok(json!({
        "AccessKeyId": "ASIAFAKE", "SecretAccessKey": "fake", "SessionToken": "fake", "UpdateKeyPair": false,
        "TokenExpirationDate": state.now() + 3600.0,
    }))
}

fn update_information(state: &mut State, body: &Value) -> Outcome {
    if let Some(node) = state.nodes.iter_mut().find(|node| node.id == text(body, "InstanceId")) {
        node.ping = "Online".to_owned();
        node.agent_version = text(body, "AgentVersion").to_owned();
    }
    Ok(json!({}))
}
