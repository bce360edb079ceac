//! The name of one arm of a branch.

use std::cmp::Ordering;
use std::fmt;

/// The longest name that an [`ArmId`] keeps as text, in bytes.
const INLINE_BYTES: usize = 15;
/// Stands in the length byte of a name that was too long to keep.
const HASHED: u8 = 0xff;

/// Names one arm of a branch as its report does (`0:1`, `7`, `exit`, `0:jump`): 16 bytes, no
/// allocation, ordered as text.
///
/// A name of more than 15 bytes keeps its identity (a hash of 15 bytes) but not its text; no known
/// tool writes one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct ArmId([u8; 16]);

impl Ord for ArmId {
    #[inline]
    fn cmp(&self, other: &ArmId) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for ArmId {
    #[inline]
    fn partial_cmp(&self, other: &ArmId) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl ArmId {
    /// The id of a name, as it stands in the report.
    pub fn parse(name: &str) -> ArmId {
        let mut bytes = [0; 16];
        if name.len() <= INLINE_BYTES {
            bytes[..name.len()].copy_from_slice(name.as_bytes());
            bytes[INLINE_BYTES] = name.len() as u8;
        } else {
            let hash = blake3::hash(name.as_bytes());
            bytes[..INLINE_BYTES].copy_from_slice(&hash.as_bytes()[..INLINE_BYTES]);
            bytes[INLINE_BYTES] = HASHED;
        }
        ArmId(bytes)
    }

    /// The id of arm `branch` of `block`, named `block:branch` as LCOV's `BRDA` records are.
    pub fn pair(block: u32, branch: u32) -> ArmId {
        if block < 10 && branch < 10 {
            let mut bytes = [0; 16];
            bytes[0] = b'0' + block as u8;
            bytes[1] = b':';
            bytes[2] = b'0' + branch as u8;
            bytes[INLINE_BYTES] = 3;
            return ArmId(bytes);
        }
        ArmId::parse(&format!("{block}:{branch}"))
    }

    /// The id of a name of so many bytes, 0 to 8, the first lowest; behind them stands 0.
    #[inline(always)]
    pub fn short(name: u64, length: u64) -> ArmId {
        ArmId((u128::from(name) | u128::from(length) << (8 * INLINE_BYTES)).to_le_bytes())
    }

    /// The numbers of [`ArmId::pair`] if both are below 10: the block in bits 4-7, the branch in bits 0-3.
    pub(crate) fn to_pair(self) -> Option<u8> {
        let [block, b':', branch, ..] = self.0 else {
            return None;
        };
        let digits = [block, branch].map(|digit| digit.wrapping_sub(b'0'));
        let is_pair = digits.iter().all(|&digit| digit < 10)
            && self == ArmId::pair(digits[0].into(), digits[1].into());
        is_pair.then_some(digits[0] << 4 | digits[1])
    }

    /// The 16 bytes that a pack stores.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The id that [`ArmId::to_bytes`] gave. Any bytes are an id: a foreign length shows as a hash.
    pub fn from_bytes(bytes: [u8; 16]) -> ArmId {
        ArmId(bytes)
    }
}

impl fmt::Display for ArmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = usize::from(self.0[INLINE_BYTES]);
        match self
            .0
            .get(..length.min(INLINE_BYTES))
            .map(std::str::from_utf8)
        {
            Some(Ok(name)) if length <= INLINE_BYTES => f.write_str(name),
            _ => write!(f, "~{}", hex::encode(&self.0[..INLINE_BYTES])),
        }
    }
}

impl fmt::Debug for ArmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_back() {
        for name in ["", "0:1", "7", "exit", "12345678:switch"] {
            assert_eq!(ArmId::parse(name).to_string(), name);
        }
        assert_eq!(ArmId::pair(0, 1), ArmId::parse("0:1"));
        assert_eq!(ArmId::pair(12, 3), ArmId::parse("12:3"));
        let name = u64::from_le_bytes(*b"12:3\0\0\0\0");
        assert_eq!(ArmId::short(name, 4), ArmId::parse("12:3"));
    }

    #[test]
    fn a_long_name_keeps_its_identity() {
        let long = ArmId::parse("a name of more than fifteen bytes");
        assert_eq!(long, ArmId::parse("a name of more than fifteen bytes"));
        assert_ne!(long, ArmId::parse("a name of more than fifteen bytes!"));
        assert!(long.to_string().starts_with('~'));
    }
}
