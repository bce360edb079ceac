//! Numbers as reports write them.

use engine::simd::{self, Level, ZEROS, above_nine, all_digits, fours};

/// Reads digits at the start; gives the value and how many bytes it took. A value that does not fit
/// is the greatest that does.
#[inline(always)]
pub(crate) fn digits(text: &[u8]) -> (u64, usize) {
    if let Some(word) = text.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)) {
        let count = (others(word).trailing_zeros() / 8) as usize;
        if count < 8 {
            return (value(word, count), count);
        }
    }
    digits_one_by_one(text)
}

/// Reads a number of 1 to 7 digits, the first of which is 0 only if it is the one; gives the value
/// and how many bytes it took. `None` when something else stands here, or nearly nothing behind it.
#[inline(always)]
pub(crate) fn short_number(text: &[u8]) -> Option<(u32, usize)> {
    let word = u64::from_le_bytes(*text.first_chunk()?);
    let count = (others(word).trailing_zeros() / 8) as usize;
    let is_plain = (1..8).contains(&count) && (word as u8 != b'0' || count == 1);
    is_plain.then(|| (value(word, count) as u32, count))
}

fn digits_one_by_one(text: &[u8]) -> (u64, usize) {
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

/// The highest bit of every byte that is no digit.
#[inline(always)]
fn others(word: u64) -> u64 {
    above_nine(word ^ ZEROS)
}

/// What the first `count` bytes of a word stand for if they are digits, 1..=4, in four bytes.
#[inline(always)]
fn four_digits(word: u64, count: usize) -> u64 {
    u64::from((word as u32 ^ ZEROS as u32) << (32 - 8 * count))
}

/// The number that the first `count` bytes of a word are, 0..=8 digits.
#[inline(always)]
fn value(word: u64, count: usize) -> u64 {
    all_digits(simd::digits(word, count))
}

/// Bytes that a window looks at.
pub(crate) const WINDOW_BYTES: usize = 64;

/// The start of a text, of which [`WINDOW_BYTES`] are looked at at once: numbers between bytes
/// that are none.
pub(crate) struct Window<'a, L> {
    text: &'a [u8; WINDOW_BYTES + 8],
    /// A bit for every byte that is no digit and was not taken yet.
    others: u64,
    level: L,
}

impl<'a, L: Level> Window<'a, L> {
    // Inlined always, so that they are compiled as what they are used in is.

    /// Looks at a text; `None` when it may end in the window.
    #[inline(always)]
    pub(crate) fn new(text: &'a [u8], level: L) -> Option<Window<'a, L>> {
        let text: &[u8; WINDOW_BYTES + 8] = text.first_chunk()?;
        let others = level.other_than_digits(text.first_chunk()?);
        Some(Window {
            text,
            others,
            level,
        })
    }

    /// A bit for every digit in the window, the first byte's lowest, before anything was taken.
    #[inline(always)]
    pub(crate) fn digits(&self) -> u64 {
        !self.others
    }

    /// A bit for every byte in the window that equals `byte`, the first byte's lowest.
    #[inline(always)]
    pub(crate) fn equal_to(&self, byte: u8) -> u64 {
        let window = self.text.first_chunk();
        window.map_or(0, |window| self.level.equal_to(window, byte))
    }

    /// The place of the next byte that is no digit; [`WINDOW_BYTES`] when there is none.
    #[inline(always)]
    pub(crate) fn next_other(&mut self) -> usize {
        let at = self.others.trailing_zeros() as usize;
        self.others &= self.others.wrapping_sub(1);
        at
    }

    /// The text from a place on, in the window and a little behind it.
    #[inline(always)]
    pub(crate) fn from(&self, at: usize) -> &'a [u8] {
        self.text.get(at..).unwrap_or_default()
    }

    /// Goes on behind bytes that are no digits.
    #[inline(always)]
    pub(crate) fn skip(&mut self, others: usize) {
        for _ in 0..others {
            self.others &= self.others.wrapping_sub(1);
        }
    }

    /// The byte at a place in the window or up to 7 bytes behind it.
    #[inline(always)]
    pub(crate) fn byte(&self, at: usize) -> u8 {
        self.text[at]
    }

    /// The number that the digits from `start` to before `end` are; there are 0..=8.
    #[inline(always)]
    pub(crate) fn number(&self, start: usize, end: usize) -> u64 {
        value(self.word(start), end - start)
    }

    /// Two numbers of 1..=8 digits: `a` to before `a_end`, and `b` to before `b_end`.
    #[inline(always)]
    pub(crate) fn numbers(
        &self,
        (a, a_end): (usize, usize),
        (b, b_end): (usize, usize),
    ) -> (u64, u64) {
        if (a_end - a).max(b_end - b) > 4 {
            return (self.number(a, a_end), self.number(b, b_end));
        }
        let both =
            four_digits(self.word(a), a_end - a) | four_digits(self.word(b), b_end - b) << 32;
        let both = fours(both);
        (both & 0xffff, both >> 32)
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        let rest = self.text[at % WINDOW_BYTES..].first_chunk();
        rest.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

/// A count that may be too large for 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Count {
    pub(crate) value: u64,
    pub(crate) too_large: bool,
}

/// A text of nothing but digits as a count.
pub(crate) fn count(text: &[u8]) -> Option<Count> {
    let (value, length) = digits(text);
    if length == text.len() && (1..18).contains(&length) {
        return Some(Count {
            value,
            too_large: false,
        });
    }
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
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let (value, length) = digits(text);
    if length == text.len() && (1..18).contains(&length) {
        return Some(value as i64);
    }
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
pub(crate) fn truncated(text: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(text).ok()?.trim().parse().ok()?;
    number.is_finite().then_some(number.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::simd::Plain;

    fn window(text: &str) -> [u8; 72] {
        let mut bytes = [b'.'; 72];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        bytes
    }

    #[test]
    fn a_window_finds_what_stands_between_numbers() {
        let text = window("DA:120,3,45,-");
        let mut window = Window::new(&text, Plain).unwrap();
        window.skip(3);
        let [a, b, c] = [(); 3].map(|()| window.next_other());
        assert_eq!((a, b, c), (6, 8, 11));
        assert_eq!((window.number(3, a), window.number(a + 1, b)), (120, 3));
        assert_eq!(window.numbers((3, a), (b + 1, c)), (120, 45));
        assert_eq!((window.byte(c + 1), window.byte(71)), (b'-', b'.'));
        assert!(Window::new(&text[1..], Plain).is_none());
    }

    proptest::proptest! {
        #[test]
        fn a_window_knows_every_digit(bytes: [u8; 72], digits in "[0-9/:]{72}") {
            for text in [bytes, digits.as_bytes().try_into().unwrap()] {
                let mut window = Window::new(&text, Plain).unwrap();
                for at in (0..64).filter(|&at| !text[at].is_ascii_digit()) {
                    proptest::prop_assert_eq!(window.next_other(), at);
                }
                proptest::prop_assert_eq!(window.next_other(), 64);
            }
        }

        #[test]
        fn two_numbers_are_read_at_once(a in 0..100_000_000_u64, b in 0..100_000_000_u64, less in 0..8_u32) {
            let (a, b) = (a / 10_u64.pow(less), b / 10_u64.pow(7 - less));
            let text = window(&format!("{a},{b}"));
            let mut window = Window::new(&text, Plain).unwrap();
            let (comma, end) = (window.next_other(), window.next_other());
            proptest::prop_assert_eq!(window.numbers((0, comma), (comma + 1, end)), (a, b));
        }
    }

    #[test]
    fn numbers_are_read() {
        assert_eq!(digits(b"123,4"), (123, 3));
        assert_eq!(digits(b"x"), (0, 0));
        assert_eq!(digits(b"/0:9 abcdef"), (0, 0));
        assert_eq!(digits(b"1234567:8"), (1_234_567, 7));
        assert_eq!(digits(b"12345678/9"), (12_345_678, 8));
        assert_eq!(digits(b"90\xff\x80\xb0123"), (90, 2));
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
