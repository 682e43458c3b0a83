//! The two notations of time in sudoers: generalized time (RFC 4517) for NOTBEFORE and NOTAFTER, and timeouts.

/// Seconds since 1970 of `yyyymmddHH[MM[SS]][.f][Z|±hh[mm]]`. Without a zone sudo takes the machine's; an image has
/// none yet that counts, so UTC stands in.
pub(super) fn generalized(text: &[u8]) -> Option<i64> {
    let digits = text.iter().take_while(|c| c.is_ascii_digit()).count();
    if !(10..=14).contains(&digits) || digits % 2 == 1 {
        return None;
    }
    let number = |from: usize, to: usize| -> i64 {
        text.get(from..to.min(digits)).unwrap_or_default().iter().fold(0, |sum, c| sum * 10 + i64::from(c - b'0'))
    };
    let (mut minute, mut second) = (number(10, 12), number(12, 14));
    let mut rest = text.get(digits..)?;
    if let [b'.' | b',', tenth @ b'0'..=b'9', tail @ ..] = rest {
        let tenth = i64::from(tenth - b'0');
        match digits {
            10 => minute += 6 * tenth,
            12 => second += 6 * tenth,
            _ => {}
        }
        rest = tail;
    }
    let offset = match rest {
        [] | [b'Z'] => 0,
        [sign @ (b'+' | b'-'), zone @ ..] if matches!(zone.len(), 2 | 4) && zone.iter().all(u8::is_ascii_digit) => {
            let pair =
                |at: usize| zone.get(at..at + 2).map_or(0, |d| d.iter().fold(0, |n, c| n * 10 + i64::from(c - b'0')));
            let seconds = (pair(0) * 60 + pair(2)) * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let days = days_since_1970(number(0, 4), number(4, 6), number(6, 8));
    let seconds = days * 86_400 + number(8, 10) * 3_600 + minute * 60 + second - offset;
    (seconds != -1).then_some(seconds)
}

/// Days from 1970-01-01 in the Gregorian calendar; months and days out of range carry over, as in `timegm`.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let months = year * 12 + month - 1;
    // Years that begin in March: the leap day is the last day of such a year.
    let (year, month) = ((months - 2).div_euclid(12), (months - 2).rem_euclid(12));
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Whether `text` is a timeout: seconds, or `1d2h3m4s` in that order.
pub(super) fn is_timeout(text: &[u8]) -> bool {
    const LARGEST: u64 = i32::MAX as u64;
    const SUFFIXES: [(u8, u64); 4] = [(b'd', 86_400), (b'h', 3_600), (b'm', 60), (b's', 1)];
    let (mut rest, mut from, mut total) = (text, 0, 0u64);
    loop {
        let digits = rest.iter().take_while(|c| c.is_ascii_digit()).count();
        let Some(number) =
            std::str::from_utf8(rest.get(..digits).unwrap_or_default()).ok().and_then(|n| n.parse().ok())
        else {
            return false;
        };
        let mut value: u64 = number;
        rest = rest.get(digits..).unwrap_or_default();
        if let Some((suffix, tail)) = rest.split_first() {
            let ahead = SUFFIXES.iter().enumerate().skip(from);
            let Some((at, (_, unit))) = ahead.into_iter().find(|(_, (c, _))| *c == suffix.to_ascii_lowercase()) else {
                return false;
            };
            (from, rest) = (at, tail);
            value = value.saturating_mul(*unit);
        }
        total = total.saturating_add(value);
        if total > LARGEST {
            return false;
        }
        if rest.is_empty() {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date() {
        // date -u -d '…' +%s
        assert_eq!(generalized(b"20170214083000Z"), Some(1_487_061_000));
        assert_eq!(generalized(b"2017021408.5Z"), Some(1_487_061_000));
        assert_eq!(generalized(b"20170214033000-0500"), Some(1_487_061_000));
        assert_eq!(generalized(b"2000022900"), Some(951_782_400));
        assert_eq!(generalized(b"2017-02-14"), None);
        assert_eq!(generalized(b"20170214083000Zjunk"), None);
    }

    #[test]
    fn timeouts_are_in_order_and_bounded() {
        assert!(is_timeout(b"30") && is_timeout(b"1d2h3m4s") && is_timeout(b"5M"));
        assert!(!is_timeout(b"") && !is_timeout(b"h") && !is_timeout(b"4s1d") && !is_timeout(b"99999999999"));
    }
}
