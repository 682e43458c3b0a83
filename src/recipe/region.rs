//! Names of AWS regions.

/// Whether `text` has the form of an AWS region's name. The agent itself goes on with an illegal one and registers
/// nowhere, so it is checked here.
pub fn is_region(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let letters = |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_lowercase());
    let digits = |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
    match groups.as_slice() {
        [words @ .., number] => {
            text.len() <= 32 && words.len() >= 2 && words.iter().all(|w| letters(w)) && digits(number)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_words_and_a_number() {
        for good in ["eu-west-1", "us-gov-west-1", "ap-northeast-1", "us-isob-east-1", "eusc-de-east-1"] {
            assert!(is_region(good), "{good}");
        }
        for bad in ["", "eu", "eu-west", "EU-west-1", "eu-west-1; rm", "-1", "eu--1", "eu-west-1\n"] {
            assert!(!is_region(bad), "{bad}");
        }
    }
}
