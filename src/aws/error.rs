//! What becomes of the SDK's errors: ours, which hold no answer's body and say whether the thing may have been done.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};

use crate::causes::in_one_line;

/// Services do not agree on one code: SSM, IAM and the gateways before them each have their own.
pub(super) const THROTTLING: [&str; 8] = [
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyUpdates",
];

/// A call to AWS that failed.
#[derive(Debug, Clone)]
pub struct AwsError {
    /// What was tried, as a sentence goes on after "cannot".
    pub doing: String,
    /// The service's error code, such as `AccessDeniedException`, where it answered.
    pub code: Option<String>,
    /// What it said, or what stood in the way.
    pub message: String,
    /// Whether the service may have done it all the same.
    pub ambiguous: bool,
}

impl AwsError {
    /// Something on this side stands in the way: nothing was sent.
    pub(super) fn before_sending(doing: &str, code: &str, message: impl Into<String>) -> AwsError {
        let (doing, code) = (doing.to_owned(), Some(code.to_owned()));
        AwsError { doing, code, message: message.into(), ambiguous: false }
    }

    /// The service did something, and what it answered is not what it should.
    pub(crate) fn strange_answer(doing: &str, message: &str) -> AwsError {
        AwsError { doing: doing.to_owned(), code: None, message: message.to_owned(), ambiguous: true }
    }

    fn hint(&self) -> &'static str {
        match self.code.as_deref() {
            Some("AccessDeniedException" | "AccessDenied") => {
                "; the policy that this needs: cardsmith fleet policy RECIPE --bench (or --admin)"
            }
            Some("ExpiredTokenException" | "ExpiredToken" | "UnrecognizedClientException" | "InvalidClientTokenId") => {
                "; sign in again (aws sso login, or a new AWS_PROFILE)"
            }
            Some("ThrottlingException" | "Throttling") => "; AWS wants fewer calls per second: try again in a minute",
            Some("NoCredentials") => "; set AWS_PROFILE, or run aws configure or aws sso login",
            // Without a code, nobody answered.
            None => "; is the network up, the region right, and no proxy in the way?",
            _ => "",
        }
    }

    /// What went wrong, without advice.
    pub fn plain(&self) -> String {
        let code = self.code.as_deref().map(|code| format!("{code}: ")).unwrap_or_default();
        format!("cannot {}: {code}{}", self.doing, self.message)
    }

    /// Whether the service refused because it was asked too often. Nothing was done then.
    pub fn is_throttling(&self) -> bool {
        self.code.as_deref().is_some_and(|code| THROTTLING.contains(&code))
    }

    /// Whether the caller's policy forbids it.
    pub fn is_denied(&self) -> bool {
        matches!(self.code.as_deref(), Some("AccessDeniedException" | "AccessDenied"))
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.plain(), self.hint())
    }
}

impl StdError for AwsError {}

/// What the SDK's error says, for whichever of our errors is made of it.
pub(super) struct Told {
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The service's code, where its answer was an error that could be read.
    pub code: Option<String>,
    /// In words.
    pub message: String,
}

/// Never the SDK's own report of an answer: that would show headers and the body, and the body of CreateActivation's
/// answer holds the code.
pub(super) fn told<E>(error: &SdkError<E>) -> Told
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    let (code, message) = match error {
        SdkError::ServiceError(answer) => {
            let (meta, status) = (answer.err(), answer.raw().status().as_u16());
            // Answers to HEAD have no body, and so no code.
            let said = meta.message().map_or_else(|| format!("the server answered {status}"), str::to_owned);
            (meta.code().map(str::to_owned), said)
        }
        // Not the SDK's reason, which may quote the body.
        SdkError::ResponseError(_) => (None, UNREADABLE.to_owned()),
        SdkError::TimeoutError(_) => (None, "it did not answer in time".to_owned()),
        other => (None, in_one_line(other)),
    };
    Told { status, code, message }
}

/// Makes ours of the SDK's error. Anything but a clear answer of the kind 4xx may have been done all the same.
pub(super) fn aws_error<E>(doing: &str, error: SdkError<E>) -> AwsError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let Told { status, code, message } = told(&error);
    match (&error, status) {
        // It was done, and the SDK could not make sense of what came back.
        (SdkError::ServiceError(_), Some(..400)) => AwsError::strange_answer(doing, UNREADABLE),
        (SdkError::ServiceError(_), Some(status)) => {
            // A code in any case: its absence means that nobody answered.
            let code = Some(code.unwrap_or_else(|| "an error without a code".to_owned()));
            // With 5xx it may have been done before something failed.
            AwsError { doing: doing.to_owned(), code, message, ambiguous: status >= 500 }
        }
        _ => {
            // Never put together, or nobody listened: nothing left this machine.
            let not_sent = matches!(error, SdkError::ConstructionFailure(_)) || was_refused(&error);
            AwsError { doing: doing.to_owned(), code: None, message, ambiguous: !not_sent }
        }
    }
}

const UNREADABLE: &str = "its answer could not be read";

/// Whether nobody listened: what was never sent was never done.
fn was_refused(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    // The SDK wraps it several times.
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        next = error.source();
    }
    false
}
