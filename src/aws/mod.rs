//! Everything that is asked of AWS: the HTTP client, credentials and errors, SSM with its activations, nodes and
//! parameters, IAM and S3. No other room knows a type of the SDK; what leaves here are our own types.
//! Nothing here decides what is asked: that is the business of activations, fleets, sources and secrets.

mod activations;
mod error;
mod http;
mod iam;
mod nodes;
mod parameter_store;
mod partition;
mod query;
pub mod s3;
mod session;
mod ssm;

pub use activations::{ActivationWish, KnownActivation, NewActivation};
pub use error::AwsError;
pub use iam::Iam;
pub use nodes::Node;
pub use parameter_store::Parameter;
pub use partition::partition_name;
pub use ssm::Ssm;
