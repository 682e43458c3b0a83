//! Files behind https, with whatever proxy and certificates this machine has.

use std::sync::Arc;
use std::time::Duration;

use ureq::http::{HeaderMap, Response};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::download::{Answer, Refusal, Remote, parse_range, shown};
use super::error::SourceError;

/// A file on a web server.
pub(super) struct HttpsFile {
    url: String,
    agent: Agent,
}

impl HttpsFile {
    /// # Errors
    /// Where the certificates that `SSL_CERT_FILE` names cannot be read.
    pub(super) fn new(url: &str) -> Result<HttpsFile, SourceError> {
        let roots = roots().map_err(|what| SourceError::Download { url: shown(url), what })?;
        let agent = Agent::config_builder()
            // An https address is never left for plain http, not even by a redirect.
            .https_only(url.starts_with("https://"))
            .proxy(proxy(url))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            // A body may take hours on a slow line, but not stand still.
            .timeout_per_read(Some(Duration::from_secs(60)))
            .user_agent(concat!("cardsmith/", env!("CARGO_PKG_VERSION")))
            // What is hashed is the file as published, not as a server packs it for the way.
            .accept_encoding("identity")
            .build()
            .new_agent();
        Ok(HttpsFile { url: url.to_owned(), agent })
    }
}

impl Remote for HttpsFile {
    fn name(&self) -> String {
        shown(&self.url)
    }

    fn open(&self, from: u64, version: Option<&str>) -> Result<Answer, Refusal> {
        let mut request = self.agent.get(&self.url);
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
            // Without the same version the server sends all of the new one (RFC 9110, 13.1.5).
            request = request.header("If-Range", version.unwrap_or_default());
        }
        let response = request.call().map_err(|error| refusal(&error, from > 0))?;
        let version = version_of(response.headers());
        let (from, total) = match response.status().as_u16() {
            206 => content_range(&response)
                // A part without its place could be put anywhere.
                .ok_or_else(|| Refusal::Never("the server does not say which part of the file it sent".to_owned()))?,
            200 => (0, response.body().content_length()),
            // ureq follows redirects, and makes errors of 4xx and 5xx. What is left is no file.
            other => return Err(Refusal::Never(format!("the server answered {other} instead of a file"))),
        };
        Ok(Answer { from, total, version, body: Box::new(response.into_body().into_reader()) })
    }
}

/// A strong validator: a weak one may stand for other bytes (RFC 9110, 8.8.1).
fn version_of(headers: &HeaderMap) -> Option<String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // A weak tag begins with `W/`.
    let tag = header("etag").filter(|tag| tag.starts_with('"'));
    // A date can miss a change within a second. A server without tags has nothing better, and the digest decides in the
    // end.
    tag.or_else(|| header("last-modified")).map(str::to_owned)
}

/// `Content-Range: bytes 5-99/100`: the first byte, and the size of the file.
fn content_range(response: &Response<Body>) -> Option<(u64, Option<u64>)> {
    parse_range(response.headers().get("content-range")?.to_str().ok()?)
}

fn refusal(error: &ureq::Error, resuming: bool) -> Refusal {
    match error {
        ureq::Error::StatusCode(404 | 410) => Refusal::NotThere,
        // 412: another version. 416: the file has become shorter than what we have.
        ureq::Error::StatusCode(412 | 416) if resuming => Refusal::Changed,
        ureq::Error::StatusCode(code @ (401 | 403)) => {
            Refusal::Never(format!("the server does not give it to us ({code})"))
        }
        ureq::Error::StatusCode(code @ (408 | 429 | 500..)) => Refusal::Later(format!("the server answered {code}")),
        ureq::Error::StatusCode(code) => Refusal::Never(format!("the server answered {code}")),
        ureq::Error::RequireHttpsOnly(to) => Refusal::Never(format!("it leads away from https, to {}", shown(to))),
        ureq::Error::HostNotFound => Refusal::Never("there is no such host, or no network".to_owned()),
        ureq::Error::InvalidProxyUrl => Refusal::Never("the proxy variable holds no address".to_owned()),
        ureq::Error::Rustls(error) => Refusal::Never(unknown_server(error)),
        // A refused certificate comes wrapped in an I/O error, and only its text tells.
        ureq::Error::Io(error) if error.get_ref().is_some_and(|inner| inner.to_string().contains("certificate")) => {
            Refusal::Never(unknown_server(error))
        }
        other => Refusal::Unreachable(other.to_string()),
    }
}

fn unknown_server(error: &dyn std::error::Error) -> String {
    format!("the server is not known to be the right one: {error}; certificates of your own go into SSL_CERT_FILE")
}

/// The system's certificates, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name; where there are none at all, those
/// that Mozilla trusts.
fn roots() -> Result<RootCerts, String> {
    let found = rustls_native_certs::load_native_certs();
    let own = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| std::env::var_os(name).is_some());
    // Named by hand and unusable: to fall back to others would trust whom the user took away.
    if let (Some(name), true) = (own, found.certs.is_empty()) {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(format!("{name} is set and names no usable certificates{why}"));
    }
    // Small containers have none. Mozilla's list is compiled in.
    if found.certs.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    let certificates = found.certs.iter().map(|der| Certificate::from_der(der).to_owned());
    Ok(RootCerts::Specific(Arc::new(certificates.collect())))
}

/// As curl has it: `http_proxy` is not for https. `no_proxy` is looked at by ureq.
fn proxy(url: &str) -> Option<ureq::Proxy> {
    let for_https = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let wanted = url.starts_with("https://") && for_https.iter().any(|name| std::env::var_os(name).is_some());
    if wanted { ureq::Proxy::try_from_env() } else { None }
}
