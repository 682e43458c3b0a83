//! How long an activation can be used, as a recipe says it: `"12h"`, `"7d"`.

use std::time::Duration;

/// The longest time that AWS grants (CreateActivation, `ExpirationDate`).
pub const MOST_EXPIRY: Duration = Duration::from_secs(30 * 24 * 3600);

/// A time that is not one, or not one that AWS grants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpiryError {
    /// Not a number with a unit.
    #[error("not a time such as \"12h\" or \"7d\"")]
    Form,
    /// Nothing at all.
    #[error("an activation that expires at once is of no use")]
    Zero,
    /// More than 30 days.
    #[error("AWS lets an activation live 30 days at most")]
    TooLong,
}

/// Reads `"30m"`, `"12h"`, `"7d"`.
///
/// # Errors
/// [`ExpiryError`]; over 30 days is an error, because AWS refuses it only when the first card is made.
pub fn parse_expiry(text: &str) -> Result<Duration, ExpiryError> {
    let unit = text.chars().next_back().ok_or(ExpiryError::Form)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(ExpiryError::Form),
    };
    let digits = text.strip_suffix(unit).unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ExpiryError::Form);
    }
    let count: u64 = digits.parse().map_err(|_| ExpiryError::TooLong)?;
    match count.checked_mul(seconds).map(Duration::from_secs) {
        Some(Duration::ZERO) => Err(ExpiryError::Zero),
        Some(time) if time <= MOST_EXPIRY => Ok(time),
        _ => Err(ExpiryError::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_up_to_what_aws_grants() {
        assert_eq!(parse_expiry("90m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_expiry("30d"), Ok(MOST_EXPIRY));
        assert_eq!(parse_expiry("31d"), Err(ExpiryError::TooLong));
        assert_eq!(parse_expiry("99999999999999999999d"), Err(ExpiryError::TooLong));
        assert_eq!(parse_expiry("0h"), Err(ExpiryError::Zero));
        for bad in ["", "d", "7", "7 d", "+7d", "7w", "1.5h", "７d", "dé"] {
            assert_eq!(parse_expiry(bad), Err(ExpiryError::Form), "{bad:?}");
        }
    }
}
