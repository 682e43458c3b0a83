//! The regular expressions of the table, compiled once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use regex_lite::{Regex, RegexBuilder};

/// A setting whose name says that it is a secret, with a value that is none of a shell's variables.
pub const CREDENTIAL: &str = r#"^[^#;\n]*\b[\w.-]*(pass(word|wd|phrase)|secret|token|api[_-]?key|access[_-]?key|auth[_-]?key)[\w-]*["']?[ \t]*[=:][ \t]*["']?[^\s"'$%{<*]{6,}"#;
/// An address with a user and a password.
pub const PASSWORD_IN_ADDRESS: &str = r"^[^#;\n]*://[^/\s:@]+:[^/\s:@$]{3,}@";
/// An address with a token among its parameters.
pub const TOKEN_IN_ADDRESS: &str = r"[?&](access_?|auth_?)?(token|api_?key|key|auth)=[\w-]{12,}";
/// A password on the command line of a program that people call from scripts and crontabs.
pub const PASSWORD_OPTION: &str = concat!(
    r#"^[^#\n]*\b(curl\b[^#\n]*[ \t](-u[ \t]*|--(proxy-)?user[ =])["']?[^\s"':$]+:"#,
    r#"|sshpass[ \t]+-(?-i:p)[ \t]*["']?"#,
    r#"|mosquitto_(pub|sub|rr)\b[^#\n]*[ \t](-(?-i:P)[ \t]+|--pw[ =])["']?"#,
    r#"|(mysql|mariadb)(-?dump|-?admin)?\b[^#\n]*[ \t](-(?-i:p)|--password=)["']?"#,
    r#"|smbclient\b[^#\n]*[ \t]-(?-i:U)[ \t]*["']?[^\s"'%$]+%"#,
    r#"|wget\b[^#\n]*[ \t]--((http|ftp|proxy)-)?password[ =]["']?)[^\s"'$<]{3,}"#,
);
/// A header that logs in.
pub const AUTHORIZATION: &str = r#"authorization:\s*(bearer|basic|token)\s+[^\s$"']{8,}"#;
/// An AWS access key's id.
pub const AWS_KEY: &str = r"\b(AKIA|ASIA)[0-9A-Z]{16}\b";
/// A private key.
pub const PRIVATE_KEY: &str = r"-----BEGIN [A-Z ]*PRIVATE KEY-----";

/// Expressions that were compiled; `None` for one that does not, which a test holds there is none of.
type Compiled = OnceLock<Mutex<HashMap<&'static str, Option<Arc<Regex>>>>>;

/// Whether one of the table's expressions finds something in a text.
pub fn any_matches(expressions: &[&'static str], text: &str) -> bool {
    expressions.iter().any(|expression| compiled(expression).is_some_and(|regex| regex.is_match(text)))
}

/// The expression, ready for use. Without regard to case; `^` and `$` mean lines.
pub fn compiled(expression: &'static str) -> Option<Arc<Regex>> {
    static KNOWN: Compiled = OnceLock::new();
    known(&KNOWN, expression, || RegexBuilder::new(expression).case_insensitive(true).multi_line(true).build().ok())
}

/// The expression, ready for use, with regard to case, and where `^` and `$` mean the whole text.
pub fn exact(expression: &'static str) -> Option<Arc<Regex>> {
    static KNOWN: Compiled = OnceLock::new();
    known(&KNOWN, expression, || Regex::new(expression).ok())
}

fn known(known: &Compiled, expression: &'static str, make: impl FnOnce() -> Option<Regex>) -> Option<Arc<Regex>> {
    let mut known = known.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(expression).or_insert_with(|| make().map(Arc::new)).clone()
}
