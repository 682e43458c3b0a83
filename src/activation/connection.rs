//! Which connection to SSM a sweep uses: the issuer's own where there is one, a new one elsewhere.

use super::Issuer;
use crate::aws::{AwsError, Ssm};

/// SSM in one region: the issuer's own connection where it is that region, so that nobody signs in twice.
pub(super) fn connect<'i>(issuer: Option<&'i Issuer>, region: &str) -> Result<Connected<'i>, AwsError> {
    match issuer {
        Some(Issuer::Aws(aws)) if aws.region() == region => Ok(Connected::Shared(aws.ssm())),
        _ => Ssm::connect(region).map(Connected::Own),
    }
}

/// A connection that somebody else holds, or one made for the occasion.
pub(super) enum Connected<'i> {
    Shared(&'i Ssm),
    Own(Ssm),
}

impl std::ops::Deref for Connected<'_> {
    type Target = Ssm;

    fn deref(&self) -> &Ssm {
        match self {
            Connected::Shared(service) => service,
            Connected::Own(service) => service,
        }
    }
}
