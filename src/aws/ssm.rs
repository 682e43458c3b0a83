//! SSM's side of activations, through the AWS SDK: credentials, profiles, regions, proxies and `AWS_ENDPOINT_URL_SSM`
//! are the SDK's business.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::ProvideCredentials;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::types::{InstanceInformation, InstanceInformationStringFilter};
use tokio::runtime::Runtime;

use crate::causes::in_one_line;
use crate::fault;

/// How long one attempt may take. A dead connection must not hold up a bench for the minutes that TCP would take.
const ATTEMPT: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(6);

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
        let code = self.code.as_deref().unwrap_or_default();
        matches!(
            code,
            "ThrottlingException"
                | "Throttling"
                | "ThrottledException"
                | "TooManyRequestsException"
                | "RequestLimitExceeded"
                | "RequestThrottled"
                | "RequestThrottledException"
                | "TooManyUpdates"
        )
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

/// Makes ours of the SDK's error. Anything but a clear answer of the kind 4xx may have been done all the same.
pub(crate) fn aws_error<E>(doing: &str, error: SdkError<E>) -> AwsError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let doing = doing.to_owned();
    if let SdkError::ServiceError(answer) = &error {
        let status = answer.raw().status().as_u16();
        if status < 400 {
            // It was done, and the SDK could not make sense of what came back.
            return AwsError { doing, code: None, message: UNREADABLE.to_owned(), ambiguous: true };
        }
        let meta = answer.err();
        let code = meta.code().unwrap_or("an error without a code").to_owned();
        let message = meta.message().unwrap_or("no message").to_owned();
        return AwsError { doing, code: Some(code), message, ambiguous: status >= 500 };
    }
    let not_sent = matches!(error, SdkError::ConstructionFailure(_)) || was_refused(&error);
    // The SDK's own report would show the answer's body, and that of CreateActivation holds the code.
    let message = match &error {
        SdkError::ResponseError(_) => UNREADABLE.to_owned(),
        SdkError::TimeoutError(_) => "it did not answer in time".to_owned(),
        error => in_one_line(error),
    };
    AwsError { doing, code: None, message, ambiguous: !not_sent }
}

const UNREADABLE: &str = "its answer could not be read";

/// Whether nobody listened: what was never sent was never done.
fn was_refused(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        next = error.source();
    }
    false
}

fn runtime() -> Result<Runtime, AwsError> {
    super::http::runtime().map_err(|error| AwsError {
        doing: "start what talks to AWS".to_owned(),
        code: Some("Runtime".to_owned()),
        message: error.to_string(),
        ambiguous: false,
    })
}

/// The SDK's configuration from the environment, for one region.
pub async fn sdk_config(region: &str) -> SdkConfig {
    sdk_config_in(Some(region)).await
}

/// The same; without a region it is the environment's, which may have none.
async fn sdk_config_in(region: Option<&str>) -> SdkConfig {
    let http = super::http::http_client();
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(attempt()).build();
    let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http).timeout_config(timeouts);
    match region {
        Some(region) => loader.region(Region::new(region.to_owned())).load().await,
        None => loader.load().await,
    }
}

/// `CARDSMITH_AWS_TIMEOUT` (seconds) is for links where 20 seconds are too short, and for tests where they are too long.
fn attempt() -> Duration {
    let wanted = std::env::var("CARDSMITH_AWS_TIMEOUT").ok().and_then(|text| text.parse().ok());
    wanted.filter(|seconds| *seconds > 0).map_or(ATTEMPT, Duration::from_secs)
}

/// An activation as AWS describes it; it never tells the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownActivation {
    /// Its id.
    pub id: String,
    /// What it was made with.
    pub description: String,
    /// How many nodes registered with it.
    pub registrations: i32,
    /// Whether it can be used no longer.
    pub expired: bool,
}

/// SSM in one region.
pub struct Service {
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
    region: String,
    account: Option<String>,
}

impl Service {
    /// Takes credentials and configuration from the environment, as every AWS tool does.
    ///
    /// # Errors
    /// When there are no credentials. Nothing was sent to SSM yet.
    pub fn connect(region: &str) -> Result<Service, AwsError> {
        Service::connect_anywhere(Some(region))
    }

    /// The same; without a region, the one that the environment or the profile names.
    ///
    /// # Errors
    /// When there are no credentials, or no region. Nothing was sent to SSM yet.
    pub fn connect_anywhere(region: Option<&str>) -> Result<Service, AwsError> {
        let runtime = runtime()?;
        let config = runtime.block_on(sdk_config_in(region));
        let region = config.region().map(|region| region.as_ref().to_owned()).ok_or_else(|| AwsError {
            doing: "talk to AWS".to_owned(),
            code: Some("NoRegion".to_owned()),
            message: "no region is named; set AWS_REGION".to_owned(),
            ambiguous: false,
        })?;
        let none = |message: String| AwsError {
            doing: "talk to AWS".to_owned(),
            code: Some("NoCredentials".to_owned()),
            message,
            ambiguous: false,
        };
        let provider = config.credentials_provider().ok_or_else(|| none("no credentials".to_owned()))?;
        let found = runtime.block_on(provider.provide_credentials()).map_err(|error| none(in_one_line(&error)))?;
        let account = found.account_id().map(|account| account.as_str().to_owned());
        Ok(Service { runtime, client: Client::new(&config), region, account })
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account, where the credentials tell it (single sign-on, assumed roles, `AWS_ACCOUNT_ID`).
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Every activation of the account in this region.
    pub fn activations(&self) -> Result<Vec<KnownActivation>, AwsError> {
        fault::point("DescribeActivations");
        let pages = self.client.describe_activations().max_results(50).into_paginator().items().send();
        let all = self.runtime.block_on(pages.collect::<Result<Vec<_>, _>>());
        let all = all.map_err(|error| aws_error("list the activations", error))?;
        fault::point("DescribeActivations");
        let known = all.into_iter().map(|activation| KnownActivation {
            id: activation.activation_id.unwrap_or_default().to_ascii_lowercase(),
            description: activation.description.unwrap_or_default(),
            registrations: activation.registrations_count.unwrap_or_default(),
            expired: activation.expired,
        });
        Ok(known.filter(|activation| !activation.id.is_empty()).collect())
    }

    /// Deletes an activation. One that AWS does not have is as good as deleted: a second attempt after an answer that
    /// never arrived finds exactly that.
    pub fn delete(&self, id: &str) -> Result<(), AwsError> {
        fault::point("DeleteActivation");
        let result = self.runtime.block_on(self.client.delete_activation().activation_id(id).send());
        fault::point("DeleteActivation");
        match result.map_err(|error| aws_error(&format!("delete activation {id}"), error)) {
            Ok(_) => Ok(()),
            // The id came from AWS, so it is one; both codes say that it is not there (any more).
            Err(error) if matches!(error.code.as_deref(), Some("InvalidActivation" | "InvalidActivationId")) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The managed nodes that fit a filter.
    pub fn describe_nodes(
        &self,
        filter: InstanceInformationStringFilter,
    ) -> Result<Vec<InstanceInformation>, AwsError> {
        let pages = self.client.describe_instance_information().filters(filter).max_results(50);
        let pages = pages.into_paginator().items().send();
        let all = self.runtime.block_on(pages.collect::<Result<Vec<_>, _>>());
        all.map_err(|error| aws_error("ask for nodes", error))
    }

    /// Deregisters a managed node. One that is not there is as good as deregistered.
    pub fn deregister(&self, node: &str) -> Result<(), AwsError> {
        let result = self.runtime.block_on(self.client.deregister_managed_instance().instance_id(node).send());
        match result.map_err(|error| aws_error(&format!("deregister node {node}"), error)) {
            Ok(_) => Ok(()),
            Err(error) if error.code.as_deref() == Some("InvalidInstanceId") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The tier of hybrid nodes (`standard` or `advanced`), and the setting's ARN.
    pub fn tier(&self) -> Result<(String, String), AwsError> {
        const SETTING: &str = "/ssm/managed-instance/activation-tier";
        let answer = self.runtime.block_on(self.client.get_service_setting().setting_id(SETTING).send());
        let answer = answer.map_err(|error| aws_error("read the account's tier", error))?;
        let setting = answer.service_setting;
        let value = setting.as_ref().and_then(|setting| setting.setting_value.clone()).unwrap_or_default();
        let arn = setting.and_then(|setting| setting.arn).unwrap_or_else(|| SETTING.to_owned());
        Ok((value, arn))
    }

    /// Waits for something of another AWS service.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}
