//! Parameters of SSM's Parameter Store, which recipes name as secrets.

use aws_sdk_ssm::types::ParameterType;

use super::error::AwsError;
use super::ssm::Ssm;

/// The value of one parameter, decrypted. It may be a secret: no `Debug` on purpose.
pub struct Parameter {
    /// Its value.
    pub value: String,
    /// Whether it is a SecureString.
    pub encrypted: bool,
}

impl Ssm {
    /// Reads a parameter, decrypted where it is a SecureString. A read is tried again by the SDK.
    ///
    /// # Errors
    /// When AWS refuses or cannot be reached. The error never holds a value.
    pub fn parameter(&self, name: &str) -> Result<Parameter, AwsError> {
        let doing = format!("read the parameter {name}");
        let call = self.client.get_parameter().name(name).with_decryption(true).send();
        let parameter = self.wait(&doing, call)?.parameter;
        let encrypted = parameter.as_ref().is_some_and(|p| p.r#type == Some(ParameterType::SecureString));
        match parameter.and_then(|parameter| parameter.value) {
            Some(value) => Ok(Parameter { value, encrypted }),
            // Nothing but a read: whatever came back, nothing was done.
            None => {
                let message = "the answer had no value in it";
                Err(AwsError { ambiguous: false, ..AwsError::strange_answer(&doing, message) })
            }
        }
    }
}
