//! Finds the telling parts of a text: keys, ids, tokens and codes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::set::{Scope, Traces};

/// Key material is searched for in pieces of this length, so that a piece left behind is found too.
const PIECE: usize = 32;

/// Everything telling in one removed (or rewritten) text.
pub fn from_text(traces: &mut Traces, text: &str, origin: &str) {
    instance_ids(traces, text, origin);
    json_fields(traces, text, origin);
    pem_blocks(traces, text, origin);
    credentials(traces, text, origin);
    activation_codes(traces, text, origin);
}

/// Key material in base64: in pieces, as text and decoded.
pub fn base64_key(traces: &mut Traces, text: &str, kind: &'static str, origin: &str) {
    pieces(traces, text.as_bytes(), kind, origin);
    // Decoded as well: DER, or base64 with other line breaks, is the same key in other bytes.
    if let Ok(decoded) = STANDARD.decode(text.trim()) {
        pieces(traces, &Zeroizing::new(decoded), kind, origin);
    }
}

fn pieces(traces: &mut Traces, bytes: &[u8], kind: &'static str, origin: &str) {
    // In pieces: of a key that a block's edge cuts in two, one piece is whole. A short rest is left out, for few bytes
    // are found by chance.
    for piece in bytes.chunks(PIECE).filter(|piece| piece.len() == PIECE || bytes.len() < PIECE) {
        traces.add(piece, kind, origin, Scope::Anywhere);
    }
}

/// `mi-` and 17 hexadecimal digits (API: `^mi-[0-9a-f]{17}$`).
pub fn instance_ids(traces: &mut Traces, text: &str, origin: &str) {
    const DIGITS: usize = 17;
    for (at, _) in text.match_indices("mi-") {
        let id = text.get(at..at + 3 + DIGITS).unwrap_or_default();
        let behind = text.as_bytes().get(at + 3 + DIGITS);
        // More digits behind make it something else, such as a digest.
        let digits = id.bytes().skip(3).filter(u8::is_ascii_hexdigit).count();
        if digits == DIGITS && !behind.is_some_and(u8::is_ascii_hexdigit) {
            traces.add(id.as_bytes(), "instance id", origin, Scope::Anywhere);
        }
    }
}

/// The fields of the agent's JSON files that must be gone
/// (`agent/managedInstances/registration/instance_info.go`, `fingerprint/fingerprint.go`).
fn json_fields(traces: &mut Traces, text: &str, origin: &str) {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text) else { return };
    let field = |name: &str| fields.get(name).and_then(serde_json::Value::as_str).filter(|v| !v.is_empty());
    if let Some(key) = field("privateKey") {
        base64_key(traces, key, "private key", origin);
    }
    if let Some(id) = field("fingerprint") {
        traces.add(id.as_bytes(), "fingerprint", origin, Scope::Anywhere);
    }
    // Whatever their form: the agent's own fields need not look like `mi-` and 17 digits.
    for name in ["instanceID", "ManagedInstanceID", "InstanceId"] {
        if let Some(id) = field(name) {
            traces.add(id.as_bytes(), "instance id", origin, Scope::Anywhere);
        }
    }
}

/// `-----BEGIN … PRIVATE KEY-----`: each line as it stands, and what it decodes to.
fn pem_blocks(traces: &mut Traces, text: &str, origin: &str) {
    let mut body: Option<Zeroizing<String>> = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with("-----BEGIN ") && line.contains("PRIVATE KEY") {
            body = Some(Zeroizing::new(String::new()));
        } else if line.starts_with("-----END ") {
            if let Some(decoded) = body.take().and_then(|body| STANDARD.decode(body.as_bytes()).ok()) {
                pieces(traces, &Zeroizing::new(decoded), "private key", origin);
            }
        } else if let Some(body) = body.as_mut() {
            body.push_str(line);
            // Each line as it stands, and above the whole decoded: what is left may be either.
            pieces(traces, line.as_bytes(), "private key", origin);
        }
    }
}

/// Values of an AWS credentials file (`agent/sharedCredentials/shared_Credentials.go`).
fn credentials(traces: &mut Traces, text: &str, origin: &str) {
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        match name.as_str() {
            "aws_access_key_id" => traces.add(value.as_bytes(), "access key id", origin, Scope::Anywhere),
            "aws_secret_access_key" => traces.add(value.as_bytes(), "secret access key", origin, Scope::Anywhere),
            // Hundreds of characters, and any part of it tells.
            "aws_session_token" => pieces(traces, value.as_bytes(), "session token", origin),
            _ => {}
        }
    }
}

/// Activation codes: the agent and its setup tool take them as arguments, so they stand in histories and logs
/// (`core/agent_parser.go`, `agent/setupcli/setupcli.go`), and in cloud-init's scripts.
pub fn activation_codes(traces: &mut Traces, text: &str, origin: &str) {
    const SHORTEST_CODE: usize = 20;
    for (at, word) in text.match_indices("-code").chain(text.match_indices("ActivationCode")) {
        let rest = text.get(at + word.len()..).unwrap_or_default();
        // `-code X`, `-code=X`, and JSON inside of JSON with its backslashes.
        let rest = rest.trim_start_matches(['=', ':', ' ', '\t', '"', '\'', '\\']);
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+/=".contains(c))).unwrap_or(rest.len());
        let code = rest.get(..end).unwrap_or_default();
        if code.len() >= SHORTEST_CODE {
            traces.add(code.as_bytes(), "activation code", origin, Scope::Anywhere);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, &'static str)> {
        let mut traces = Traces::default();
        from_text(&mut traces, text, "/x");
        traces.iter().map(|n| (String::from_utf8_lossy(&n.bytes).into_owned(), n.kind)).collect()
    }

    #[test]
    fn codes_are_found_however_they_were_typed() {
        let code = "ABCD+/efgh1234567890xyz";
        for text in [
            format!("sudo amazon-ssm-agent -register -code \"{code}\" -id x"),
            format!("amazon-ssm-agent -register -code={code} -id x"),
            format!("ssm-setup-cli -register -activation-code '{code}'"),
            format!("{{\"ActivationCode\":\"{code}\"}}"),
        ] {
            assert_eq!(found(&text), [(code.to_owned(), "activation code")], "{text}");
        }
        assert_eq!(found("gcc -code-model small"), []);
    }

    #[test]
    fn ids_are_whole_ids_and_nothing_longer() {
        assert_eq!(found("node mi-0123456789abcdef0."), [("mi-0123456789abcdef0".to_owned(), "instance id")]);
        assert_eq!(found("mi-0123456789abcdef01 mi-012 mi-é"), []);
    }

    #[test]
    fn a_key_is_searched_for_in_base64_and_decoded() {
        let key: Vec<u8> = (0..96u8).map(|i| i.wrapping_mul(37)).collect();
        let text = serde_json::json!({ "instanceID": "", "privateKey": STANDARD.encode(&key) }).to_string();
        let mut traces = Traces::default();
        from_text(&mut traces, &text, "/x");
        assert_eq!(traces.len(), 4 + 3);
        assert!(traces.iter().any(|n| *n.bytes == key[32..64]));
    }
}
