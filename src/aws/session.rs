//! Credentials, region and timeouts, found the way every AWS tool finds them, and a runtime to wait with.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ssm::config::{Credentials, ProvideCredentials};
use tokio::runtime::Runtime;

use super::error::AwsError;
use super::http;
use crate::causes::in_one_line;

/// How long one attempt may take. A dead connection must not hold up a bench for the minutes that TCP would take.
const ATTEMPT: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(6);

const DOING: &str = "talk to AWS";

/// What any service is asked with.
pub(super) struct Session {
    pub runtime: Runtime,
    pub config: SdkConfig,
    region: String,
    account: Option<String>,
}

impl Session {
    /// Takes credentials and configuration from the environment; without a region, the one that the environment or the
    /// profile names.
    ///
    /// # Errors
    /// When there are no credentials, or no region. No service was asked yet.
    pub(super) fn open(region: Option<&str>) -> Result<Session, AwsError> {
        let runtime = http::runtime()
            .map_err(|error| AwsError::before_sending("start what talks to AWS", "Runtime", error.to_string()))?;
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(attempt()).build();
        let config = runtime.block_on(sdk_config(region, timeouts));
        let region = config
            .region()
            .map(|region| region.as_ref().to_owned())
            .ok_or_else(|| AwsError::before_sending(DOING, "NoRegion", "no region is named; set AWS_REGION"))?;
        let mut session = Session { runtime, config, region, account: None };
        // Asked for now, not by the first call: who is not signed in should read that, and not that a call failed.
        session.account = session.credentials()?.account_id().map(|account| account.as_str().to_owned());
        Ok(session)
    }

    /// The credentials as they are now: those of a role run out, and are asked for again each time.
    pub(super) fn credentials(&self) -> Result<Credentials, AwsError> {
        let none = |message: String| AwsError::before_sending(DOING, "NoCredentials", message);
        let provider = self.config.credentials_provider().ok_or_else(|| none("no credentials".to_owned()))?;
        self.runtime.block_on(provider.provide_credentials()).map_err(|error| none(in_one_line(&error)))
    }

    /// The region.
    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// The account, where the credentials tell it.
    pub(super) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }
}

/// The SDK's configuration from the environment.
pub(super) async fn sdk_config(region: Option<&str>, timeouts: TimeoutConfig) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::latest());
    let loader = loader.http_client(http::http_client()).timeout_config(timeouts);
    match region {
        Some(region) => loader.region(Region::new(region.to_owned())).load().await,
        None => loader.load().await,
    }
}

/// `CARDSMITH_AWS_TIMEOUT` (seconds) is for links where 20 seconds are too short, and for tests where they are too long.
fn attempt() -> Duration {
    let wanted = std::env::var("CARDSMITH_AWS_TIMEOUT").ok().and_then(|text| text.parse().ok());
    // What is no number of seconds counts as not said.
    wanted.filter(|seconds| *seconds > 0).map_or(ATTEMPT, Duration::from_secs)
}
