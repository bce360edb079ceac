//! Numbers as reports write them.

/// Reads digits at the start; gives the value and how many bytes it took. A value that does not fit
/// is the greatest that does.
#[inline]
pub(super) fn digits(text: &[u8]) -> (u64, usize) {
    let mut value: u64 = 0;
    let mut at = 0;
    while let Some(digit) = text
        .get(at)
        .map(|byte| byte.wrapping_sub(b'0'))
        .filter(|&digit| digit < 10)
    {
        value = match at {
            0..18 => value * 10 + u64::from(digit),
            _ => value.saturating_mul(10).saturating_add(u64::from(digit)),
        };
        at += 1;
    }
    (value, at)
}

/// A count that may be too large for 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Count {
    pub(super) value: u64,
    pub(super) too_large: bool,
}

/// A text of nothing but digits as a count.
pub(super) fn count(text: &[u8]) -> Option<Count> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let exact = std::str::from_utf8(text).ok()?.parse();
    Some(Count {
        value: exact.clone().unwrap_or(u64::MAX),
        too_large: exact.is_err(),
    })
}

/// A decimal integer with optional sign, blanks around and underscores between digits. One that does
/// not fit is the nearest that does.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let (negative, number) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let between = |pair: &[u8]| pair[0] == b'_' && pair[1] == b'_';
    if number.is_empty()
        || number.starts_with(b"_")
        || number.ends_with(b"_")
        || number.windows(2).any(between)
    {
        return None;
    }
    let mut value: i64 = 0;
    for &byte in number.iter().filter(|&&byte| byte != b'_') {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value
            .saturating_mul(10)
            .saturating_add(i64::from(byte - b'0'));
    }
    Some(if negative { -value } else { value })
}

/// A decimal or scientific number, truncated.
pub(super) fn truncated(text: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(text).ok()?.trim().parse().ok()?;
    number.is_finite().then_some(number.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read() {
        assert_eq!(digits(b"123,4"), (123, 3));
        assert_eq!(digits(b"x"), (0, 0));
        assert_eq!(digits(b"18446744073709551615"), (u64::MAX, 20));
        assert_eq!(digits(b"99999999999999999999"), (u64::MAX, 20));
        assert_eq!(integer(b" -1_000 "), Some(-1000));
        assert_eq!(integer(b"1__0"), None);
        assert_eq!(integer(b"1.5"), None);
        assert_eq!(truncated(b"1.5e3"), Some(1500.0));
        assert_eq!(truncated(b"nan"), None);
        assert!(count(b"99999999999999999999").unwrap().too_large);
    }
}
