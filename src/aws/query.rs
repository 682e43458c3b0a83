//! AWS's Query protocol: a signed form goes out, XML comes back. IAM and STS speak nothing else.
//!
//! A handful of calls does not pay for an SDK of a service with 160: the protocol is an afternoon's reading, the
//! signature, the credentials and the HTTP client are the SDK's own.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_ssm::config::Credentials;
use aws_sdk_ssm::config::http::{HttpRequest, HttpResponse};
use aws_sdk_ssm::error::{ErrorMetadata, SdkError};
use aws_sdk_ssm::primitives::{DateTime, DateTimeFormat};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_types::service_config::ServiceConfigKey;
use roxmltree::{Document, Node, ParsingOptions};
use tokio::time::{sleep, timeout};

use super::error::{AwsError, THROTTLING, aws_error};
use super::session::Session;
use crate::percent::encoded_value;

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// Waits between tries, where the first or the second failed in a way that may pass. The SDK tries three times, too.
const WAITS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// Signatures are good for five minutes. A clock that is off by more is set right by what the service's clock says.
const SKEWED: i64 = 4 * 60;

/// The largest answer is a role's policy, some 100 KiB once it is percent-encoded. Nothing beyond this is read.
const MOST_BYTES: usize = 4 << 20;
const MOST_NODES: u32 = 100_000;

/// A service that speaks this protocol.
pub(super) struct Api {
    /// Its name in configuration files: `IAM`.
    pub id: &'static str,
    /// Its name in signatures: `iam`.
    pub signs_as: &'static str,
    /// The version of its API.
    pub version: &'static str,
}

/// Where a service listens, and the region that it wants signatures for.
pub(super) struct Endpoint {
    pub url: String,
    pub region: String,
}

/// One service, and what talks to it.
pub(super) struct Query<'s> {
    session: &'s Session,
    api: Api,
    endpoint: Endpoint,
    credentials: Credentials,
    connector: Connector,
}

type CallError = SdkError<ErrorMetadata, HttpResponse>;

impl<'s> Query<'s> {
    /// Nothing is sent yet. `usual` is where the service is, unless the environment or the profile says otherwise.
    ///
    /// # Errors
    /// When the credentials are gone.
    pub(super) fn new(session: &'s Session, api: Api, usual: Endpoint) -> Result<Query<'s>, AwsError> {
        let own = own_endpoint(session, api.id);
        // A server of one's own gets signatures for the session's region; AWS's wants its own.
        let endpoint = own.map_or(usual, |url| Endpoint { url, region: session.region().to_owned() });
        let mut settings = HttpConnectorSettings::builder();
        // No read timeout: `ask_once` bounds the attempt as a whole.
        settings.set_connect_timeout(session.config.timeout_config().and_then(|timeouts| timeouts.connect_timeout()));
        let connector = super::http::connector(Some(settings.build()), session.config.sleep_impl());
        let credentials = session.credentials()?;
        Ok(Query { session, api, endpoint, credentials, connector })
    }

    /// Asks for `action` and lets `read` make sense of its result. For questions alone: what fails in a way that may
    /// pass is asked again, and a change could be made twice that way.
    ///
    /// # Errors
    /// When AWS refuses or cannot be reached, or `read` finds nothing.
    pub(super) fn ask<T>(
        &self,
        doing: &str,
        action: &str,
        fields: &[(&str, &str)],
        read: impl Fn(Node<'_, '_>) -> Option<T>,
    ) -> Result<T, AwsError> {
        let answer = self.session.runtime.block_on(self.ask_patiently(action, fields));
        let answer = answer.map_err(|error| aws_error(doing, error))?;
        let unreadable = || AwsError::strange_answer(doing, "its answer could not be read");
        let document = parse(&answer).ok_or_else(unreadable)?;
        let result = child(document.root_element(), &format!("{action}Result")).ok_or_else(unreadable)?;
        read(result).ok_or_else(unreadable)
    }

    async fn ask_patiently(&self, action: &str, fields: &[(&str, &str)]) -> Result<String, CallError> {
        let form = form(&[("Action", action), ("Version", self.api.version)], fields);
        let mut waits = WAITS.iter();
        // How far the service's clock is ahead of ours, as far as we go by it.
        let mut ahead = 0;
        loop {
            let error = match self.ask_once(&form, ahead).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // A bench without a clock that is set is common; its signatures are always too old or too new. Once is
            // enough: where the right time does not help, something else is wrong.
            if let (0, Some(found)) = (ahead, skew(&error)) {
                ahead = found;
                continue;
            }
            match waits.next() {
                Some(wait) if may_pass(&error) => sleep(*wait).await,
                _ => return Err(error),
            }
        }
    }

    /// One attempt, from the signature to the last byte of the answer, within the time that one attempt may take.
    async fn ask_once(&self, form: &str, ahead: i64) -> Result<String, CallError> {
        let request = self.signed(form, ahead).map_err(SdkError::construction_failure)?;
        let attempt = async {
            let mut response = self.connector.call(request).await.map_err(dispatch_error)?;
            let status = response.status();
            let body = ByteStream::new(response.take_body());
            // Nothing, too, where it is longer than any answer.
            let Some(text) = text_of(body).await else {
                return Err(SdkError::response_error("the answer broke off or is not text", response));
            };
            if status.is_success() {
                return Ok(text);
            }
            // Only code and message go on from here, never the body.
            Err(SdkError::service_error(said(&text), response))
        };
        let limit = self.session.config.timeout_config().and_then(|timeouts| timeouts.operation_attempt_timeout());
        let Some(limit) = limit else { return attempt.await };
        match timeout(limit, attempt).await {
            Ok(answer) => answer,
            Err(late) => Err(SdkError::timeout_error(late)),
        }
    }

    fn signed(&self, form: &str, ahead: i64) -> Result<HttpRequest, Box<dyn std::error::Error + Send + Sync>> {
        let mut request = HttpRequest::new(form.into());
        request.set_method("POST")?;
        // A path is needed for the signature, and a server of one's own may have one.
        let url =
            if has_path(&self.endpoint.url) { self.endpoint.url.clone() } else { format!("{}/", self.endpoint.url) };
        request.set_uri(url.as_str())?;
        request.headers_mut().insert("content-type", FORM);

        let identity = self.credentials.clone().into();
        // A `Duration` has no sign.
        let shift = Duration::from_secs(ahead.unsigned_abs());
        let time = if ahead < 0 { SystemTime::now() - shift } else { SystemTime::now() + shift };
        let parameters = v4::SigningParams::builder().identity(&identity).region(&self.endpoint.region);
        let parameters = parameters.name(self.api.signs_as).time(time).settings(SigningSettings::default()).build()?;
        let headers = [("content-type", FORM)].into_iter();
        let signable = SignableRequest::new("POST", url.as_str(), headers, SignableBody::Bytes(form.as_bytes()))?;
        let (signature, _) = sign(signable, &parameters.into())?.into_parts();
        let (headers, _) = signature.into_parts();
        for header in headers {
            request.headers_mut().insert(header.name(), header.value().to_owned());
        }
        // Not signed: proxies change it.
        request.headers_mut().insert("user-agent", concat!("cardsmith/", env!("CARGO_PKG_VERSION")));
        Ok(request)
    }
}

/// The service's endpoint as the environment or the profile names it: `AWS_ENDPOINT_URL_IAM`, the profile's `services`,
/// `AWS_ENDPOINT_URL`, the profile's `endpoint_url`, in this order.
fn own_endpoint(session: &Session, id: &str) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id(id).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let of_service = || session.config.service_config()?.load_config(key.ok()?);
    of_service().or_else(|| session.config.endpoint_url().map(str::to_owned))
}

fn has_path(url: &str) -> bool {
    url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'))
}

fn form(first: &[(&str, &str)], fields: &[(&str, &str)]) -> String {
    let pairs = first.iter().chain(fields);
    let pairs = pairs.map(|(key, value)| format!("{}={}", encoded_value(key), encoded_value(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Told apart as the SDK does it: a connection that takes too long is a timeout, and no cause for a longer story.
fn dispatch_error(error: ConnectorError) -> CallError {
    if error.is_timeout() { SdkError::timeout_error(error) } else { SdkError::dispatch_failure(error) }
}

async fn text_of(mut body: ByteStream) -> Option<String> {
    let mut bytes = Vec::new();
    while let Some(more) = body.try_next().await.ok()? {
        bytes.extend_from_slice(&more);
        // Counted while it comes: a length in the header may be wrong.
        if bytes.len() > MOST_BYTES {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

fn parse(text: &str) -> Option<Document<'_>> {
    // No DTD: entities that blow up have no business in an answer.
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).ok()
}

/// `<ErrorResponse><Error><Code>…</Code><Message>…</Message></Error></ErrorResponse>`. What stands before the service
/// (gateways, proxies) answers in its own way, and has no code then.
fn said(text: &str) -> ErrorMetadata {
    let mut meta = ErrorMetadata::builder();
    let document = parse(text);
    if let Some(error) = document.as_ref().and_then(|document| child(document.root_element(), "Error")) {
        if let Some(code) = text_in(error, "Code") {
            meta = meta.code(code);
        }
        if let Some(message) = text_in(error, "Message") {
            meta = meta.message(message);
        }
    }
    meta.build()
}

/// Whether the same question may be answered in a moment.
fn may_pass(error: &CallError) -> bool {
    match error {
        SdkError::ServiceError(answer) => {
            let throttled = answer.err().code().is_some_and(|code| THROTTLING.contains(&code));
            throttled || matches!(answer.raw().status().as_u16(), 429 | 500 | 502 | 503 | 504)
        }
        // It may have been answered, but a question may be asked twice.
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        _ => false,
    }
}

/// How many seconds the service's clock is ahead of ours, where that is why it refused.
fn skew(error: &CallError) -> Option<i64> {
    let SdkError::ServiceError(answer) = error else { return None };
    // An old signature has no code of its own at all services: some say that it does not match.
    let codes = ["SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"];
    answer.err().code().filter(|code| codes.contains(code))?;
    let theirs = DateTime::from_str(answer.raw().headers().get("date")?, DateTimeFormat::HttpDate).ok()?;
    let ahead = theirs.secs().checked_sub(DateTime::from(SystemTime::now()).secs())?;
    // A smaller difference is not why it was refused.
    (ahead.abs() > SKEWED).then_some(ahead)
}

/// The first element of this name inside another one, whatever its namespace: each version of an API has its own.
pub(super) fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.tag_name().name() == name)
}

/// The text of such an element.
pub(super) fn text_in<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name)?.text().map(str::trim)
}

/// The members of a list.
pub(super) fn members<'a, 'i>(node: Node<'a, 'i>, name: &str) -> impl Iterator<Item = Node<'a, 'i>> {
    let list = child(node, name);
    list.into_iter().flat_map(|list| list.children().filter(|child| child.tag_name().name() == "member"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded_so_that_no_value_can_become_a_field() {
        let made = form(&[("Action", "GetRole")], &[("RoleName", "a&b=c d+é~")]);
        assert_eq!(made, "Action=GetRole&RoleName=a%26b%3Dc%20d%2B%C3%A9~");
    }

    #[test]
    fn an_error_says_its_code_and_a_gateway_says_none() {
        let meta = said(
            "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type>\
             <Code>NoSuchEntity</Code><Message>no role</Message></Error></ErrorResponse>",
        );
        assert_eq!((meta.code(), meta.message()), (Some("NoSuchEntity"), Some("no role")));
        for other in ["", "bad gateway", "<html><body/></html>"] {
            assert_eq!(said(other).code(), None, "{other}");
        }
    }

    #[test]
    fn a_document_that_declares_entities_is_not_read() {
        assert!(parse("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>").is_none());
    }
}
