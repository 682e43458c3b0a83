//! Everything that is asked of AWS: the HTTP client, credentials and errors, SSM, Parameter Store and S3.
//! No other room knows a type of the SDK; what leaves here are our own types.
//! Nothing here decides what is asked: that is the business of activations, fleets, sources and secrets.

mod http;
mod parameter_store;
pub mod s3;
mod ssm;

pub use parameter_store::Parameter;
pub(crate) use ssm::aws_error;
pub use ssm::{AwsError, KnownActivation, Service, sdk_config};
