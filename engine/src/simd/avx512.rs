//! What processors with AVX-512 and instructions on its bytes do.

use std::arch::x86_64::{
    __m512i, _mm_cvtsi64_si128, _mm_loadu_si128, _mm256_loadu_si256, _mm512_add_epi8,
    _mm512_add_epi16, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_and_si512,
    _mm512_castsi512_si256, _mm512_cmpeq_epi8_mask, _mm512_cmpeq_epi64_mask,
    _mm512_cmpge_epu64_mask, _mm512_cmpgt_epu8_mask, _mm512_cmpgt_epu64_mask,
    _mm512_cmplt_epu32_mask, _mm512_cmplt_epu64_mask, _mm512_cmpneq_epi64_mask,
    _mm512_cvtepu8_epi16, _mm512_cvtepu16_epi64, _mm512_cvtepu32_epi64, _mm512_extracti64x4_epi64,
    _mm512_loadu_si512, _mm512_madd_epi16, _mm512_maddubs_epi16, _mm512_mask_add_epi8,
    _mm512_mask_add_epi16, _mm512_maskz_alignr_epi64, _mm512_maskz_compress_epi8, _mm512_mul_epu32,
    _mm512_permutex2var_epi8, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_epi32,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_sll_epi64,
    _mm512_sllv_epi64, _mm512_srl_epi64, _mm512_srli_epi64, _mm512_storeu_si512, _mm512_sub_epi8,
    _mm512_sub_epi16, _mm512_sub_epi64, _mm512_subs_epu8, _mm512_test_epi16_mask,
    _mm512_testn_epi64_mask, _mm512_xor_si512, _pext_u64,
};

use super::{Field, Level, ROW_END, ROWS, RowForm, TEXT_BYTES, Text, Work, ZEROS, marks};

compiled_for!(
    Wider,
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512vbmi",
    "avx512vbmi2",
    "bmi1",
    "bmi2",
    "lzcnt",
    "popcnt"
);

impl Level for Wider {
    #[inline(always)]
    fn equal_to(self, bytes: &[u8; 64], byte: u8) -> u64 {
        call!(equal_to(bytes, byte))
    }

    #[inline(always)]
    fn other_than_digits(self, bytes: &[u8; 64]) -> u64 {
        call!(other_than_digits(bytes))
    }

    #[inline(always)]
    fn extract(self, bits: u64, mask: u64) -> u64 {
        call!(_pext_u64(bits, mask))
    }

    #[inline(always)]
    fn places(self, bits: u64, row_ends: u64, from: u16, places: &mut [u16; 64]) -> usize {
        call!(write_places(bits, row_ends, from, places))
    }

    #[inline(always)]
    fn rows<const N: usize>(
        self,
        form: &RowForm<N>,
        text: &Text,
        from: u16,
        ends: &[[u16; N]; ROWS],
        columns: &mut [[u64; ROWS]; N],
    ) -> usize {
        call!(rows(form, text, from, ends, columns))
    }

    #[inline(always)]
    fn count_less(self, numbers: &[u32; 16], than: u32) -> usize {
        call!(count_less(numbers, than))
    }

    #[inline(always)]
    fn ascending(self, numbers: &[u64; ROWS], than: u64) -> usize {
        call!(ascending(numbers, than))
    }

    #[inline(always)]
    fn numbers(self, text: &Text, starts: &[u16; ROWS], ends: &[u16; ROWS]) -> [u64; ROWS] {
        call!(numbers(text, starts, ends))
    }
}

/// Numbers from 0 to 63.
const COUNT: [u8; 64] = {
    let mut numbers = [0; 64];
    let mut at = 0;
    while at < numbers.len() {
        numbers[at] = at as u8;
        at += 1;
    }
    numbers
};

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn equal_to(bytes: &[u8; 64], byte: u8) -> u64 {
    _mm512_cmpeq_epi8_mask(load(bytes), _mm512_set1_epi8(byte as i8))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn other_than_digits(bytes: &[u8; 64]) -> u64 {
    let digits = _mm512_sub_epi8(load(bytes), _mm512_set1_epi8(b'0' as i8));
    _mm512_cmpgt_epu8_mask(digits, _mm512_set1_epi8(9))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
fn write_places(bits: u64, row_ends: u64, from: u16, places: &mut [u16; 64]) -> usize {
    /// Stands for [`ROW_END`] in a byte.
    const MARK: i8 = -0x80;
    let (count, marks) = (load(&COUNT), _mm512_set1_epi8(MARK));
    let count = _mm512_mask_add_epi8(count, row_ends, count, marks);
    let found = _mm512_maskz_compress_epi8(bits, count);
    let widened = |found: __m512i| {
        let is_row_end = _mm512_test_epi16_mask(found, _mm512_set1_epi16(0x80));
        let moved = _mm512_set1_epi16((ROW_END - 0x80) as i16);
        let found = _mm512_mask_add_epi16(found, is_row_end, found, moved);
        _mm512_add_epi16(found, _mm512_set1_epi16(from as i16))
    };
    let (halves, _) = places.as_chunks_mut::<32>();
    let first = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(found));
    store(widened(first), &mut halves[0]);
    let count = bits.count_ones() as usize;
    if count > 32 {
        let others = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64::<1>(found));
        store(widened(others), &mut halves[1]);
    }
    count
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn rows<const N: usize>(
    form: &RowForm<N>,
    text: &Text,
    from: u16,
    ends: &[[u16; N]; ROWS],
    columns: &mut [[u64; ROWS]; N],
) -> usize {
    /// A place, in the lowest bits.
    const PLACE: i64 = 0xffff;
    let text = Looked::at(text);
    let one = _mm512_set1_epi64(1);
    let ends = load_ends(ends);
    // Of a row, the last field alone ends it.
    let (marks, expected) = (marks::<N>(u16::MAX), marks::<N>(0));
    let is_row = _mm512_cmpeq_epi64_mask(
        _mm512_and_si512(ends, _mm512_set1_epi64(marks)),
        _mm512_set1_epi64(expected),
    );
    let ends = _mm512_and_si512(ends, _mm512_set1_epi64(!marks));
    let ends = _mm512_sub_epi16(ends, _mm512_set1_epi16(from as i16));
    let end = |at: usize| {
        let moved = _mm512_srl_epi64(ends, _mm_cvtsi64_si128(16 * at as i64));
        _mm512_and_si512(moved, _mm512_set1_epi64(PLACE))
    };
    let last = end(N - 1);
    let is_seen = _mm512_cmplt_epu64_mask(last, _mm512_set1_epi64(TEXT_BYTES as i64));
    let start = _mm512_add_epi64(last, one);
    let start = _mm512_maskz_alignr_epi64::<7>(0b1111_1110, start, start);
    let mut right = is_row & is_seen;
    if form.key_bytes > 0 {
        let found = _mm512_xor_si512(text.words(start), _mm512_set1_epi64(form.key as i64));
        right &= _mm512_testn_epi64_mask(found, _mm512_set1_epi64(form.key_mask as i64));
    }
    let mut start = _mm512_add_epi64(start, _mm512_set1_epi64(form.key_bytes as i64));
    for (at, (field, column)) in form.fields.iter().zip(columns).enumerate() {
        let end = end(at);
        let (most, is_positive) = match field {
            Field::Any | Field::Tail => (0, false),
            Field::Number(most) => (*most, false),
            Field::Positive(most) => (*most, true),
        };
        if matches!(field, Field::Tail) {
            let eight = _mm512_set1_epi64(8);
            right &= _mm512_cmpge_epu64_mask(end, eight);
            store(text.words(_mm512_sub_epi64(end, eight)), column);
        }
        if most > 0 {
            let (length, word) = (_mm512_sub_epi64(end, start), text.words(start));
            let digits = digits(word, length);
            let over = _mm512_subs_epu8(digits, _mm512_set1_epi8(9));
            let zero = _mm512_xor_si512(word, _mm512_set1_epi64(i64::from(b'0')));
            let zero_in_front = _mm512_testn_epi64_mask(zero, _mm512_set1_epi64(0xff));
            let is_zero = match is_positive {
                true => u8::MAX,
                false => _mm512_cmpneq_epi64_mask(length, one),
            };
            let least = _mm512_sub_epi64(length, one);
            right &= _mm512_testn_epi64_mask(over, over)
                & _mm512_cmplt_epu64_mask(least, _mm512_set1_epi64(most as i64))
                & !(zero_in_front & is_zero);
            store(all_digits(digits), column);
        }
        start = _mm512_add_epi64(end, one);
    }
    (!right).trailing_zeros() as usize
}

#[inline]
#[target_feature(enable = "avx512f")]
fn count_less(numbers: &[u32; 16], than: u32) -> usize {
    let less = _mm512_cmplt_epu32_mask(load(numbers), _mm512_set1_epi32(than as i32));
    less.trailing_ones() as usize
}

#[inline]
#[target_feature(enable = "avx512f")]
fn ascending(numbers: &[u64; ROWS], than: u64) -> usize {
    let (numbers, than) = (load(numbers), _mm512_set1_epi64(than as i64));
    let before = _mm512_alignr_epi64::<7>(numbers, than);
    let ascend = _mm512_cmpgt_epu64_mask(numbers, before);
    ascend.trailing_ones() as usize
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn numbers(text: &Text, starts: &[u16; ROWS], ends: &[u16; ROWS]) -> [u64; ROWS] {
    let [starts, ends] = [starts, ends].map(|places| load_ends(&places.map(|place| [place])));
    let words = Looked::at(text).words(starts);
    let mut numbers = [0; ROWS];
    store(
        all_digits(digits(words, _mm512_sub_epi64(ends, starts))),
        &mut numbers,
    );
    numbers
}

/// A text of which words are picked.
#[derive(Clone, Copy)]
struct Looked([__m512i; 2]);

impl Looked {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn at(text: &Text) -> Looked {
        let (halves, _) = text.as_chunks();
        Looked([load(&halves[0]), load(&halves[1])])
    }

    /// The eight bytes from each place on; those that would follow the text are others.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn words(self, places: __m512i) -> __m512i {
        const FIRST: [u8; 64] = {
            let mut bytes = [0; 64];
            let mut at = 0;
            while at < bytes.len() {
                bytes[at] = (at as u8 / 8 % 2) * 8;
                at += 1;
            }
            bytes
        };
        let places = _mm512_shuffle_epi8(places, load(&FIRST));
        let bytes = _mm512_set1_epi64(i64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7]));
        _mm512_permutex2var_epi8(self.0[0], _mm512_add_epi8(places, bytes), self.0[1])
    }
}

/// [`super::digits`] of eight words.
#[inline]
#[target_feature(enable = "avx512f")]
fn digits(words: __m512i, lengths: __m512i) -> __m512i {
    let bits = _mm512_sll_epi64(lengths, _mm_cvtsi64_si128(3));
    let zeros = _mm512_set1_epi64(ZEROS as i64);
    let less = _mm512_sub_epi64(_mm512_set1_epi64(64), bits);
    _mm512_sllv_epi64(_mm512_xor_si512(words, zeros), less)
}

/// [`super::all_digits`] of eight times eight digits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn all_digits(digits: __m512i) -> __m512i {
    let pairs = _mm512_maddubs_epi16(digits, _mm512_set1_epi16(0x010a));
    let fours = _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x0001_0064));
    let thousands = _mm512_mul_epu32(fours, _mm512_set1_epi64(10_000));
    _mm512_add_epi64(thousands, _mm512_srli_epi64::<32>(fours))
}

/// The places of the fields of each row, the first in the lowest bits.
#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "vectors are loaded at once")]
fn load_ends<const N: usize>(ends: &[[u16; N]; ROWS]) -> __m512i {
    let from = ends.as_ptr();
    // SAFETY: as many bytes are read as there are, and need not be aligned.
    unsafe {
        match N {
            1 => _mm512_cvtepu16_epi64(_mm_loadu_si128(from.cast())),
            2 => _mm512_cvtepu32_epi64(_mm256_loadu_si256(from.cast())),
            4 => _mm512_loadu_si512(from.cast()),
            _ => _mm512_setzero_si512(), // which no form has
        }
    }
}

/// Numbers of which 64 bytes are a vector.
trait Numbers {}
impl Numbers for [u8; 64] {}
impl Numbers for [u16; 32] {}
impl Numbers for [u32; 16] {}
impl Numbers for [u64; 8] {}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "a vector is loaded at once")]
fn load<N: Numbers>(numbers: &N) -> __m512i {
    const { assert!(size_of::<N>() == 64) };
    // SAFETY: 64 bytes are read, and need not be aligned.
    unsafe { _mm512_loadu_si512(std::ptr::from_ref(numbers).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "a vector is stored at once")]
fn store<N: Numbers>(vector: __m512i, into: &mut N) {
    const { assert!(size_of::<N>() == 64) };
    // SAFETY: 64 bytes are written, which are numbers whatever they are, and need not be aligned.
    unsafe { _mm512_storeu_si512(std::ptr::from_mut(into).cast(), vector) }
}
