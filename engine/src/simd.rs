//! What processors do to many bytes at once: each function beside its plain form, which says what it
//! is, and stands in where a processor cannot.

/// Work that gains from what newer processors have.
pub trait Work {
    /// What comes of it.
    type Output;

    /// Does it. Inlined always, as what is inlined into it.
    fn run<L: Level>(self, level: L) -> Self::Output;
}

/// What is done differently on processors that have more.
pub trait Level: Copy {
    /// Reads the numbers of a text, those that the form does not have as 0; `None` when it is not of the form.
    fn read(self, form: &Form, text: &[u8; Form::BYTES]) -> Option<[u32; Form::NUMBERS]>;

    /// Writes where bytes equal one of two, each place and `from`, ascending, to the start of `places`; gives how many
    /// there are. What stands behind these changes.
    #[inline(always)]
    fn places(self, text: &[u8; 64], either: [u8; 2], from: u16, places: &mut [u16; 64]) -> usize {
        // More are written than there are, mostly, as a branch for each costs more.
        let (first, others) = places.split_at_mut(16);
        let mut bits = equal_to_either(text, either);
        let count = bits.count_ones() as usize;
        write_places(first, &mut bits, from);
        for few in others.chunks_exact_mut(8) {
            if bits == 0 {
                break;
            }
            write_places(few, &mut bits, from);
        }
        count
    }
}

#[inline(always)]
fn write_places(places: &mut [u16], bits: &mut u64, from: u16) {
    for place in places {
        *place = from.wrapping_add(bits.trailing_zeros() as u16);
        *bits &= bits.wrapping_sub(1);
    }
}

/// The form of a text of at most 16 bytes: up to 4 numbers of 1 to 4 digits among bytes that are always the same. What
/// follows does not matter. Built from its start on; what is more than that is a panic, mostly of the compiler:
///
/// ```
/// # use engine::simd::Form;
/// const DATE: Form = Form::new().then_number(4).then(b"-").then_number(2).then(b"-").then_number(2);
/// assert_eq!(DATE.length(), 10);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// What stands where; 0 for a digit.
    expected: [u8; Form::BYTES],
    /// How much what stands there may differ, as the exclusive or of both.
    most: [u8; Form::BYTES],
    /// Which byte comes where: four bytes a number, at their right. None is 128 or more.
    picked: [u8; Form::BYTES],
    length: usize,
    numbers: usize,
}

impl Form {
    /// Bytes that are looked at.
    pub const BYTES: usize = 16;
    /// The most numbers.
    pub const NUMBERS: usize = Form::BYTES / Form::DIGITS;
    /// The most digits of a number.
    pub const DIGITS: usize = 4;
    const NONE: u8 = 0x80;

    /// The form of every text.
    #[expect(
        clippy::new_without_default,
        reason = "it is of use in constants alone"
    )]
    pub const fn new() -> Form {
        Form {
            expected: [0; Form::BYTES],
            most: [u8::MAX; Form::BYTES],
            picked: [Form::NONE; Form::BYTES],
            length: 0,
            numbers: 0,
        }
    }

    /// The same, and then these bytes.
    pub const fn then(mut self, bytes: &[u8]) -> Form {
        let mut at = 0;
        while at < bytes.len() {
            self.expected[self.length] = bytes[at];
            self.most[self.length] = 0;
            self.length += 1;
            at += 1;
        }
        self
    }

    /// The same, and then a number of so many digits.
    pub const fn then_number(mut self, digits: usize) -> Form {
        assert!(digits >= 1 && digits <= Form::DIGITS);
        self.numbers += 1;
        let mut left = digits;
        while left > 0 {
            self.expected[self.length] = b'0';
            self.most[self.length] = 9;
            self.picked[Form::DIGITS * self.numbers - left] = self.length as u8;
            self.length += 1;
            left -= 1;
        }
        self
    }

    /// Bytes of a text of this form.
    #[inline(always)]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// How many numbers it has.
    #[inline(always)]
    pub const fn numbers(&self) -> usize {
        self.numbers
    }
}

/// Does work with vectors of 32 or 64 bytes and instructions on bits where the processor has them. What comes
/// of it is the same.
#[inline]
pub fn widely<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    let work = match avx512::run(work) {
        Ok(output) => return output,
        Err(work) => work,
    };
    #[cfg(target_arch = "x86_64")]
    let work = match avx2::run(work) {
        Ok(output) => return output,
        Err(work) => work,
    };
    work.run(Plain)
}

/// What every processor has.
#[derive(Clone, Copy)]
struct Plain;

impl Level for Plain {
    #[inline(always)]
    fn read(self, form: &Form, text: &[u8; Form::BYTES]) -> Option<[u32; Form::NUMBERS]> {
        let found: [u8; Form::BYTES] = std::array::from_fn(|at| text[at] ^ form.expected[at]);
        if (0..Form::BYTES).any(|at| found[at] > form.most[at]) {
            return None;
        }
        let (numbers, _) = form.picked.as_chunks::<{ Form::DIGITS }>();
        let digit = |&at: &u8| u32::from(found.get(usize::from(at)).copied().unwrap_or(0));
        Some(std::array::from_fn(|number| {
            numbers[number]
                .iter()
                .fold(0, |value, at| 10 * value + digit(at))
        }))
    }
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

/// A level, and how work is done on it where the processor has these features.
#[cfg(target_arch = "x86_64")]
macro_rules! compiled_for {
    ($level:ident, $($feature:tt),+) => {
        /// Says that the processor has what [`compiled`] is compiled for.
        #[derive(Clone, Copy)]
        struct $level(());

        /// Does work as compiled for these features; gives it back where the processor lacks them.
        #[inline]
        #[expect(
            unsafe_code,
            reason = "a fifth of the time of reading LCOV and Go goes into what this saves"
        )]
        pub(super) fn run<W: Work>(work: W) -> Result<W::Output, W> {
            if !($(is_x86_feature_detected!($feature))&&+) {
                return Err(work);
            }
            // SAFETY: the processor has all features that the function is compiled for.
            Ok(unsafe { compiled(work) })
        }

        #[target_feature($(enable = $feature),+)]
        fn compiled<W: Work>(work: W) -> W::Output {
            work.run($level(()))
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        _mm_cvtsi128_si64, _mm_extract_epi64, _mm_madd_epi16, _mm_maddubs_epi16, _mm_set1_epi16,
        _mm_set1_epi32, _mm_shuffle_epi8, _mm_subs_epu8, _mm_testz_si128, _mm_xor_si128,
    };

    use super::sse2::load;
    use super::{Form, Level, Work};

    impl Level for Wide {
        #[inline(always)]
        #[expect(
            unsafe_code,
            reason = "half of the time of reading LCOV went into numbers"
        )]
        fn read(self, form: &Form, text: &[u8; Form::BYTES]) -> Option<[u32; Form::NUMBERS]> {
            // SAFETY: the processor has AVX2, and so what the function is compiled for.
            unsafe { read(form, text) }
        }
    }

    #[inline]
    #[target_feature(enable = "ssse3,sse4.1")]
    pub(super) fn read(form: &Form, text: &[u8; Form::BYTES]) -> Option<[u32; Form::NUMBERS]> {
        let found = _mm_xor_si128(load(text), load(&form.expected));
        let over = _mm_subs_epu8(found, load(&form.most));
        if _mm_testz_si128(over, over) == 0 {
            return None;
        }
        let digits = _mm_shuffle_epi8(found, load(&form.picked));
        let (tens, hundreds) = (_mm_set1_epi16(0x010a), _mm_set1_epi32(0x0001_0064));
        let numbers = _mm_madd_epi16(_mm_maddubs_epi16(digits, tens), hundreds);
        let low = _mm_cvtsi128_si64(numbers) as u64;
        let high = _mm_extract_epi64::<1>(numbers) as u64;
        Some([
            low as u32,
            (low >> 32) as u32,
            high as u32,
            (high >> 32) as u32,
        ])
    }

    compiled_for!(Wide, "avx2", "bmi1", "bmi2", "lzcnt", "popcnt");
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi16, _mm512_castsi512_si256, _mm512_cmpeq_epi8_mask,
        _mm512_cvtepu8_epi16, _mm512_extracti64x4_epi64, _mm512_loadu_si512,
        _mm512_maskz_compress_epi8, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_storeu_si512,
    };

    use super::{Form, Level, Work, avx2};

    compiled_for!(
        Wider,
        "avx512f",
        "avx512bw",
        "avx512vl",
        "avx512vbmi2",
        "bmi1",
        "bmi2",
        "lzcnt",
        "popcnt"
    );

    impl Level for Wider {
        #[inline(always)]
        #[expect(unsafe_code, reason = "as without AVX-512")]
        fn read(self, form: &Form, text: &[u8; Form::BYTES]) -> Option<[u32; Form::NUMBERS]> {
            // SAFETY: the processor has AVX-512, and so what the function is compiled for.
            unsafe { avx2::read(form, text) }
        }

        #[inline(always)]
        #[expect(
            unsafe_code,
            reason = "a tenth of the time of reading LCOV went into places"
        )]
        fn places(self, text: &[u8; 64], either: [u8; 2], from: u16, to: &mut [u16; 64]) -> usize {
            // SAFETY: the processor has all that the function is compiled for.
            unsafe { places(text, either, from, to) }
        }
    }

    /// Numbers from 0 to 63.
    const NUMBERS: [u8; 64] = {
        let mut numbers = [0; 64];
        let mut at = 0;
        while at < numbers.len() {
            numbers[at] = at as u8;
            at += 1;
        }
        numbers
    };

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
    fn places(text: &[u8; 64], either: [u8; 2], from: u16, places: &mut [u16; 64]) -> usize {
        let (text, [a, b]) = (load(text), either.map(|byte| _mm512_set1_epi8(byte as i8)));
        let equal = _mm512_cmpeq_epi8_mask(text, a) | _mm512_cmpeq_epi8_mask(text, b);
        let found = _mm512_maskz_compress_epi8(equal, load(&NUMBERS));
        let from = _mm512_set1_epi16(from as i16);
        let (halves, _) = places.as_chunks_mut::<32>();
        let first = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(found));
        store(_mm512_add_epi16(first, from), &mut halves[0]);
        let count = equal.count_ones() as usize;
        if count > 32 {
            let others = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64::<1>(found));
            store(_mm512_add_epi16(others, from), &mut halves[1]);
        }
        count
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    #[expect(unsafe_code, reason = "a vector is loaded at once")]
    fn load(bytes: &[u8; 64]) -> __m512i {
        // SAFETY: 64 bytes are read, and need not be aligned.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    #[expect(unsafe_code, reason = "a vector is stored at once")]
    fn store(vector: __m512i, into: &mut [u16; 32]) {
        // SAFETY: 64 bytes are written, and need not be aligned.
        unsafe { _mm512_storeu_si512(into.as_mut_ptr().cast(), vector) }
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
    pub(super) fn load(bytes: &[u8; 16]) -> __m128i {
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

    struct Read<'a>(&'a Form, &'a [u8; Form::BYTES]);

    impl Work for Read<'_> {
        type Output = Option<[u32; Form::NUMBERS]>;

        fn run<L: Level>(self, level: L) -> Self::Output {
            level.read(self.0, self.1)
        }
    }

    struct Places<'a>(&'a [u8; 64], u16);

    impl Work for Places<'_> {
        type Output = Vec<u16>;

        fn run<L: Level>(self, level: L) -> Vec<u16> {
            let mut places = [0; 64];
            let count = level.places(self.0, [b',', b'\n'], self.1, &mut places);
            places[..count].to_vec()
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn work_is_done_alike_on_each_level() {
        // A processor may lack the last; what it has is tried.
        let text = b"DA:12,3456\n.....";
        let form = Form::new()
            .then(b"DA:")
            .then_number(2)
            .then(b",")
            .then_number(4)
            .then(b"\n");
        let numbers = Some([12, 3456, 0, 0]);
        let on_avx2 = avx2::run(Read(&form, text)).unwrap_or(numbers);
        let on_avx512 = avx512::run(Read(&form, text)).unwrap_or(numbers);
        assert_eq!((on_avx2, on_avx512), (numbers, numbers));
    }

    proptest! {
        #[test]
        fn places_are_those_of_set_bits(text in "[,a\n]{64}", few in "[,a-z]{64}", from in 0..2000_u16) {
            for text in [text, few] {
                let text: &[u8; 64] = text.as_bytes().try_into().unwrap();
                let bits = plain::equal_to_either(text, [b',', b'\n']);
                let places: Vec<u16> = (0..64).filter(|at| bits >> at & 1 == 1).map(|at| from + at).collect();
                prop_assert_eq!(&Places(text, from).run(Plain), &places);
                prop_assert_eq!(&widely(Places(text, from)), &places);
            }
        }

        #[test]
        fn numbers_of_a_form_are_read(
            numbers in proptest::collection::vec(0..10_000_u32, 0..=Form::NUMBERS),
            between in "[ -~]{0,2}",
            behind in "[0-9 ]{16}",
            at in 0..16_usize,
            other: u8,
        ) {
            let (mut form, mut text, mut expected) = (Form::new(), String::new(), [0; Form::NUMBERS]);
            for (&number, expected) in numbers.iter().zip(&mut expected) {
                let digits = number.to_string();
                if text.len() + digits.len() + between.len() > Form::BYTES {
                    break;
                }
                form = form.then_number(digits.len()).then(between.as_bytes());
                text += &(digits + &between);
                *expected = number;
            }
            prop_assert_eq!(form.length(), text.len());
            text += &behind;
            let mut text: [u8; Form::BYTES] = text.as_bytes()[..16].try_into().unwrap();
            prop_assert_eq!(Plain.read(&form, &text), Some(expected));
            prop_assert_eq!(widely(Read(&form, &text)), Some(expected));
            text[at] = other;
            prop_assert_eq!(widely(Read(&form, &text)), Plain.read(&form, &text));
        }

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
