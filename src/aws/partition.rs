//! The partitions of AWS: worlds of their own, with accounts, endpoints and ARNs of their own.

/// A partition, and where its IAM is: one endpoint for all of its regions, which wants signatures for one of them.
pub(super) struct Partition {
    /// The second word of every ARN in it.
    pub name: &'static str,
    /// How its regions begin.
    prefix: &'static str,
    /// IAM's host.
    pub iam: &'static str,
    /// IAM's host with validated cryptography (`AWS_USE_FIPS_ENDPOINT`).
    pub iam_fips: &'static str,
    /// The region that IAM's requests are signed for.
    pub iam_region: &'static str,
}

const fn partition_of(
    name: &'static str,
    prefix: &'static str,
    iam: &'static str,
    iam_fips: &'static str,
    iam_region: &'static str,
) -> Partition {
    Partition { name, prefix, iam, iam_fips, iam_region }
}

/// As the AWS SDKs have it (the endpoint rules of IAM).
const SPECIAL: [Partition; 7] = [
    partition_of("aws-cn", "cn-", "iam.cn-north-1.amazonaws.com.cn", "iam-fips.amazonaws.com.cn", "cn-north-1"),
    partition_of("aws-us-gov", "us-gov-", "iam.us-gov.amazonaws.com", "iam.us-gov.amazonaws.com", "us-gov-west-1"),
    partition_of(
        "aws-iso",
        "us-iso-",
        "iam.us-iso-east-1.c2s.ic.gov",
        "iam-fips.us-iso-east-1.c2s.ic.gov",
        "us-iso-east-1",
    ),
    partition_of(
        "aws-iso-b",
        "us-isob-",
        "iam.us-isob-east-1.sc2s.sgov.gov",
        "iam-fips.us-isob-east-1.sc2s.sgov.gov",
        "us-isob-east-1",
    ),
    partition_of(
        "aws-iso-e",
        "eu-isoe-",
        "iam.eu-isoe-west-1.cloud.adc-e.uk",
        "iam-fips.cloud.adc-e.uk",
        "eu-isoe-west-1",
    ),
    partition_of(
        "aws-iso-f",
        "us-isof-",
        "iam.us-isof-south-1.csp.hci.ic.gov",
        "iam-fips.csp.hci.ic.gov",
        "us-isof-south-1",
    ),
    partition_of("aws-eusc", "eusc-", "iam.eusc-de-east-1.amazonaws.eu", "iam-fips.amazonaws.eu", "eusc-de-east-1"),
];

/// Where every region is that nothing else is known of: new ones appear here.
const STANDARD: Partition = partition_of("aws", "", "iam.amazonaws.com", "iam-fips.amazonaws.com", "us-east-1");

/// The partition of a region.
pub(super) fn of_region(region: &str) -> &'static Partition {
    SPECIAL.iter().find(|partition| region.starts_with(partition.prefix)).unwrap_or(&STANDARD)
}

/// The name of a region's partition: the second word of every ARN in it.
pub fn partition_name(region: &str) -> &'static str {
    of_region(region).name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_of_one_partition_and_a_new_one_of_the_standard_one() {
        for (region, name) in [
            ("eu-west-1", "aws"),
            ("xx-new-1", "aws"),
            ("*", "aws"),
            ("cn-northwest-1", "aws-cn"),
            ("us-gov-east-1", "aws-us-gov"),
            ("us-iso-west-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eusc-de-east-1", "aws-eusc"),
        ] {
            assert_eq!(partition_name(region), name, "{region}");
        }
    }
}
