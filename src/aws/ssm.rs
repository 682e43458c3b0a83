//! Systems Manager in one region: the connection that activations, nodes and parameters are asked for over. Credentials,
//! profiles, regions, proxies and `AWS_ENDPOINT_URL_SSM` are the SDK's business.

use aws_sdk_ssm::Client;

use super::error::{AwsError, aws_error};
use super::session::Session;

/// SSM in one region.
pub struct Ssm {
    // Boxed: this is moved about, and the SDK's configuration is large.
    pub(super) session: Box<Session>,
    pub(super) client: Client,
}

impl Ssm {
    /// Takes credentials and configuration from the environment, as every AWS tool does.
    ///
    /// # Errors
    /// When there are no credentials. Nothing was sent to SSM yet.
    pub fn connect(region: &str) -> Result<Ssm, AwsError> {
        Ssm::connect_anywhere(Some(region))
    }

    /// The same; without a region, the one that the environment or the profile names.
    ///
    /// # Errors
    /// When there are no credentials, or no region. Nothing was sent to SSM yet.
    pub fn connect_anywhere(region: Option<&str>) -> Result<Ssm, AwsError> {
        let session = Box::new(Session::open(region)?);
        let client = Client::new(&session.config);
        Ok(Ssm { session, client })
    }

    /// The region.
    pub fn region(&self) -> &str {
        self.session.region()
    }

    /// The account, where the credentials tell it (single sign-on, assumed roles, `AWS_ACCOUNT_ID`).
    pub fn account(&self) -> Option<&str> {
        self.session.account()
    }

    /// Waits for a call that was sent, and makes our error of the SDK's.
    pub(super) fn wait<T, E>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<T, aws_sdk_ssm::error::SdkError<E>>>,
    ) -> Result<T, AwsError>
    where
        E: aws_sdk_ssm::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.session.runtime.block_on(call).map_err(|error| aws_error(doing, error))
    }

    /// The tier of hybrid nodes (`standard` or `advanced`), and the setting's ARN.
    ///
    /// # Errors
    /// When AWS refuses or cannot be reached.
    pub fn tier(&self) -> Result<(String, String), AwsError> {
        const SETTING: &str = "/ssm/managed-instance/activation-tier";
        let call = self.client.get_service_setting().setting_id(SETTING).send();
        let setting = self.wait("read the account's tier", call)?.service_setting;
        let value = setting.as_ref().and_then(|setting| setting.setting_value.clone()).unwrap_or_default();
        let arn = setting.and_then(|setting| setting.arn).unwrap_or_else(|| SETTING.to_owned());
        Ok((value, arn))
    }
}
