//! What processors do to many bytes at once: each function beside its plain form, which says what it
//! is, and stands in where a processor cannot.

/// Work that gains from what newer processors have.
pub trait Work {
    /// What comes of it.
    type Output;

    /// Does it. Inlined always, as what is inlined into it.
    fn run(self) -> Self::Output;
}

/// Does work with vectors of 32 bytes and instructions on bits where the processor has them. What comes
/// of it is the same.
#[inline]
pub fn widely<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    let work = match avx2::run(work) {
        Ok(output) => return output,
        Err(work) => work,
    };
    work.run()
}

/// A bit for each byte that is no ASCII digit, the first byte's lowest.
#[inline]
pub fn other_than_digits(bytes: &[u8; 64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    return sse2::other_than_digits(bytes);
    #[cfg(not(target_arch = "x86_64"))]
    plain::other_than_digits(bytes)
}

/// A bit for each byte that equals `byte`, the first byte's lowest.
#[inline]
pub fn equal_to(bytes: &[u8; 64], byte: u8) -> u64 {
    #[cfg(target_arch = "x86_64")]
    return sse2::equal_to(bytes, byte);
    #[cfg(not(target_arch = "x86_64"))]
    plain::equal_to(bytes, byte)
}

/// A bit for each byte that equals one of two, the first byte's lowest.
#[inline]
pub fn equal_to_either(bytes: &[u8; 64], either: [u8; 2]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    return sse2::equal_to_either(bytes, either);
    #[cfg(not(target_arch = "x86_64"))]
    plain::equal_to_either(bytes, either)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    pub(super) fn equal_to_either(bytes: &[u8; 64], [a, b]: [u8; 2]) -> u64 {
        equal_to(bytes, a) | equal_to(bytes, b)
    }

    pub(super) fn equal_to(bytes: &[u8; 64], byte: u8) -> u64 {
        let equal = bytes.iter().map(|&other| u64::from(other == byte));
        equal.rev().fold(0, |bits, equal| bits << 1 | equal)
    }

    pub(super) fn other_than_digits(bytes: &[u8; 64]) -> u64 {
        let other = bytes.iter().map(|byte| u64::from(!byte.is_ascii_digit()));
        other.rev().fold(0, |bits, other| bits << 1 | other)
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::Work;

    /// Does work as compiled for these features; gives it back where the processor lacks them.
    #[inline]
    #[expect(
        unsafe_code,
        reason = "a tenth of the time of reading LCOV and Go goes into what this saves"
    )]
    pub(super) fn run<W: Work>(work: W) -> Result<W::Output, W> {
        let has_all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        if !has_all {
            return Err(work);
        }
        // SAFETY: the processor has all features that the function is compiled for.
        Ok(unsafe { run_wide(work) })
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn run_wide<W: Work>(work: W) -> W::Output {
        work.run()
    }
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_max_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8, _mm_sub_epi8,
    };

    #[inline]
    #[expect(
        unsafe_code,
        reason = "a third of the time of reading LCOV goes into this"
    )]
    pub(super) fn other_than_digits(bytes: &[u8; 64]) -> u64 {
        // SAFETY: SSE2 is part of every x86-64 processor.
        unsafe { quarters(bytes) }
    }

    #[inline]
    #[expect(
        unsafe_code,
        reason = "half of the time of reading llvm-cov's segments went into looking for commas"
    )]
    pub(super) fn equal_to(bytes: &[u8; 64], byte: u8) -> u64 {
        // SAFETY: SSE2 is part of every x86-64 processor.
        unsafe { equal_quarters(bytes, [byte]) }
    }

    #[inline]
    #[expect(
        unsafe_code,
        reason = "the places of commas and line breaks are found ten times faster than byte by byte"
    )]
    pub(super) fn equal_to_either(bytes: &[u8; 64], either: [u8; 2]) -> u64 {
        // SAFETY: SSE2 is part of every x86-64 processor.
        unsafe { equal_quarters(bytes, either) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn quarters(bytes: &[u8; 64]) -> u64 {
        let (quarters, _) = bytes.as_chunks();
        let bits = |at: usize| quarter(load(&quarters[at])) << (16 * at);
        bits(0) | bits(1) | bits(2) | bits(3)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equal_quarters<const N: usize>(bytes: &[u8; 64], any: [u8; N]) -> u64 {
        let (quarters, _) = bytes.as_chunks();
        let any = any.map(|byte| _mm_set1_epi8(byte as i8));
        let bits = |at: usize| {
            let quarter = load(&quarters[at]);
            let equal = any.map(|wanted| _mm_cmpeq_epi8(quarter, wanted));
            let equal = equal[1..].iter().fold(equal[0], |a, &b| _mm_or_si128(a, b));
            u64::from(_mm_movemask_epi8(equal) as u32) << (16 * at)
        };
        bits(0) | bits(1) | bits(2) | bits(3)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    #[expect(unsafe_code, reason = "two words put together are slower")]
    fn load(bytes: &[u8; 16]) -> __m128i {
        // SAFETY: 16 bytes are read, and need not be aligned.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn quarter(bytes: __m128i) -> u64 {
        let digits = _mm_sub_epi8(bytes, _mm_set1_epi8(b'0' as i8));
        let is_other = _mm_cmpeq_epi8(_mm_max_epu8(digits, _mm_set1_epi8(10)), digits);
        u64::from(_mm_movemask_epi8(is_other) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_are_found_as_the_plain_form_finds_them(bytes: [u8; 64], text in "[/-:0-9]{64}") {
            for bytes in [bytes, text.as_bytes().try_into().unwrap()] {
                prop_assert_eq!(other_than_digits(&bytes), plain::other_than_digits(&bytes));
            }
        }

        #[test]
        fn a_byte_is_found_where_the_plain_form_finds_it(bytes: [u8; 64], text in "[,0]{64}", byte: u8) {
            prop_assert_eq!(equal_to(&bytes, byte), plain::equal_to(&bytes, byte));
            let text = text.as_bytes().try_into().unwrap();
            prop_assert_eq!(equal_to(text, b','), plain::equal_to(text, b','));
            for (bytes, either) in [(&bytes, [byte, bytes[0]]), (text, [b',', b'0'])] {
                prop_assert_eq!(equal_to_either(bytes, either), plain::equal_to_either(bytes, either));
            }
        }
    }
}
