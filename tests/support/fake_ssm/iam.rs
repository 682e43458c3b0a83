//! The few IAM calls of the role check: the query protocol, form in, XML out.

use serde_json::{Map, Value};

use super::State;
use super::http::{Answer, Request};

/// A role as IAM keeps it.
#[derive(Debug, Clone, Default)]
pub struct FakeRole {
    /// The trust policy, as JSON.
    pub trust: String,
    /// Names of the managed policies that are attached.
    pub managed: Vec<String>,
    /// Names of its inline policies and what they say, as JSON.
    pub inline: Vec<(String, String)>,
}

impl FakeRole {
    /// A role that `service` may assume, with these managed policies.
    pub fn assumed_by(service: &str, managed: &[&str]) -> FakeRole {
        let trust = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Principal": { "Service": service }, "Action": "sts:AssumeRole" }],
        });
        let managed = managed.iter().map(|name| (*name).to_owned()).collect();
        FakeRole { trust: trust.to_string(), managed, inline: Vec::new() }
    }
}

/// Whether the request is signed for IAM, as far as that shows without checking the signature.
pub fn is_signed(request: &Request) -> bool {
    let signature = request.header("authorization").unwrap_or_default();
    signature.contains("/iam/aws4_request,")
        && signature.contains("SignedHeaders=content-type;host;x-amz-date,")
        && request.header("x-amz-date").is_some()
}

/// The operation and the fields of a form.
pub fn operation(body: &[u8]) -> (String, Value) {
    let mut fields = Map::new();
    for pair in String::from_utf8_lossy(body).split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.insert(decode(key), Value::String(decode(value)));
    }
    let name = fields.get("Action").and_then(Value::as_str).unwrap_or("?").to_owned();
    (name, Value::Object(fields))
}

fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                u8::from_str_radix(&String::from_utf8_lossy(&hex), 16).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Policies travel URL-encoded inside the XML.
fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A refusal in XML.
pub fn refusal(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>fake</RequestId></ErrorResponse>"
    );
    Answer { status, kind: "text/xml", body }
}

/// One page of a list, from the marker that the last page gave, and whether there is more. Without a page size of the
/// test's own, it is IAM's: 100.
fn page_of<'l, T>(list: &'l [T], state: &State, fields: &Value) -> (&'l [T], String) {
    let from = fields["Marker"].as_str().map_or(0, |marker| marker.parse().unwrap());
    let to = list.len().min(from + state.page.unwrap_or(100));
    let marker = if to < list.len() { format!("<Marker>{to}</Marker>") } else { String::new() };
    (&list[from..to], format!("<IsTruncated>{}</IsTruncated>{marker}", to < list.len()))
}

/// Answers one call.
pub fn answer(state: &State, operation: &str, fields: &Value) -> Answer {
    let name = fields["RoleName"].as_str().unwrap_or_default();
    let Some(role) = state.roles.get(name) else {
        return refusal(404, "NoSuchEntity", &format!("The role with name {name} cannot be found."));
    };
    let result = match operation {
        "GetRole" => format!(
            "<Role><Path>/</Path><RoleName>{name}</RoleName><RoleId>AROAFAKEFAKEFAKEFAKE</RoleId>\
             <Arn>arn:aws:iam::123456789012:role/{name}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>\
             <AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument></Role>",
            encode(&role.trust)
        ),
        "ListAttachedRolePolicies" => {
            let member = |name: &String| {
                format!(
                    "<member><PolicyName>{name}</PolicyName><PolicyArn>arn:aws:iam::aws:policy/{name}</PolicyArn></member>"
                )
            };
            let (page, more) = page_of(&role.managed, state, fields);
            let members: String = page.iter().map(member).collect();
            format!("{more}<AttachedPolicies>{members}</AttachedPolicies>")
        }
        "ListRolePolicies" => {
            let (page, more) = page_of(&role.inline, state, fields);
            let members: String = page.iter().map(|(name, _)| format!("<member>{name}</member>")).collect();
            format!("{more}<PolicyNames>{members}</PolicyNames>")
        }
        "GetRolePolicy" => {
            let wanted = fields["PolicyName"].as_str().unwrap_or_default();
            let Some((policy, text)) = role.inline.iter().find(|(policy, _)| policy == wanted) else {
                return refusal(404, "NoSuchEntity", "The role policy cannot be found.");
            };
            format!(
                "<RoleName>{name}</RoleName><PolicyName>{policy}</PolicyName><PolicyDocument>{}</PolicyDocument>",
                encode(text)
            )
        }
        _ => return refusal(400, "InvalidAction", operation),
    };
    let body = format!(
        "<{operation}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><{operation}Result>{result}\
         </{operation}Result><ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata></{operation}Response>"
    );
    Answer { status: 200, kind: "text/xml", body }
}
